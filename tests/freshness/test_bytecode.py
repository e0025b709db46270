"""No .pyc and no cache entry is believed that could have been made of other source."""

import importlib.util
import marshal
import os
import py_compile
import threading
import time
import warnings
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from runner.freshness import bytecode
from runner.freshness.bytecode import Bytecode
from tests.freshness.recorded import record
from tests.support.process import PATIENCE
from tests.support.project import project

OLD = 10**9


def value(code: CodeType) -> object:
    """What X is after *code* ran."""
    space: dict[str, object] = {}
    exec(code, space)
    return space["X"]


def load(path: Path, cache: Path | None = None) -> object:
    """X of the module at *path* as the rule has it."""
    rule = Bytecode(str(cache) if cache else None)
    return value(rule.load(str(path), SourceFileLoader("module", str(path))))


def settle(path: Path, before: float = 100.0) -> Path:
    """Have *path* look as if it had been saved *before* seconds ago, by its modification time."""
    now = time.time()
    os.utime(path, (now - before, now - before))
    return path


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module with X = 1 that was saved long ago by its times."""
    path = tmp_path / "module.py"
    path.write_text("X = 1\n")
    return settle(path)


def compiled(path: Path, mode: py_compile.PycInvalidationMode = py_compile.PycInvalidationMode.TIMESTAMP) -> Path:
    """Compile *path* as any Python does, with another X, so that the reader of the .pyc gives himself away."""
    text, times = path.read_bytes(), os.stat(path)
    path.write_bytes(text.replace(b"1", b"9"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    pyc = py_compile.compile(str(path), invalidation_mode=mode)
    path.write_bytes(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert pyc
    return Path(pyc)


def test_a_same_second_same_size_edit(module: Path) -> None:
    """A .pyc that matches by second and size, but was written right after the source changed, is not believed."""
    compiled(module)
    assert load(module) == 1


def test_python_itself_is_fooled(module: Path) -> None:
    """The fault exists: a new interpreter runs what the matching .pyc says."""
    compiled(module)
    code = SourceFileLoader("module", str(module)).get_code("module")
    assert code
    assert value(code) == 9


def test_a_settled_pyc_is_believed(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .pyc written well after the source's last change is taken as it is."""
    pyc = compiled(module)
    monkeypatch.setattr(bytecode, "SETTLED", -3.0)
    os.utime(pyc)
    assert load(module) == 9


def test_a_source_that_is_older_than_its_pyc_says(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit after the clock was set back: its time is before that of the source which the .pyc was made of."""
    pyc = compiled(module)
    monkeypatch.setattr(bytecode, "SETTLED", -3.0)
    os.utime(pyc)
    assert load(module) == 9, "the trap is none"
    settle(module, 3700.0)
    assert load(module) == 1


def test_copied_times_are_not_enough(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy keeps modification times and makes new change times; a .pyc as young as its source stays unbelieved."""
    pyc = compiled(module)
    os.utime(pyc, (os.stat(module).st_mtime, os.stat(module).st_mtime))
    real = os.stat

    def long_ago(path: str) -> os.stat_result:
        seen = list(real(path))
        seen[9] = OLD   # the change time, in seconds
        return os.stat_result(seen)

    monkeypatch.setattr(os, "stat", long_ago)
    assert load(module) == 1


@pytest.mark.parametrize("seconds", [0, 1])
def test_epoch_times(module: Path, seconds: int) -> None:
    """Where every file has the time of the epoch, as in reproducible builds, a .pyc proves nothing."""
    os.utime(module, (seconds, seconds))
    pyc = compiled(module)
    os.utime(pyc, (seconds, seconds))
    assert load(module) == 1


@pytest.mark.parametrize("seconds", [0, 1, 315_532_800, 315_619_200], ids=["0", "1", "1980", "a day later"])
def test_epoch_times_and_a_later_pyc(module: Path, monkeypatch: pytest.MonkeyPatch, seconds: int) -> None:
    """A time that every file is given fits every edit: no .pyc of such a source is believed, however young it is."""
    os.utime(module, (seconds, seconds))
    pyc = compiled(module)
    monkeypatch.setattr(bytecode, "SETTLED", -3.0)
    os.utime(pyc)
    assert load(module) == 1


def test_checked_hashes(module: Path) -> None:
    """A .pyc with the hash of its source is believed if the hash is right, and only then."""
    pyc = Path(py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH) or "")
    data = pyc.read_bytes()
    forged = marshal.dumps(compile("X = 9", str(module), "exec"))
    pyc.write_bytes(data[:16] + forged)
    assert load(module) == 9
    module.write_text("X = 2\n")
    assert load(module) == 2


def test_unchecked_hashes(module: Path) -> None:
    """A .pyc that says "do not check me" is not believed: it may be of any source."""
    compiled(module, py_compile.PycInvalidationMode.UNCHECKED_HASH)
    assert load(module) == 1


