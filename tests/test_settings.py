"""Where settings come from, who wins, and what is refused."""

import os
from pathlib import Path
from typing import Any

import pytest

from runner.errors import UsageError
from runner.settings import KNOBS, Resolved, Settings, resolve, table

HOME = {"HOME": "/home/ada"}


def resolved(
        directory: Path, toml: str | None = None, environ: dict[str, str] | None = None, **flags: Any,
) -> Resolved:
    """What resolve makes of one runner.toml, one environment and some flags."""
    if toml is not None:
        (directory / "runner.toml").write_text(toml)
    return resolve(flags, HOME | (environ or {}), str(directory))


# ---- precedence ----------------------------------------------------------------------------------

def test_defaults_apply_where_nobody_says_anything(tmp_path: Path) -> None:
    """An empty command line in an empty directory is a complete run, but for its target."""
    assert resolved(tmp_path).settings == Settings(chdir=str(tmp_path), cache_dir="/home/ada/.cache/runner")


@pytest.mark.parametrize(("flag", "environ", "toml", "expected"), [
    ("5", "4", "workers = 3", (5, "flag")),
    (None, "4", "workers = 3", (4, "RUNNER_WORKERS")),
    (None, "", "workers = 3", (3, "runner.toml")),
    (None, "", "", (2, "default")),
])
def test_flag_beats_environment_beats_file_beats_default(
        tmp_path: Path, flag: str | None, environ: str, toml: str, expected: tuple[int, str]) -> None:
    """Each source wins over all that follow it, and is named."""
    settings, sources = resolved(tmp_path, toml, {"RUNNER_WORKERS": environ}, workers=flag)
    assert (settings.workers, sources["workers"]) == expected


def test_every_field_has_a_source(tmp_path: Path) -> None:
    """`runner config` can print all of them."""
    settings, sources = resolved(tmp_path)
    assert set(sources) == set(vars(settings))


def test_resolving_again_sees_the_edited_file(tmp_path: Path) -> None:
    """Nothing is remembered between two calls."""
    before = resolved(tmp_path, "workers = 3").settings.workers
    assert (before, resolved(tmp_path, "workers = 4").settings.workers) == (3, 4)


@pytest.mark.parametrize("name", ["http", "fastcgi"])
def test_an_address_of_either_kind_replaces_the_default_address(tmp_path: Path, name: str) -> None:
    """A run behind nginx does not open port 8000 as well."""
    settings = resolve({name: ("unix:x.sock",)}, HOME, str(tmp_path)).settings
    assert settings.http + settings.fastcgi == (f"unix:{tmp_path}/x.sock",)


def test_addresses_of_both_kinds_stand_together(tmp_path: Path) -> None:
    """A flag of one kind does not silence the file's other kind."""
    settings = resolved(tmp_path, "fastcgi = ['unix:/run/x.sock']", http=(":9000",)).settings
    assert (settings.http, settings.fastcgi) == (("127.0.0.1:9000",), ("unix:/run/x.sock",))


def test_an_empty_list_of_addresses_is_none_given(tmp_path: Path) -> None:
    """A run that nobody could reach is never meant; the source says what happened."""
    settings, sources = resolved(tmp_path, "http = []")
    assert (settings.http, sources["http"]) == (("127.0.0.1:8000",), "default")


def test_addresses_in_the_environment_are_separated_by_white_space(tmp_path: Path) -> None:
    """A comma may stand in the path of a socket."""
    settings = resolved(tmp_path, environ={"RUNNER_HTTP": "  :8001\t[::1]:8001 "}).settings
    assert settings.http == ("127.0.0.1:8001", "[::1]:8001")


def test_globs_in_the_environment_are_separated_by_commas(tmp_path: Path) -> None:
    """White space may stand in the name of a file."""
    assert resolved(tmp_path, environ={"RUNNER_WATCH": "my files/*.html,*.toml"}).settings.watch == (
        "my files/*.html", "*.toml")


def test_a_glob_on_the_command_line_is_taken_as_it_is(tmp_path: Path) -> None:
    """An option that can be repeated needs no separator."""
    assert resolved(tmp_path, watch=("a,b*", "c")).settings.watch == ("a,b*", "c")


def test_the_cache_directory_follows_xdg(tmp_path: Path) -> None:
    """XDG_CACHE_HOME moves it."""
    assert resolved(tmp_path, environ={"XDG_CACHE_HOME": "/c"}).settings.cache_dir == "/c/runner"


