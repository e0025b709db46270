"""Every knob, written once: a field of Settings carries its default, its kind, its heading and its help.

From the fields are derived the options (`--max-body`), the keys of runner.toml (`max-body`), the names in the
environment (`RUNNER_MAX_BODY`), the help and the README's table. To add a knob is to add one field.

Laws: nothing here knows a command line library, a socket or a process; resolve() reads one file and else only its
arguments, so that the supervisor can call it again when that file was edited; whatever is refused is a UsageError of
one line that names the option, the bad value and a good one; paths are absolute from here on. Start at Settings.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, NamedTuple, Self

from runner.addresses import parse_address
from runner.channels_url import mask, parse_channels_url
from runner.errors import UsageError
from runner.values import (
    ACCOUNT,
    COUNT,
    DURATION,
    GLOBS,
    MODULES,
    MOUNTS,
    OCTAL,
    ORIGINS,
    PEERS,
    PREFIX,
    SIZE,
    SWITCH,
    URL_PATH,
    Kind,
    choice,
    nearest,
    path_to,
    text_like,
    whole,
)

# ---- the settings ------------------------------------------------------------------------------------------

def _cache_directory(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):   # the XDG base directory specification: a relative one is to be ignored
        base = os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".cache")
    return os.path.join(base, "runner")


def knob(heading: str, default: object, kind: Kind, text: str, shown: str = "") -> Any:
    """A field of Settings. *default* may be a function; *shown* is what people are told of such a default."""
    metadata = {"heading": heading, "kind": kind, "help": text, "shown": shown}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


_TARGET = text_like("TARGET", r"\S(.*\S)?", "a target", "app:main")
_ADDRESSES = Kind("ADDR", lambda text, below: str(parse_address(text, below)), separator=" ", repeatable=True)
_CHANNELS = Kind("URL", lambda text, _: parse_channels_url(text) and text, mask)
_APPLICATION, _SOCKETS, _PROCESSES = "Application", "Addresses", "Processes"
_FRESH, _REQUESTS, _LIMITS, _LOGS = "Fresh code", "Requests", "Limits", "Logs"


@dataclass(frozen=True)
class Settings:
    """What one run was asked to do. Durations are in seconds, sizes in bytes; an amount of zero is off."""

    target: str = knob(_APPLICATION, "", _TARGET, "module:attribute, module:factory(), module, file.py")
    interface: str = knob(_APPLICATION, "auto", choice("auto", "wsgi", "asgi"), "what the target is")
    mount: tuple[str, ...] = knob(_APPLICATION, (), MOUNTS, "another application below a path (repeatable)")
    chdir: str = knob(_APPLICATION, os.getcwd, path_to("DIR", "/srv/shop"), "first on sys.path", ".")
    env_file: str | None = knob(_APPLICATION, None, path_to("FILE", ".env"), "more of its environment")
    config: str | None = knob(
        _APPLICATION, None, path_to("FILE", "runner.toml"), "more settings", "runner.toml if present")
    debug: bool = knob(_APPLICATION, False, SWITCH, "show tracebacks, name the generation in each answer")

    http: tuple[str, ...] = knob(_SOCKETS, ("127.0.0.1:8000",), _ADDRESSES, "speak HTTP here (repeatable)")
    fastcgi: tuple[str, ...] = knob(_SOCKETS, (), _ADDRESSES, "speak FastCGI here (repeatable)")
    backlog: int = knob(_SOCKETS, 2048, whole(1, 65535, 2048), "connections that may wait in the kernel")
    socket_mode: int = knob(_SOCKETS, 0o660, OCTAL, "mode of unix sockets, octal")
    socket_owner: str | None = knob(_SOCKETS, None, ACCOUNT, "owner of unix sockets")
    socket_group: str | None = knob(_SOCKETS, None, ACCOUNT, "group of unix sockets")

    workers: int = knob(_PROCESSES, 2, whole(1, 1000, 4), "worker processes")
    threads: int = knob(_PROCESSES, 1, whole(1, 1000, 8), "application threads in each; 1 is inline")
    idle_exit: float = knob(_PROCESSES, 0.0, DURATION, "end after so long without a request")
    user: str | None = knob(_PROCESSES, None, ACCOUNT, "run the application as this user")
    group: str | None = knob(_PROCESSES, None, ACCOUNT, "run the application as this group")
    umask: int | None = knob(_PROCESSES, None, OCTAL, "permissions that new files lack, octal")
    pid_file: str | None = knob(_PROCESSES, None, path_to("FILE", "/run/shop.pid"), "holds its process id")
    control: str | None = knob(
        _PROCESSES, None, path_to("SOCKET", "/run/shop.sock"), "where status, reload and stop ask",
        "in the runtime directory")
    channels: str = knob(_PROCESSES, "memory:", _CHANNELS, "where channels are kept; redis://HOST for several machines")

    reload: str = knob(_FRESH, "eager", choice("eager", "request", "off"), "when a save is noticed")
    on_change: str = knob(_FRESH, "redirect", choice("redirect", "hold"), "what a request that finds one gets")
    on_broken: str = knob(_FRESH, "error", choice("error", "keep"), "what new code that fails leads to")
    watch: tuple[str, ...] = knob(_FRESH, (), GLOBS, "more files that count as code (repeatable)")
    ignore: tuple[str, ...] = knob(_FRESH, (), GLOBS, "files that never count (repeatable)")
    checkpoints: int = knob(_FRESH, 6, whole(0, 100, 6), "paused imports to go on from after a save; 0 is none")
    no_preload: tuple[str, ...] = knob(_FRESH, (), MODULES, "modules before which preloading ends (repeatable)")
    cache_dir: str = knob(_FRESH, lambda: _cache_directory(os.environ), path_to("DIR", "/var/cache/shop"),
                          "where trusted bytecode is kept", "~/.cache/runner")

    root_path: str = knob(_REQUESTS, "", PREFIX, "prefix that the application is mounted at")
    forwarded_allow_ips: tuple[str, ...] = knob(
        _REQUESTS, ("127.0.0.1", "::1", "unix"), PEERS, "peers whose X-Forwarded-* is believed; * is all")
    trust_remote_user: bool = knob(_REQUESTS, False, SWITCH, "believe the REMOTE_USER of the peer")
    allow_origin: tuple[str, ...] = knob(
        _REQUESTS, (), ORIGINS, "sites beside our own whose pages may open a WebSocket (repeatable); * is all")
    ping_path: str | None = knob(_REQUESTS, None, URL_PATH, "answered 200 without the application")
    status_path: str | None = knob(_REQUESTS, None, URL_PATH, "answered with the status of this run")

    timeout: float = knob(_LIMITS, 0.0, DURATION, "the longest call without a yield")
    slow: float = knob(_LIMITS, 5.0, DURATION, "a call that takes longer is logged with its stack; 0 is off")
    graceful_timeout: float = knob(_LIMITS, 30.0, DURATION, "a retiring worker's calls may take so long")
    hold_timeout: float = knob(_LIMITS, 30.0, DURATION, "a request waits for newer code so long, then 503")
    keep_alive: float = knob(_LIMITS, 15.0, DURATION, "an idle HTTP connection stays open so long")
    header_timeout: float = knob(_LIMITS, 10.0, DURATION, "a request's head must be whole after so long")
    body_timeout: float = knob(_LIMITS, 30.0, DURATION, "the longest pause inside a request's body")
    max_requests: int = knob(_LIMITS, 0, COUNT, "a worker retires after so many; 0 is never")
    max_requests_jitter: int = knob(_LIMITS, 0, COUNT, "or up to so many more, so not all at once")
    max_rss: int = knob(_LIMITS, 0, SIZE, "a worker retires above this memory")
    max_body: int = knob(_LIMITS, 2**30, SIZE, "a larger request body is answered 413")
    max_inflight: int = knob(_LIMITS, 0, COUNT, "more requests at once are answered 503; 0 is no limit")
    max_open: int = knob(_LIMITS, 0, COUNT, "a request may hold so many resources at once; 0 is no limit")

    access_log: str | None = knob(
        _LOGS, None, path_to("PATH", "access.log", dash=True), "one line a request; - is stdout")
    log_format: str = knob(_LOGS, "text", choice("text", "json"), "how log lines are written")
    log_level: str = knob(_LOGS, "info", choice("debug", "info", "warning", "error"), "the least logged")

    def to_json(self) -> str:
        """One line of JSON, to hand the settings to another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The settings that to_json wrote."""
        values: dict[str, Any] = json.loads(text)
        return cls(**values | {name: tuple(each) for name, each in values.items() if isinstance(each, list)})


class Knob(NamedTuple):
    """One setting as it is offered to people by commands, files and documents."""

    name: str      # of the field: max_body
    heading: str
    kind: Kind
    help: str
    default: str   # as people write it; empty if there is none
    nullable: bool

    @property
    def key(self) -> str:
        """Its name in runner.toml: max-body."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """Its option: --max-body. The target is an argument instead."""
        return "TARGET" if self.name == "target" else f"--{self.key}"

    @property
    def usage(self) -> str:
        """Its option and what follows it: --max-body SIZE."""
        return self.flag if self.name == "target" else f"{self.flag} {self.kind.metavar}".rstrip()

    @property
    def environment(self) -> str:
        """Its name in the environment: RUNNER_MAX_BODY."""
        return f"RUNNER_{self.name.upper()}"

    def show(self, value: Any) -> str:
        """*value* as people write it; empty for None and for an empty list."""
        if value is None:
            return ""
        return self.kind.separator.join(value) if self.kind.separator else self.kind.show(value)


def _knobs() -> Iterator[Knob]:
    for each in fields(Settings):
        heading, kind, text, shown = (each.metadata[name] for name in ("heading", "kind", "help", "shown"))
        known = Knob(each.name, heading, kind, text, shown, each.default is None)
        yield known if shown or each.default is MISSING else known._replace(default=known.show(each.default))


KNOBS = tuple(_knobs())
_BY_NAME = {each.name: each for each in KNOBS}


def table() -> str:
    """The settings as a Markdown table, one row each, for the README."""
    rows = ["| option | meaning | default |", "|---|---|---|"]
    for each in KNOBS:
        default = f"`{each.default}`" if each.default else ""
        rows.append(f"| `{each.usage.replace('|', chr(92) + '|')}` | {each.help} | {default} |")
    return "\n".join(rows) + "\n"


# ---- where the values come from ----------------------------------------------------------------------------

class Resolved(NamedTuple):
    """The settings, and for each field its source: `flag`, `RUNNER_WORKERS`, `runner.toml` or `default`."""

    settings: Settings
    sources: Mapping[str, str]


class _Written(NamedTuple):
    """A value as somebody wrote it: text, or whatever else TOML or a command line makes of it."""

    value: object
    source: str


def resolve(flags: Mapping[str, object], environ: Mapping[str, str], directory: str) -> Resolved:
    """The settings of one run: a flag wins over the environment, that over the file, that over the default.

    *flags* are by field name (`max_body`), as text or, for lists, sequences of text; None is "not given".
    `chdir` and `config` are relative to *directory*, the current one; all other paths to `chdir` (which is
    relative to the file, if it stands there). Any address replaces the default one. Raises UsageError.
    """
    outer = {**_from_environment(environ), **_from_flags(flags)}
    chdir = _chdir(outer.get("chdir"), directory)
    config = _config(outer.get("config"), directory, chdir)
    inner = _from_file(config) if config else {}
    if "chdir" in inner and "chdir" not in outer:
        chdir = _chdir(inner["chdir"], os.path.dirname(config or ""))
    given = inner | outer
    found = {name: _value(_BY_NAME[name], written, chdir) for name, written in given.items()}
    found = {"cache_dir": _cache_directory(environ), **found, "chdir": chdir, "config": config}
    sources = {each.name: given[each.name].source if each.name in given else "default" for each in KNOBS}
    if not found.get("http"):   # an empty list of addresses counts as none given
        found["http"] = () if found.get("fastcgi") else Settings.http
        sources["http"] = "default"
    settings = Settings(**found)
    _refuse_doubles(settings)
    return Resolved(settings, sources)


def _refuse_doubles(settings: Settings) -> None:
    """One path, two answers."""
    if settings.ping_path and settings.ping_path == settings.status_path:
        raise UsageError(f"--status-path: {settings.status_path!r} is --ping-path too; "
                         "write for example /status")
    prefixes = [mount.partition("=")[0] for mount in settings.mount]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise UsageError(f"--mount: {prefix!r} is there twice; give each application a path of its own")


def _from_flags(flags: Mapping[str, object]) -> dict[str, _Written]:
    for name in flags:
        if name not in _BY_NAME:
            raise UsageError(f"there is no option --{name}{nearest(name, _BY_NAME)}")
    return {name: _Written(value, "flag") for name, value in flags.items() if value is not None}


def _from_environment(environ: Mapping[str, str]) -> dict[str, _Written]:
    # Empty means unset, as is usual there; an unknown RUNNER_* may belong to somebody else and is let be.
    return {each.name: _Written(environ[each.environment], each.environment)
            for each in KNOBS if environ.get(each.environment)}


def _from_file(file: str) -> dict[str, _Written]:
    import tomllib  # not above: most have no such file, and no process but the supervisor reads it
    name = os.path.basename(file)
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):   # a FIFO, whose open would wait for a writer
            raise OSError(errno.EINVAL, "not a regular file")
        with open(file, "rb") as stream:
            document = tomllib.load(stream)
    except OSError as error:
        raise UsageError(f"--config: cannot read {file!r} ({error.strerror}); "
                         "write for example runner.toml") from None
    except ValueError as error:   # not TOML, or not UTF-8
        raise UsageError(f"{name}: {error}; write for example workers = 4") from None
    by_key = {each.key: each.name for each in KNOBS if each.name != "config"}
    for key in document:
        if key not in by_key:
            raise UsageError(f"{name}: there is no key {key!r}{nearest(key, by_key)}")
    return {by_key[key]: _Written(value, name) for key, value in document.items()}


def _chdir(written: _Written | None, directory: str) -> str:
    if not written:
        return os.path.abspath(directory)
    chdir: str = _value(_BY_NAME["chdir"], written, directory)
    if not os.path.isdir(chdir):
        raise UsageError(f"--chdir: {chdir!r} is not a directory; write for example /srv/shop")
    return chdir


def _config(written: _Written | None, directory: str, chdir: str) -> str | None:
    if written and written.value:
        return str(_value(_BY_NAME["config"], written, directory))
    usual = os.path.join(chdir, "runner.toml")
    return usual if not written and os.path.exists(usual) else None


def _value(known: Knob, written: _Written, directory: str) -> Any:
    """What *written* means for the knob; a UsageError gets the option and the source in front."""
    if known.nullable and written.value == "":
        return None
    try:
        return known.kind.read(written.value, directory, split=written.source == known.environment)
    except UsageError as error:
        source = "" if written.source == "flag" else f" ({written.source})"
        raise UsageError(f"{known.flag}{source}: {error}") from None
