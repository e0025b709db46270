"""The import of the application, recorded: what a generation is made of, and what came of it.

Laws: every input is noted before it is read; whatever the application raises becomes a Failure, an answer like any
other; the process that runs this is a fresh interpreter and imports one application in its life. Start at
import_application. `check` is `runner check`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from runner import channels_place
from runner.errors import BootError, RunnerError, UsageError
from runner.freshness.bytecode import Bytecode
from runner.freshness.recorder import Recorder
from runner.freshness.watch import Watch
from runner.generation import fork_safety, garbage
from runner.host.error_page import Failure
from runner.host.loading import load
from runner.host.mounts import Mount, spell
from runner.process import interpreter
from runner.process.endings import describe_exit
from runner.settings import Settings


@dataclass
class Attempt:
    """What is true of one import, and of the copies of its process that go on with it.

    before_load  called when all is ready for the application and nothing of it is there
    process      whose import this is: not that of a child which the application itself forked
    before       what was open before
    """

    before_load: Callable[[], None] = lambda: None
    process: int = field(default_factory=os.getpid)
    before: fork_safety.Opened = field(default_factory=fork_safety.streams)
    _began: float = field(default_factory=time.perf_counter)

    def resume(self) -> None:
        """This process goes on with it; its time begins now."""
        self.process, self._began = os.getpid(), time.perf_counter()

    def elapsed(self) -> float:
        """Seconds."""
        return time.perf_counter() - self._began


class Import(NamedTuple):
    """What the import came to: the applications or a failure.

    *fatal*: the exit code of a start that cannot succeed by an edit of the code (no such target, no such user), else 0;
    *culprit*: why the process cannot be forked; *seconds* it took.
    """

    mounts: tuple[Mount, ...]
    failure: Failure | None
    fatal: int = 0
    culprit: str = ""
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """What is served, e.g. "WSGI", or "WSGI, ASGI at /live"."""
        return ", ".join(target.kind + (f" at {prefix}" if prefix else "") for prefix, target in self.mounts)


def record(settings: Settings, *, inotify: bool) -> tuple[Watch, Recorder]:
    """The books for one import; nothing is noted before `import_application`."""
    ignore = tuple(os.path.join(settings.chdir, pattern) for pattern in settings.ignore)
    watch = Watch(ignore, inotify=inotify)
    return watch, Recorder(watch.inputs, Bytecode(settings.cache_dir))


def import_application(settings: Settings, watch: Watch, recorder: Recorder, attempt: Attempt) -> Import:
    """Furnish this process and import the target in it. Raises nothing: see Import.failure."""
    mounts: tuple[Mount, ...] = ()
    failure, fatal = None, 0
    try:
        try:
            # Before they are read, and so that an edit of the one that is refused here is noticed.
            _add_named_inputs(settings, watch)
            interpreter.furnish(settings)
            recorder.open()
            attempt.before_load()
        finally:
            gc.enable()  # see launch.py
            garbage.put_off()
        mounts = _load_all(settings)
    except RunnerError as error:
        failure = Failure(str(error), str(error))
        fatal = error.exit_code if isinstance(error, UsageError | BootError) else 0
    except BaseException as error:
        # SystemExit too: an application that ends the process while it is imported has failed, no more.
        failure = Failure.of(error)
        if isinstance(error, SyntaxError) and error.filename:
            watch.inputs.add_file(os.path.abspath(error.filename))
    if os.getpid() != attempt.process:
        # A child that the application forked came out of the import, too. Whatever its work was, it is nobody's
        # generation, and the channel it has inherited is its parent's.
        os._exit(1 if failure else 0)
    recorder.settle()
    channels_place.part()
    culprit = fork_safety.culprit(attempt.before)
    return Import(mounts, failure, fatal, culprit, attempt.elapsed())


def check(settings: Settings) -> int:
    """`runner check`: the exit code, after one line of praise or of blame, also if the import ends its process."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        code = _check(settings)
        os.write(write, b".")
        return code
    os.set_blocking(read, False)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(BlockingIOError):
        os.close(write)
        if os.read(read, 1):
            return status
    sys.stderr.write(f"runner: {settings.target}: the process {describe_exit(status)} during the import\n")
    return 128 - status if status < 0 else status or RunnerError.exit_code


def _check(settings: Settings) -> int:
    channels_place.furnish(settings.channels, -1)
    watch, recorder = record(settings, inotify=False)
    result = import_application(settings, watch, recorder, Attempt())
    if result.failure is not None:
        place = f" ({result.failure.where})" if result.failure.where and not result.fatal else ""
        sys.stderr.write(f"runner: {settings.target}: {result.failure.summary}{place}\n")
        return result.fatal or RunnerError.exit_code
    threads = f"; {result.culprit}, so each worker will import by itself" if result.culprit else ""
    files = len(watch.inputs.files)
    found = f"{result.kind}, {files} files, {result.seconds * 1000:.0f} ms{threads}"
    sys.stdout.write(f"{settings.target} is fine: {found}\n")
    sys.stdout.flush()
    return 0


def _load_all(settings: Settings) -> tuple[Mount, ...]:
    """The target and all that is mounted beside it, in this order."""
    mounts = [Mount("", load(settings.target, settings.chdir, settings.interface))]
    for text in settings.mount:
        prefix, _, target = text.partition("=")
        mounts.append(Mount(spell(prefix), load(target.strip(), settings.chdir)))
    return tuple(mounts)


def _add_named_inputs(settings: Settings, watch: Watch) -> None:
    """What the settings name: their own file, the environment's, and `--watch`."""
    # A settings file that is not there yet may be made.
    for path in (settings.config or os.path.join(settings.chdir, "runner.toml"), settings.env_file):
        if path:
            watch.inputs.add_file(path)
    for pattern in settings.watch:
        watch.inputs.add_glob(os.path.join(settings.chdir, pattern))
    watch.watch_root(settings.chdir)