def test_a_relative_xdg_directory_is_ignored(tmp_path: Path) -> None:
    """As its specification demands."""
    assert resolved(tmp_path, environ={"XDG_CACHE_HOME": "c"}).settings.cache_dir == "/home/ada/.cache/runner"


def test_an_empty_flag_takes_back_what_the_file_says(tmp_path: Path) -> None:
    """`--pid-file ''` is the way to have none for once."""
    assert resolved(tmp_path, "pid-file = 'x.pid'", pid_file="").settings.pid_file is None


# ---- directories and files -----------------------------------------------------------------------

def test_paths_are_relative_to_chdir(tmp_path: Path) -> None:
    """The run behaves as if it had been started there."""
    (tmp_path / "shop").mkdir()
    assert resolved(tmp_path, chdir="shop", pid_file="x.pid").settings.pid_file == f"{tmp_path}/shop/x.pid"


def test_the_usual_file_is_looked_for_in_chdir(tmp_path: Path) -> None:
    """`--chdir` alone is enough to start a project from anywhere."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "runner.toml").write_text("workers = 7")
    assert resolved(tmp_path, chdir="shop").settings.workers == 7


def test_a_named_file_is_relative_to_the_current_directory(tmp_path: Path) -> None:
    """As the shell's completion has it."""
    (tmp_path / "other.toml").write_text("workers = 7")
    (tmp_path / "shop").mkdir()
    settings, sources = resolved(tmp_path, chdir="shop", config="other.toml")
    assert (settings.config, sources["workers"]) == (f"{tmp_path}/other.toml", "other.toml")


def test_chdir_in_a_file_is_relative_to_the_file(tmp_path: Path) -> None:
    """A project can be moved together with its file."""
    (tmp_path / "shop").mkdir()
    settings = resolved(tmp_path, "chdir = 'shop'\npid-file = 'x.pid'").settings
    assert settings.pid_file == f"{tmp_path}/shop/x.pid"


def test_without_a_file_there_is_no_config(tmp_path: Path) -> None:
    """The usual file is optional."""
    assert resolved(tmp_path).settings.config is None


def test_a_named_file_has_to_exist(tmp_path: Path) -> None:
    """Whoever names a file means it."""
    with pytest.raises(UsageError, match=r"cannot read .*none\.toml"):
        resolved(tmp_path, config="none.toml")


def test_a_named_directory_has_to_exist(tmp_path: Path) -> None:
    """So does a directory."""
    with pytest.raises(UsageError, match="is not a directory"):
        resolved(tmp_path, chdir="none")


# ---- refusals ------------------------------------------------------------------------------------

def test_an_unknown_flag_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """A program that calls resolve can mistype, too."""
    with pytest.raises(UsageError, match="did you mean 'workers'"):
        resolved(tmp_path, worker="4")


def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    """Underscores are the likeliest mistake in a file."""
    with pytest.raises(UsageError, match=r"^runner\.toml: .* 'max_body'; did you mean 'max-body'\?"):
        resolved(tmp_path, "max_body = '1G'")


def test_an_unknown_name_in_the_environment_is_ignored(tmp_path: Path) -> None:
    """It may belong to another program of this name."""
    assert resolved(tmp_path, environ={"RUNNER_TOOL_CACHE": "/opt"}).settings.workers == 2


def test_a_file_cannot_name_another_file(tmp_path: Path) -> None:
    """There is one file."""
    with pytest.raises(UsageError, match="there is no key 'config'"):
        resolved(tmp_path, "config = 'x.toml'")


@pytest.mark.parametrize("toml", [b"workers = ", b"workers = '\xff'"])
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, toml: bytes) -> None:
    """A syntax error is told with its place."""
    (tmp_path / "runner.toml").write_bytes(toml)
    with pytest.raises(UsageError, match=r"^runner\.toml: .*$"):
        resolved(tmp_path)


