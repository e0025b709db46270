"""From the order to begin to the report: imported, and proven fresh; or why not.

    import   with every input noted before it is read; what fails becomes the error that is shown (importing.py)
    pause    on the way copies of the process are left behind, each at an exact point of this import (checkpoints). One
             whose inputs are still what they were is told to go on, as a later generation: what it has imported it
             need not import again
    prove    nothing changed while the import ran, or this attempt is void; after a void one it may be late, that is:
             stale from birth, and good for the requests that are older than the import
    report   Loaded or Broken; a void attempt says Unborn and ends

Laws: a checkpoint is taken before the next file is looked at, never while what it would share cannot be shared
(fork_safety.py); who goes on looks at all that was found meanwhile, and then at what waits in the queue.
Start at Birth.go.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import NoReturn

from runner import channels_place
from runner.freshness.git import Trees
from runner.freshness.stamps import torn
from runner.generation import fork_safety, garbage, lookout, page
from runner.generation.hush import Hushes
from runner.generation.importing import Attempt, Import, import_application, record
from runner.generation.learned import Learned
from runner.generation.pause import fork, pause
from runner.generation.placement import FIRST_STEP, Placement
from runner.generation.preload import Preload
from runner.generation.readiness import Readiness, imported
from runner.host.error_page import Failure
from runner.host.loading import parse_target
from runner.log import Log
from runner.process import interpreter, lifeline, messages
from runner.process.channel import Channel
from runner.process.messages import Begin
from runner.process.titles import set_title
from runner.settings import Settings

PATHS = 50
"""Changed paths that a message names."""
_HOPELESS, _WEARY = 4, 2.0
"""Void attempts in a row, and seconds of them, after which what failed, or is a mixture of saves, or half a work tree,
is shown although files changed under it."""


class Birth:
    """The process from *begin* on; its fields are what the generation lives with.

    copies  processes that were left behind in this import; they are our children
    late    paths that changed while they were imported, if this generation is good all the same
    first   requests that wait may be answered before the first fork
    hushes  those who wait until we are not busy any more
    """

    def __init__(self, begin: Begin, channel: Channel) -> None:
        settings = self.settings = Settings.from_json(begin.settings)
        channels_place.furnish(settings.channels, begin.door)
        self.begin = begin
        self.channel = channel
        self.watched = settings.reload != "off" and begin.slot != messages.PAGE
        self.watch, self.recorder = record(settings, inotify=self.watched)
        self.result = Import((), None)
        self._trees, self._placed = Trees(self.watch.note), 0
        self.good_until = 0.0
        self.late: list[str] = []
        self.copies: set[int] = set()
        self._attempt = Attempt(self._before_load)
        able = self.watched and begin.slot in (messages.FORKING, messages.ZYGOTE) and begin.lifeline >= 0
        most = settings.checkpoints if able and lifeline.works() else 0
        self._placement = Placement(most, frozenset(begin.hot), begin.step or FIRST_STEP)
        self._bond = -1
        self.hushes, self._pages = Hushes(), b""
        self._resumed = self.first = False
        self._paused_at = -1
        self._learned = Learned("")
        self._preload = Preload([], "", (), self._unfit)
        self._name()

    def go(self) -> None:
        """Import, prove, report. Does not return if the attempt is void; returns once more in each that goes on."""
        if self.begin.slot != messages.PAGE:
            self._trees.wait([self.settings.chdir, *filter(os.path.isabs, sys.path)])
        self.good_until = time.monotonic()
        if self.begin.slot == messages.PAGE:
            self.result = page.load(self.settings, self.begin)
        elif self.begin.aftermath:
            self._import_nothing()
        else:
            self._import()
        if self.watched:
            self._wait_for_git()
            self._prove()
        self.first = self.first and self._may_answer()
        self.watch.inputs.take_additions()
        if not self._resumed:
            gc.collect()  # else it is little that came since, and somebody is waiting
            interpreter.die_with_parent(False)  # else that was forgotten at the fork
        gc.freeze()
        garbage.look_again()
        self._report()

    def survive(self) -> None:
        """The supervisor's end is heard from now on, and no reason to end at once; in a copy it never was."""
        if self._bond >= 0:
            os.close(self._bond)
            self._bond = -1

    def idle_work(self) -> Iterator[None]:
        """What has time, in small steps."""
        self.hushes.release()
        yield
        for _ in self.watch.inputs.unhashed():
            yield
        self.recorder.tidy()
        yield
        if self._placement.most and not self._resumed:
            self._learn_own()
        yield
        self.recorder.rehearse(self._placement.hot)
        yield

    # ---- import ---------------------------------------------------------------------------------------------

    def _import(self) -> None:
        self.recorder.started = self._journal
        self.result = import_application(self.settings, self.watch, self.recorder, self._attempt)
        self.recorder.started = self.recorder.about = self.recorder.given = None
        if self._placement.most and self.result.failure is None:
            with self.recorder.own_reads():
                self._learned.learn(self._preload.settle())

    def _learn_own(self) -> None:
        found, _ = imported(self.begin.journal)
        with self.recorder.own_reads():
            self._learned.learn_own([each for each in found if not each[1].startswith(self.recorder.libraries)])

    def _import_nothing(self) -> None:
        """The last attempt's process died in the import: show that, and watch what it had read until then."""
        interpreter.furnish(self.settings)
        name = ""
        for additions, name in lookout.read_journal(self.begin.journal)[0]:  # noqa: B007 (the last name is meant)
            self.watch.inputs.adopt(additions)
        place = f" while importing {name}" if name else ""
        summary = f"the application's process {self.begin.aftermath}{place}"
        self.result = Import((), Failure(summary, summary))

    def _journal(self, line: bytes) -> None:
        """Leave a trace for whoever comes after us, before each module's code can end this process."""
        with contextlib.suppress(OSError):
            os.write(self.begin.journal, line)

    def _wait_for_git(self) -> None:
        """Until it has changed all that we watch; where that lies is asked only if there is more of it than before."""
        count = len(self.watch.directories)
        self._trees.wait(list(self.watch.directories) if count > self._placed else ())
        self._placed = count

    def _prove(self) -> None:
        """What has changed since it was read ends this process, or makes it late."""
        before = time.monotonic()
        changed = self.late = list(self.watch.prove(sweep=not self._resumed)[:PATHS])
        if not changed:
            self.good_until = before
            return
        # What was on the disk at some moment is good for those who have waited since before; a failure is no answer if
        # it may be that of a mixture, and half a work tree is no save.
        mixed = torn(self.watch.inputs.files, self.recorder.read, changed, *self.recorder.confirmed())
        whole = not mixed and not self._trees.worked()
        good = self.result.failure is None and whole
        hopeless = self.begin.voids >= _HOPELESS and self.begin.voids * self._attempt.elapsed() >= _WEARY
        if not hopeless and not (good and self.begin.voids):
            self.channel.send(messages.Unborn(changed))
            os._exit(0)

    def _may_answer(self) -> bool:
        good = not self.late and self.result.failure is None and not self.result.culprit
        return good and all(mount.target.kind == "WSGI" for mount in self.result.mounts)

    # ---- checkpoints ----------------------------------------------------------------------------------------

    def _before_load(self) -> None:
        """The first checkpoint: everything is ready, and nothing of the application is there."""
        if not self._placement.most:
            return
        with self.recorder.own_reads():
            self._learned = Learned.of(self.settings)
        names = self._learned.wanted(self.settings.no_preload) if self.begin.preload else []
        target = parse_target(self.settings.target, self.settings.chdir).module
        self._preload = Preload(names, target, self.recorder.libraries, self._unfit)
        self._preload.load()
        self.recorder.about, self.recorder.given = self._about, self._preload.give
        with self.recorder.own_reads():
            self._checkpoint("", "")
        if self.begin.slot == messages.ZYGOTE:
            self.watch.leave()
            os._exit(0)

    def _unfit(self, name: str, reason: str) -> NoReturn:
        """What was preloaded is not what the application asks for: whoever begins anew finds out what is."""
        with self.recorder.own_reads():
            if name:
                self._learned.stop_at(name)
            self.channel.send(messages.Unfit(reason if name else ""))
        os._exit(0)

    def _news(self) -> int:
        """How many modules a zygote could load, if that is more than ours did."""
        wanted = len(self._learned.wanted(self.settings.no_preload))
        return wanted if wanted > self._preload.loaded else 0

    def _about(self, name: str, path: str) -> None:
        """The file of the module *name* is about to be read."""
        # Where nothing was imported since the last pause, whoever was paused there is as good.
        new = self.recorder.count != self._paused_at and os.getpid() == self._attempt.process
        if new and self._placement.wants(path, self._attempt.elapsed()):
            with self.recorder.own_reads():
                self._checkpoint(name, path)

    def _checkpoint(self, name: str, path: str) -> None:
        """Leave a copy behind, if this process can be copied."""
        channels_place.part()
        if fork_safety.culprit(self._attempt.before):
            return  # said when the import is over
        if fork_safety.children() - self.copies:
            self.watch.note("the import left a child process running: no checkpoints from there on")
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        busy, hush = os.pipe()
        noted = os.fstat(self.begin.journal).st_size
        began = self._attempt.elapsed()
        self._paused_at = self.recorder.count
        self.hushes.note_written()
        gc.freeze()
        copy = fork()
        if not copy:
            ours.close()
            os.close(hush)
            try:
                self._wait(Channel(theirs), busy, name, path, noted)
            except OSError:
                # Whatever it is, it is nothing that the application could have met, and nobody has told us to go on.
                os._exit(1)
            return
        if copy > 0:
            self.copies.add(copy)
            self.hushes.add(hush)
            self.hushes.nearer |= path in self._placement.hot
            self.channel.send(messages.Paused(name, self.recorder.count), ours.fileno())
            now = self._attempt.elapsed()
            for pid in self._placement.note_taken(copy, path, now, now - began):
                os.kill(pid, signal.SIGKILL)
        else:
            os.close(hush)
        os.close(busy)
        ours.close()
        theirs.close()

    def _wait(self, channel: Channel, busy: int, name: str, path: str, size: int) -> None:
        """The copy's side: it waits, for ever. Returns in those who go on. *size*: bytes in the journal."""
        set_title(f"checkpoint before {name}" if name else "zygote", self.settings.target)
        self.channel.close()
        self.survive()
        self.hushes.let_go()
        journal = self.begin.journal
        self.copies = set()
        self._placed = len(self.watch.directories)
        importlib.invalidate_caches()  # for all who go on: nothing is looked for until then
        readiness = Readiness(path, journal, size, self._trees, self.watch, self.recorder, self._learned)
        told = pause(channel, readiness, busy, likely=path in self._placement.hot, known=self._pages)
        order, (line, noted) = told.message, told.descriptors
        self.good_until = time.monotonic()
        self.channel = Channel(socket.socket(fileno=line))
        self._bond = lifeline.bind(self.begin.lifeline)
        # Whoever reads what this import notes wants to know what was noted before it was paused.
        _copy(journal, noted, size)
        os.close(journal)
        self.begin = self.begin._replace(
            slot=messages.FORKING, number=order.number, voids=order.voids, journal=noted
        )
        self._pages = told.known
        self.hushes = Hushes(told.hush, curious=not told.known, before=told.before)
        self._resumed, self.first = True, order.first
        self._placement.hot = frozenset(order.hot)
        self._placement.step = order.step or self._placement.step
        self._placement.even.clear()
        self._attempt.resume()
        self.channel.send(messages.Resumed(self._attempt.process))
        self._placement.last = self._attempt.elapsed()
        self._name()
        self._look_again()

    def _look_again(self) -> None:
        """What was imported until here must still be what is on the disk."""
        self._trees.restart()
        self.watch.go_on()
        self._wait_for_git()
        now = time.time_ns()
        if changed := self.watch.settled().paths:
            self.channel.send(messages.Passed(list(changed[:PATHS]), self.recorder.position(changed)))
            os._exit(0)
        self.recorder.confirm(now)

    # ---- report ---------------------------------------------------------------------------------------------

    def _name(self) -> None:
        number, settings = self.begin.number, self.settings
        self.log = Log(f"generation {number}", settings.log_level, settings.log_format)
        set_title(f"generation {number}", settings.target)

    def _tell_note(self, text: str) -> None:
        self.channel.send(messages.Note(text))

    def _report(self) -> None:
        # A request may import what lies on another file system. First this, then the look at what there is by now:
        # threads of the application may be importing, and twice is once to the supervisor.
        self.watch.noted = self._tell_note
        result, files, notes = self.result, len(self.watch.inputs.files), self.watch.notes
        milliseconds = result.seconds * 1000
        if self.begin.slot == messages.PAGE:
            self.channel.send(messages.Importing(page.summary(self.begin)))
        elif result.mounts:
            self.channel.send(
                messages.Loaded(
                    files, result.kind, result.culprit, milliseconds, notes, self.good_until, self.late,
                    self.recorder.count, self._placement.step, self._news(), self.first,
                )
            )
        elif result.failure is not None:
            failure = result.failure
            if not result.fatal or self.begin.number > 1:
                self.log.error(failure.log_text("the import"))
            self.channel.send(
                messages.Broken(
                    failure.summary[:500], failure.where, result.fatal, files, result.culprit, milliseconds, notes,
                    self.good_until, self.late,
                )
            )


def _copy(source: int, target: int, size: int) -> None:
    """The first *size* bytes, not by way of our memory, each page of which would have to be had first."""
    at = 0
    while at < size and (count := os.sendfile(target, source, at, size - at)):
        at += count
