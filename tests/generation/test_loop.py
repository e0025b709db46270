"""A generation, spoken to as its supervisor speaks to it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from runner.generation.lookout import read_journal
from runner.process import messages
from tests.conftest import Project
from tests.support.client import fetch
from tests.support.kernel import refusing
from tests.support.project import edit
from tests.support.stage import ended, generation
from tests.support.trouble import SOURCE, alive, until


@pytest.fixture
def directory(project: Project) -> Path:
    """An application that works."""
    return project({"app.py": SOURCE})


def test_it_reports_what_it_has_loaded(directory: Path) -> None:
    """Kind, files, milliseconds, no reason against forking."""
    with generation(directory) as stage:
        loaded = stage.hear(messages.Loaded)
        assert (loaded.kind, loaded.culprit, loaded.notes) == ("WSGI", "", [])
        assert loaded.files > 0 and loaded.milliseconds > 0


def test_it_reports_what_is_broken_and_where(directory: Path) -> None:
    """And lives, to answer with it."""
    edit(directory / "app.py", "x = 1\nx.y\n")
    with generation(directory) as stage:
        broken = stage.hear(messages.Broken)
        assert broken.summary == "AttributeError: 'int' object has no attribute 'y'"
        assert (broken.where, broken.fatal) == (f"{directory}/app.py:2", 0)
        _, channel = stage.fork()
        stage.hear(messages.Ready, channel)
        assert fetch(stage.queue.getsockname()).status == 500
        channel.close()


@pytest.mark.parametrize(("flags", "code"), [({"target": "ap:main"}, 2), ({"user": "nobody-at-all"}, 3)])
def test_what_no_edit_can_mend_has_an_exit_code(directory: Path, flags: dict[str, Any], code: int) -> None:
    """2 for what was typed, 3 for what the machine refuses."""
    with generation(directory, **flags) as stage:
        assert stage.hear(messages.Broken).fatal == code


def test_it_tells_a_save_once(directory: Path) -> None:
    """With the path, and how much had been imported before."""
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        edit(directory / "app.py", SOURCE + "\n")
        assert stage.hear(messages.Stale) == messages.Stale([f"{directory}/app.py"], 0)
        edit(directory / "app.py", SOURCE)
        stage.channel.send(messages.Retire())
        assert ended(stage.channel)


def test_what_was_saved_is_compiled_for_whoever_imports_it_next(directory: Path, tmp_path: Path) -> None:
    """It lies in the cache soon after the save was told."""
    cache = tmp_path / "cache"
    with generation(directory, cache_dir=str(cache)) as stage:
        stage.hear(messages.Loaded)
        known = set(cache.iterdir())
        edit(directory / "app.py", SOURCE + "\n")
        stage.hear(messages.Stale)
        until("it is compiled", lambda: len(set(cache.iterdir()) - known) == 1)


def test_what_turns_out_after_the_import_is_told(directory: Path) -> None:
    """By a worker that imports from where it cannot watch, and by the generation that it tells of that."""
    edit(directory / "app.py", SOURCE + "\ndef late(options):\n    import far\n    return [b'']\n")
    (directory / "far").mkdir()
    edit(directory / "far" / "__init__.py", "")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in refusing(mounts={directory / "far": "nfs4"}).items():
            patch.setenv(name, value)
        with generation(directory) as stage:
            assert stage.hear(messages.Loaded).notes == []
            _, channel = stage.fork()
            stage.hear(messages.Ready, channel)
            assert fetch(stage.queue.getsockname(), "/late").status == 200
            told = stage.hear(messages.Note, channel)
            assert told.text.startswith(f"{directory}/far is on nfs4")
            assert fetch(stage.queue.getsockname(), "/pid").status == 200
            assert stage.hear(messages.Note) == told
            channel.close()


def test_a_worker_accepts_and_its_end_is_told(directory: Path) -> None:
    """By its own channel first, then by its parent, with the status."""
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        pid, channel = stage.fork()
        assert stage.hear(messages.Ready, channel).pid == pid
        os.kill(pid, signal.SIGKILL)
        assert ended(channel)
        reaped = stage.hear(messages.Reaped)
        assert (reaped.pid, os.waitstatus_to_exitcode(reaped.status)) == (pid, -signal.SIGKILL)


def test_a_worker_hears_what_it_was_told_before_it_listened(directory: Path) -> None:
    """TERM the moment it is there, and it leaves."""
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        pid, channel = stage.fork()
        os.kill(pid, signal.SIGTERM)
        said = {type(stage.hear(object, channel)) for _ in range(2)}
        assert said == {messages.Ready, messages.Retiring}
        assert ended(channel)


def test_a_fork_without_a_channel_is_refused(directory: Path) -> None:
    """As it is when no descriptor number is free; the generation lives."""
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        stage.channel.send(messages.Fork(0, 5))
        assert stage.hear(messages.Forked) == messages.Forked(5, 0, "cannot fork: Too many open files")
        stage.fork()[1].close()


def test_what_it_reads_is_journaled_before_it_runs(directory: Path) -> None:
    """So that its successor can say what killed it, and watch that."""
    edit(directory / "app.py", "import os, inner\n")
    edit(directory / "inner.py", "import os\nos._exit(9)\n")
    journal = os.memfd_create("journal")
    with generation(directory, journal=journal) as stage:
        assert ended(stage.channel)
        assert stage.popen.wait() == 9
    lines, _ = read_journal(journal)
    assert [name for _, name in lines][-2:] == ["app", "inner"]
    with generation(directory, journal=journal, aftermath="ended with exit code 9") as stage:
        assert stage.hear(messages.Broken).summary == (
            "the application's process ended with exit code 9 while importing inner")
        edit(directory / "inner.py", "")
        assert stage.hear(messages.Stale).paths == [f"{directory}/inner.py"]
    os.close(journal)


def interrupt(directory: Path, rest: str = "") -> None:
    """Let the application be saved by somebody else while it is imported; *rest* is what it does then."""
    saved = str(directory / "app.py")
    save = f"import os; open({saved + '.new'!r}, 'w').write('x = 2'); os.replace({saved + '.new'!r}, {saved!r})"
    edit(directory / "inner.py", f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {save!r}])\n")
    edit(directory / "app.py", f"import inner\n{rest}\n{SOURCE}")


@pytest.mark.parametrize(("rest", "voids"), [("", 0), ("1/0", 0), ("1/0", 4)])
def test_a_save_during_the_import_makes_it_void(directory: Path, rest: str, voids: int) -> None:
    """The first time; and a mixture of two saves that fails is no answer for longer."""
    interrupt(directory, rest)
    with generation(directory, voids=voids) as stage:
        assert stage.hear(messages.Unborn).paths == [f"{directory}/app.py"]
        assert ended(stage.channel)


def test_after_a_void_attempt_it_may_be_late(directory: Path) -> None:
    """Stale from birth, before it can fork; good for who has waited since before its import, and for nobody else."""
    interrupt(directory)
    before = time.monotonic()
    with generation(directory, voids=1) as stage:
        loaded = stage.hear(messages.Loaded)
        assert loaded.late == [f"{directory}/app.py"]
        assert before < loaded.good_until < time.monotonic() - loaded.milliseconds / 1000
        assert stage.hear(messages.Stale).paths == loaded.late


@pytest.mark.parametrize(("voids", "kind"), [(1, messages.Unborn), (3, messages.Unborn), (1000, messages.Loaded)])
def test_half_a_work_tree_is_no_save(directory: Path, voids: int, kind: type[Any]) -> None:
    """Where git was at work during the import it is void like a failure, although it came out well."""
    (directory / ".git").mkdir()
    interrupt(directory, "open('.git/index', 'w').close()")
    with generation(directory, voids=voids) as stage:
        stage.hear(kind)


def test_a_failure_is_shown_when_attempts_have_been_void_for_long(directory: Path) -> None:
    """Stale from birth as well."""
    interrupt(directory, "1/0")
    with generation(directory, voids=1000) as stage:
        broken = stage.hear(messages.Broken)
        assert (broken.summary, broken.late) == ("ZeroDivisionError: division by zero", [f"{directory}/app.py"])
        assert stage.hear(messages.Stale).paths == broken.late


def test_what_is_proven_is_good_until_its_proof(directory: Path) -> None:
    """Later than all it has read."""
    before = time.monotonic()
    with generation(directory) as stage:
        loaded = stage.hear(messages.Loaded)
        assert loaded.late == []
        assert before + loaded.milliseconds / 1000 < loaded.good_until < time.monotonic()


def test_a_worker_that_let_go_of_its_channel_does_not_outlive_it(directory: Path) -> None:
    """It is known to nobody else when its generation retires."""
    edit(directory / "app.py", SOURCE + "\ndef close(options):\n    os.closerange(3, 200)\n    time.sleep(60)\n")
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        pid, channel = stage.fork()
        stage.hear(messages.Ready, channel)
        with pytest.raises((AssertionError, OSError)):
            fetch(stage.queue.getsockname(), "/close")
        assert ended(channel)
        assert alive({pid})
        stage.channel.send(messages.Retire())
        stage.hear(messages.Reaped)
        assert ended(stage.channel) and not alive({pid})


def test_without_a_supervisor_nobody_stays(directory: Path) -> None:
    """The generation waits a second for its workers, then ends them."""
    with generation(directory) as stage:
        stage.hear(messages.Loaded)
        pids = []
        channels = []
        for key in (1, 2):
            pid, channel = stage.fork(key - 1, key)
            stage.hear(messages.Ready, channel)
            pids.append(pid)
            channels.append(channel)
        for channel in channels:
            channel.close()
    until("all are gone", lambda: not alive(set(pids)), 2.0)