@pytest.mark.parametrize("content", [b"", b"x" * 15, importlib.util.MAGIC_NUMBER + b"\0" * 12, b"\0" * 64])
def test_torn_pycs(module: Path, content: bytes) -> None:
    """A .pyc that is empty, cut or of another Python is as good as none."""
    pyc = compiled(module)
    pyc.write_bytes(content)
    assert load(module) == 1


def test_a_pyc_that_is_a_fifo(module: Path) -> None:
    """Nobody waits for somebody to write into it."""
    compiled = Path(importlib.util.cache_from_source(str(module)))
    compiled.parent.mkdir(exist_ok=True)
    os.mkfifo(compiled)
    module.write_text("X = 7")
    assert load(module) == 7


def test_the_cache_is_by_content(module: Path, tmp_path: Path) -> None:
    """Going back to an earlier content finds its entry; two files of one content have one each, for names differ."""
    cache = tmp_path / "cache"
    for text in ("X = 1\n", "X = 2\n", "X = 1\n"):
        module.write_text(text)
        assert load(module, cache) == int(text[4])
    assert len(list(cache.iterdir())) == 2
    twin = tmp_path / "twin.py"
    twin.write_text("X = 1\n")
    code = Bytecode(str(cache)).load(str(twin), SourceFileLoader("twin", str(twin)))
    assert code.co_filename == str(twin)


def test_the_cache_is_used(module: Path, tmp_path: Path) -> None:
    """The second load of a source compiles nothing."""
    cache = tmp_path / "cache"
    load(module, cache)

    class Watched(SourceFileLoader):
        """Would say that it was asked to compile."""

    rule = Bytecode(str(cache))
    entry = next(cache.iterdir())
    forged = marshal.dumps(compile("X = 9", str(module), "exec"))
    entry.write_bytes(bytecode._checksum(forged) + forged)
    assert value(rule.load(str(module), Watched("module", str(module)))) == 9


def test_corrupt_entries(module: Path, tmp_path: Path) -> None:
    """An entry with any byte changed, cut or empty costs a compilation and nothing else."""
    cache = tmp_path / "cache"
    load(module, cache)
    entry = next(cache.iterdir())
    data = entry.read_bytes()
    torn = [b"", data[:-1], data + b"x", b"\0" * len(data)]
    for content in [*torn, *(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 7))]:
        entry.write_bytes(content)
        assert load(module, cache) == 1
        assert entry.read_bytes() == data


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722])
def test_a_cache_that_others_can_write(module: Path, tmp_path: Path, mode: int) -> None:
    """Code is not taken from, nor put into, a directory in which somebody else could leave some."""
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(mode)
    assert load(module, cache) == 1
    assert list(cache.iterdir()) == []


