"""What happens, told: lines in the log, and the answers of those who wait for a reload to end.

Laws: tells, never decides; a reload is one line, which names the file, the generation and its milliseconds.
Start at Chronicle.note_change, then ready or broken.
"""

from __future__ import annotations

import time

from runner.log import Log
from runner.process import messages
from runner.settings import Settings
from runner.supervisor.banner import Banner
from runner.supervisor.checkpoints import Checkpoint
from runner.supervisor.control import Question
from runner.supervisor.report import Ledger, Reload


class Chronicle:
    """*ledger* keeps the facts for `runner status`; *banner* is said when the first worker is ready."""

    def __init__(self, log: Log, ledger: Ledger, banner: Banner, settings: Settings) -> None:
        self._log = log
        self._ledger = ledger
        self._banner = banner
        self._directory = settings.chdir
        self._paths: list[str] = []
        self._asked = ""
        self._noticed = time.monotonic()
        self._waiting: list[tuple[Question, int]] = []
        self._ready = 0

    def note_change(self, paths: list[str]) -> None:
        """Files changed; from now on a reload takes time, or since an earlier change that is not answered yet."""
        if not self._paths:
            self._noticed = time.monotonic()
        self._paths, self._asked = paths, ""

    def note_request(self, who: str) -> None:
        """Somebody asked for a reload."""
        self._paths, self._asked, self._noticed = [], who, time.monotonic()

    def note_void(self, paths: list[str]) -> None:
        """Files changed while they were imported."""
        self._log.info(f"{self._name(paths)} changed while it was imported; importing again")
        self._paths = self._paths or paths

    def wait(self, question: Question, after: int) -> None:
        """Answer *question* when a generation later than *after* is ready or broken."""
        self._waiting.append((question, after))

    def loaded(self, message: messages.Loaded, checkpoint: Checkpoint | None = None) -> None:
        """A generation is imported; from the beginning, or from *checkpoint*."""
        self._ledger.note_loaded(message, _origin(message, checkpoint))
        self._note_all(message.notes, message.culprit)

    def note(self, text: str) -> None:
        """Something cannot be exact here: said once, however many processes find it out."""
        if self._ledger.note(text):
            self._log.warning(text)

    def importing(self, summary: str) -> None:
        """An import takes so long that people are told."""
        self._ledger.importing = summary
        self._log.warning(summary)

    def broken(self, number: int, message: messages.Broken, kept: int | None) -> None:
        """A generation failed; *kept* is the number of the one that goes on, if one does."""
        self._ledger.note_broken(message)
        self._note_all(message.notes, message.culprit)
        goes_on = f"; generation {kept} goes on" if kept is not None else ""
        place = f" ({message.where})" if message.where else ""
        self._log.error(f"{self._cause()}generation {number} failed: {message.summary}{place}{goes_on}")
        if kept is not None:
            self._tell(number, message.summary)
            self._paths, self._asked = [], ""

    def ready(self, number: int, *, broken: bool, due: bool) -> None:
        """A worker of a generation accepts; the first one is news. *due*: the next generation is asked for already."""
        if number <= self._ready:
            return
        self._ready = number
        if not self._banner.said:
            self._banner.say(self._ledger, self._elapsed())
        elif not broken:
            origin = f" ({self._ledger.origin})" if self._ledger.origin else ""
            self._log.info(f"{self._cause()}generation {number} in {self._elapsed():.0f} ms{origin}")
        self._tell(number, self._ledger.error if broken else "")
        if not due:
            self._paths, self._asked = [], ""
        self._noticed = time.monotonic()

    def crashed(self, slot: int, pid: int, how: str) -> None:
        """A worker ended that nobody had asked to."""
        self._ledger.crashes += 1
        self._log.error(f"worker {slot} (process {pid}) {how}; replacing it")

    def killed(self, slot: int, pid: int, reason: str) -> None:
        """A worker is ended that would not end by itself."""
        self._ledger.kills += 1
        self._log.warning(f"worker {slot} (process {pid}) is killed: {reason}")

    def spent(self, number: int, reason: str, rest: int) -> None:
        """A generation has answered before it was forked, which it cannot be any more; see FirstAnswers.note_spent."""
        reason = reason or "its answer took too long"
        others = "from now on each is forked before it answers"
        if rest:
            others = f"the next {rest} are forked before they answer"
        self._log.info(
            f"generation {number} answered a request and cannot be forked now ({reason}): another one is made, "
            f"and {others}"
        )

    def stopping(self, why: str, inflight: int, grace: float) -> None:
        """The end was asked for, by *why*; it waits for so many requests, for *grace* seconds at most."""
        waits = f"; requests under way: {inflight}, which have up to {grace:g} s" if inflight else ""
        again = "; a second SIGINT ends them" if inflight and why == "SIGINT" else ""
        self._log.info(f"{why}: stopping{waits}{again}")

    def unstarted(self, what: str, error: OSError) -> None:
        """There was no process to be had."""
        self._log.error(f"cannot start {what}: {error.strerror}; trying again")

    def _cause(self) -> str:
        if self._paths:
            return f"{self._name(self._paths)} changed → "
        return f"{self._asked} → " if self._asked else ""

    def _elapsed(self) -> float:
        """Milliseconds since the change was noticed."""
        return (time.monotonic() - self._noticed) * 1000

    def _name(self, paths: list[str]) -> str:
        """The first path as people call it, and how many more."""
        first = paths[0].removeprefix(self._directory + "/") if paths else "something"
        return first + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")

    def _tell(self, number: int, error: str) -> None:
        origin = "" if error else self._ledger.origin
        reload = Reload(self._paths, number, round(self._elapsed(), 1), error, origin)
        if number > 1:
            self._ledger.note_reload(reload)
        for question, after in list(self._waiting):
            if number > after:
                self._waiting.remove((question, after))
                question.answer({"last_reload": reload.to_dict()})

    def _note_all(self, notes: list[str], culprit: str) -> None:
        for text in [*notes, *([f"{culprit}: workers cannot be forked, each imports by itself"] if culprit else [])]:
            self.note(text)


def _origin(message: messages.Loaded, checkpoint: Checkpoint | None) -> str:
    """Where a generation began, if not at the beginning."""
    if checkpoint is None:
        return ""
    place = f"resumed before {checkpoint.module}" if checkpoint.module else "resumed from the zygote"
    return f"{place}, {checkpoint.modules:,} of {message.modules:,} modules kept"
