"""The head of a request is complete: may it go on here? Asked once for each, before its body is read.

    a page of the runner's own    ping and status, answered at once (own_pages)
    too many                      --max-inflight: 503
    refused                       the supervisor found nobody for it: 503 with its reason
    fresh                         goes on; one system call (freshness/check.py)
    fresh, but nobody is free     a sibling is: it has the request (--threads; inline, see relief.py)
    stale, but it began before    goes on: at its beginning the code in memory was the code on disk
    stale                         front/on_change.py says what follows

A WebSocket that comes from another worker was let in there: only the last three are asked of it (outdates).

Laws: what is let through is answered by code that was the disk's at some moment after the request began; nobody who
was redirected is redirected again for the same save. Start at Gate.admit.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.freshness.check import Check
from runner.front.on_change import Course, choose, redirect
from runner.process.refusals import CROWDED, STOPPING, counter_of
from runner.process.scoreboard import Counter, Row
from runner.request import ELSEWHERE, Answer, Request
from runner.settings import Settings
from runner.worker.own_pages import OwnPages


class Gate:
    """*good_until*: monotonic seconds; what began before then may go on, whatever was saved since.

    pause     called when the code turns out to be stale
    inflight  requests under way, counted by whoever calls the application
    refusal   why nobody can have the request that comes now; "" for the usual
    closing   nobody comes after us: what we cannot answer is refused
    outdated  what was last to be answered ELSEWHERE waits for newer code; else for whoever is free
    crowded   a request would wait here that would not wait elsewhere; None: that cannot be
    """

    def __init__(
        self, check: Check, row: Row, pages: OwnPages | None, settings: Settings, *, good_until: float,
        pause: Callable[[], None],
    ) -> None:  # fmt: skip
        self.inflight = 0
        self.outdated = False
        self.crowded: Callable[[], bool] | None = None
        self.refusal = ""
        self.closing = False
        self._check = check
        self._row = row
        self._pages = pages
        self._most = settings.max_inflight
        self._redirects = settings.on_change == "redirect"
        self._good_until = good_until
        self._pause = pause

    def admit(self, request: Request) -> Answer | None:
        """See runner.request.Service."""
        if self._pages is not None and (page := self._pages.answer(request)) is not None:
            return page
        if self._most and self.inflight >= self._most:
            return self._refuse(CROWDED)
        if self.refusal:
            return self._refuse(self.refusal)
        if not self._check.stale():
            self.outdated = False
            return ELSEWHERE if self.crowded is not None and self.crowded() else None
        self.outdated = True
        self._pause()
        if request.began <= self._good_until:
            return None
        course = choose(request, redirects=self._redirects, found=self._check.found)
        if course is Course.FINISH:
            return None
        if self.closing:
            return self._refuse(STOPPING)
        if course is Course.HAND_OVER:
            return ELSEWHERE
        self._row.count(Counter.REDIRECTS)
        return redirect(request)

    def outdates(self, since: float) -> bool:
        """Newer code than ours is to have a WebSocket that moves *since* then (monotonic seconds)."""
        if not self._check.stale():
            return False
        self._pause()
        return since > self._good_until

    def _refuse(self, reason: str) -> Answer:
        self._row.count(counter_of(reason))
        headers = [("Retry-After", "1"), ("Content-Type", "text/plain; charset=utf-8")]
        return Answer(503, headers, f"{reason[0].upper()}{reason[1:]}.\n".encode())
