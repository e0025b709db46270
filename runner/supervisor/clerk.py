"""Answers the questions that people ask at the control socket.

    whoami     which run is this
    status     what it is doing; with "resources": what its workers have open
    reload     as SIGHUP; the answer may wait until the newer code is live
    stop       as SIGTERM

Law: each question gets one answer, also one that makes no sense. Start at Clerk.answer.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol

from runner.process.scoreboard import Scoreboard
from runner.settings import Settings
from runner.supervisor.accounts import Accounts
from runner.supervisor.chronicle import Chronicle
from runner.supervisor.control import Question
from runner.supervisor.courier import Courier
from runner.supervisor.crew import Crew
from runner.supervisor.report import Ledger
from runner.supervisor.roster import Roster


class Stop(Protocol):
    """Stops the run."""

    def __call__(self, why: str, *, fast: bool) -> None:
        """*fast*: now, not gracefully."""


class Clerk:
    """*reload* and *stop* do what is asked for; *accounts*: questions that the workers have to answer."""

    def __init__(
        self, settings: Settings, crew: Crew, roster: Roster, scoreboard: Scoreboard, ledger: Ledger, courier: Courier,
        chronicle: Chronicle, reload: Callable[[str], None], stop: Stop,
    ) -> None:  # fmt: skip
        self.accounts = Accounts(lambda hand, message: crew.order(hand.channel, message))
        self._settings = settings
        self._crew = crew
        self._roster = roster
        self._scoreboard = scoreboard
        self._ledger = ledger
        self._courier = courier
        self._chronicle = chronicle
        self._reload = reload
        self._stop = stop

    def answer(self, question: Question) -> None:
        """Now, or later."""
        match question.command:
            case {"command": "whoami"}:
                target, directory = self._settings.target, self._settings.chdir
                question.answer({"target": target, "directory": directory, "pid": os.getpid()})
            case {"command": "status", "resources": True}:
                hands = [hand for hand in self._crew.hands.values() if self._roster.workers[hand.key].ready]
                self.accounts.ask(question.answer, hands, time.monotonic())
            case {"command": "status"}:
                pids = {hand.key: hand.pid for hand in self._crew.hands.values()}
                report = self._ledger.report(self._roster, self._scoreboard, pids, self._crew.standby.book.all())
                question.answer(report | {"waiting": self._courier.requests} | self._crew.porter.report())
            case {"command": "reload"}:
                self._reload("runner reload")
                if question.command.get("wait", True):
                    self._chronicle.wait(question, self._roster.newest)
                else:
                    question.answer({"reloading": True})
            case {"command": "stop"}:
                self._stop("runner stop", fast=bool(question.command.get("now")))
                question.answer({"stopping": True, "pid": os.getpid()})
            case other:
                question.answer({"error": f"no command {other.get('command')!r}; there are status, reload, stop"})