BAD = [
    ("workers", "0", "--workers: '0'"),
    ("workers", "1001", "--workers: '1001'"),
    ("workers", ["1"], "--workers: ['1']"),
    ("reload", "eagr", "--reload: 'eagr'"),
    ("on_change", "wait", "--on-change: 'wait'"),
    ("timeout", "soon", "--timeout: 'soon'"),
    ("max_body", "big", "--max-body: 'big'"),
    ("socket_mode", "888", "--socket-mode: '888'"),
    ("http", ("nowhere",), "--http: 'nowhere'"),
    ("root_path", "/x/", "--root-path: '/x/'"),
    ("ping_path", "ping", "--ping-path: 'ping'"),
    ("user", "a b", "--user: 'a b'"),
    ("forwarded_allow_ips", "nginx", "--forwarded-allow-ips: 'nginx'"),
    ("debug", "maybe", "--debug: 'maybe'"),
    ("target", " ", "TARGET: ' '"),
    ("interface", "cgi", "--interface: 'cgi'"),
]


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_a_bad_value_is_refused_by_name_with_a_good_one(
        tmp_path: Path, name: str, value: object, said: str) -> None:
    """One line that names the option, quotes the value, and gives an example or the nearest word."""
    with pytest.raises(UsageError, match=r"^[^\n]*(for example|did you mean)[^\n]*$") as caught:
        resolve({name: value}, HOME, str(tmp_path))
    assert said in str(caught.value)


def test_a_bad_value_names_its_source(tmp_path: Path) -> None:
    """Whoever did not type it needs to know where it stands."""
    with pytest.raises(UsageError, match=r"^--workers \(RUNNER_WORKERS\): 'x'"):
        resolved(tmp_path, environ={"RUNNER_WORKERS": "x"})


def test_a_file_that_is_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    """The running supervisor reads it again, and must not hang in that."""
    os.mkfifo(tmp_path / "runner.toml")
    with pytest.raises(UsageError, match="not a regular file"):
        resolve({"config": str(tmp_path / "runner.toml")}, HOME, str(tmp_path))


def test_a_mode_in_a_file_has_to_be_text(tmp_path: Path) -> None:
    """There `socket-mode = 660` and `socket-mode = 0o660` are two numbers."""
    with pytest.raises(UsageError, match=r"--socket-mode \(runner.toml\): 660 has to be text"):
        resolved(tmp_path, "socket-mode = 660")


def test_two_paths_for_two_answers(tmp_path: Path) -> None:
    """One path cannot be both the ping and the status."""
    with pytest.raises(UsageError, match="--status-path"):
        resolved(tmp_path, ping_path="/x", status_path="/x")


# ---- what is derived -----------------------------------------------------------------------------

def test_a_file_may_use_the_types_of_toml(tmp_path: Path) -> None:
    """Numbers, booleans, text and lists."""
    settings = resolved(tmp_path, "workers = 4\ntimeout = 0.5\ndebug = true\nwatch = ['a', 'b']").settings
    assert (settings.workers, settings.timeout, settings.debug, settings.watch) == (4, 0.5, True, ("a", "b"))


@pytest.mark.parametrize("known", KNOBS, ids=lambda known: known.name)
def test_each_default_is_written_as_it_is_read(tmp_path: Path, known: Any) -> None:
    """What `config` prints can be given back as a flag, and means the same."""
    value = getattr(resolved(tmp_path).settings, known.name)
    shown = tuple(value) if known.kind.repeatable else known.show(value)
    again = resolve({known.name: shown or None}, HOME, str(tmp_path)).settings
    assert getattr(again, known.name) == value


def test_settings_survive_the_way_to_another_process(tmp_path: Path) -> None:
    """Lists stay tuples, names that are no UTF-8 stay what they are."""
    odd = os.fsdecode(b"/srv/\xff")
    settings = resolved(tmp_path, http=(":1", ":2"), pid_file=odd, timeout="1.5s", umask="022").settings
    assert Settings.from_json(settings.to_json()) == settings


def test_the_json_is_one_line(tmp_path: Path) -> None:
    """It can be written to a pipe and read with one call."""
    assert "\n" not in resolved(tmp_path, target="app:main").settings.to_json()


def test_the_table_has_a_row_for_each_setting() -> None:
    """Two lines of heading, then the settings in their order, three cells each."""
    rows = table().splitlines()[2:]
    assert [row.replace("\\|", "").count("|") for row in rows] == [4] * len(KNOBS)


def test_a_knob_knows_its_three_names() -> None:
    """Option, key and environment name are made from the field's name."""
    known = next(each for each in KNOBS if each.name == "max_body")
    assert (known.flag, known.key, known.environment) == ("--max-body", "max-body", "RUNNER_MAX_BODY")


def test_settings_cannot_be_changed() -> None:
    """Who wants others makes others."""
    with pytest.raises(AttributeError):
        Settings().workers = 3   # type: ignore[misc]