def test_somebody_elses_cache(module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of another user's is not used whatever its mode."""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert load(module, tmp_path / "cache") == 1
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_cache_is_private(module: Path, tmp_path: Path) -> None:
    """A new cache is nobody else's business."""
    load(module, tmp_path / "deep" / "cache")
    assert os.stat(tmp_path / "deep" / "cache").st_mode & 0o777 == 0o700


def test_no_cache_no_harm(module: Path, tmp_path: Path) -> None:
    """Where no directory can be made, code is compiled and nobody is told."""
    (tmp_path / "file").touch()
    assert load(module, tmp_path / "file" / "cache") == 1


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a tenth goes, the longest unused entries; a process that added none removes none."""
    monkeypatch.setattr(bytecode, "CACHE_FILES", 5)
    cache = tmp_path / "cache"
    rule = Bytecode(str(cache))
    for number in range(6):
        path = tmp_path / f"m{number}.py"
        path.write_text(f"X = {number}\n")
        rule.load(str(path), SourceFileLoader("m", str(path)))
        for entry in cache.iterdir():
            if os.stat(entry).st_atime > OLD + 10:
                os.utime(entry, (OLD + number, OLD))
    Bytecode(str(cache)).prune()
    assert len(list(cache.iterdir())) == 6
    rule.prune()
    assert sorted(os.stat(entry).st_atime for entry in cache.iterdir()) == [OLD + number for number in (2, 3, 4, 5)]


def test_in_a_whole_import(tmp_path: Path) -> None:
    """Fifty same-second same-size edits, each imported by a new recorded interpreter's rules: never the old one."""
    place = project(tmp_path / "project", {"module.py": "X = 1\n"})
    code = (
        "import os, importlib, sys\nseen = []\n"
        "for number in range(50):\n"
        "    text = f'X = {number + 10}\\n'\n"
        "    open('module.py', 'w').write(text); os.utime('module.py', (10**9, 10**9))\n"
        "    sys.modules.pop('module', None); importlib.invalidate_caches()\n"
        "    import module; seen.append(module.X)\n"
        "print(seen == list(range(10, 60)))"
    )
    assert record(place, code, cache=tmp_path / "cache").output == "True\n"


def test_a_syntax_error_is_the_sources(module: Path, tmp_path: Path) -> None:
    """Broken source raises what it always raises, and leaves no entry."""
    module.write_text("X = (\n")
    with pytest.raises(SyntaxError):
        load(module, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


# ---- ahead --------------------------------------------------------------------------------------------------------

def entries(cache: Path) -> list[Path]:
    """What is in the cache."""
    return sorted(cache.iterdir()) if cache.is_dir() else []


def test_what_was_compiled_ahead_is_found(module: Path, tmp_path: Path) -> None:
    """By another process, which then does not compile it."""
    cache = tmp_path / "cache"
    Bytecode(str(cache)).compile_ahead(str(module))
    (before,) = entries(cache)
    rule = Bytecode(str(cache))
    rule.compile_ahead(str(module))
    assert value(rule.load(str(module), SourceFileLoader("module", str(module)))) == 1
    assert entries(cache) == [before] and not rule._wrote


@pytest.mark.parametrize("text", ["X = (\n", "X = '\\d'\n", "X = 1\0\n", "#" * (bytecode.LARGE + 1)],
                         ids=["broken", "warned of", "no text", "large"])
def test_what_an_import_has_to_say_itself_is_not_compiled_ahead(tmp_path: Path, text: str) -> None:
    """An error, a warning; and what would take long. Nothing is said of it here."""
    (tmp_path / "module.py").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Bytecode(str(tmp_path / "cache")).compile_ahead(str(tmp_path / "module.py"))
    assert entries(tmp_path / "cache") == []


def test_what_is_not_there_or_has_no_cache_is_not_compiled_ahead(module: Path, tmp_path: Path) -> None:
    """It was removed again; no directory is to be had."""
    Bytecode(str(tmp_path / "cache")).compile_ahead(str(tmp_path / "none.py"))
    Bytecode(None).compile_ahead(str(module))
    assert entries(tmp_path / "cache") == []


def test_what_is_no_file_is_not_touched_ahead(tmp_path: Path) -> None:
    """What is written into a FIFO is meant for whoever imports it."""
    fifo = tmp_path / "module.py"
    os.mkfifo(fifo)
    writer = os.open(fifo, os.O_RDWR)
    os.write(writer, b"X = 1\n")
    Bytecode(str(tmp_path / "cache")).compile_ahead(str(fifo))
    assert os.read(writer, 100) == b"X = 1\n"
    os.close(writer)


def test_what_is_there_is_found_and_nothing_is_compiled(module: Path, tmp_path: Path) -> None:
    """In the cache, or as a .pyc that is believed."""
    rule = Bytecode(str(tmp_path / "cache"))
    assert rule.find(str(module)) is None
    assert Bytecode(None).find(str(module)) is None
    rule.compile_ahead(str(module))
    found = rule.find(str(module))
    assert found is not None and value(found) == 1


def test_a_rehearsal_leaves_nothing(module: Path, tmp_path: Path) -> None:
    """It only does the work."""
    Bytecode(str(tmp_path / "cache")).compile_ahead(str(module), keep=False)
    assert entries(tmp_path / "cache") == []


def test_who_asks_for_what_is_being_compiled_waits_for_it(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not compiled twice at the same time."""
    begun, asked, compiled = threading.Event(), threading.Event(), []
    make, exists = SourceFileLoader.source_to_code, os.path.exists

    def slowly(loader: SourceFileLoader, data: Any, path: Any) -> CodeType:
        compiled.append(path)
        begun.set()
        assert asked.wait(PATIENCE)
        return make(loader, data, path)

    def looked(path: str) -> bool:
        asked.set()
        return exists(path)

    monkeypatch.setattr(bytecode, "PACE", 10.0)
    monkeypatch.setattr(SourceFileLoader, "source_to_code", slowly)
    cache = str(tmp_path / "cache")
    other = threading.Thread(target=Bytecode(cache).compile_ahead, args=(str(module),))
    other.start()
    assert begun.wait(PATIENCE)
    monkeypatch.setattr(os.path, "exists", looked)
    rule = Bytecode(cache)
    assert value(rule.load(str(module), SourceFileLoader("module", str(module)))) == 1
    other.join()
    assert compiled == [str(module)] and not rule._wrote


def test_who_waits_for_somebody_that_has_died_compiles_it(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that it could take; and nobody waits for that one again."""
    cache = tmp_path / "cache"
    Bytecode(str(cache)).compile_ahead(str(module))
    (entry,) = entries(cache)
    entry.rename(cache / f".{entry.name}")
    monkeypatch.setattr(bytecode, "PACE", 0.0)
    assert load(module, cache) == 1
    assert entries(cache) == [entry]


def test_what_is_being_compiled_by_another_is_left_to_it(module: Path, tmp_path: Path) -> None:
    """One is enough."""
    cache = tmp_path / "cache"
    Bytecode(str(cache)).compile_ahead(str(module))
    (entry,) = entries(cache)
    beside = entry.rename(cache / f".{entry.name}")
    Bytecode(str(cache)).compile_ahead(str(module))
    assert entries(cache) == [beside]
