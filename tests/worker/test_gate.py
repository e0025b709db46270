"""May a request go on here? Every case, and what is counted."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from runner.process.refusals import CROWDED, FULL, STOPPING
from runner.process.scoreboard import Counter, Scoreboard
from runner.request import ELSEWHERE, Answer, Request
from runner.settings import resolve
from runner.worker.gate import Gate
from runner.worker.own_pages import OwnPages

NOW = 1000.0


class Answers:
    """A check that says what it is told to."""

    def __init__(self, *, stale: bool = False, found: bool = False) -> None:
        self.found = found
        self.asked = 0
        self._stale = stale

    def stale(self) -> bool:
        """See Check."""
        self.asked += 1
        return self._stale

    def seems_stale(self) -> bool:
        """See Check."""
        return self._stale

    def keep(self) -> None:
        """See Check."""
        self._stale = False


class Door:
    """A gate, its row of the scoreboard, and how often the worker was told to pause."""

    def __init__(self, board: Scoreboard) -> None:
        self.board = board
        self.row = board.row(0)
        self.pauses = 0
        self.check = Answers()

    def gate(self, *, stale: bool = False, found: bool = False, good_until: float = 0.0, **flags: Any) -> Gate:
        """One with these settings."""
        settings = resolve({"target": "app", **flags}, {}, "/").settings
        self.check = Answers(stale=stale, found=found)
        pages = OwnPages.wanted(settings, 1, self.board)
        return Gate(self.check, self.row, pages, settings, good_until=good_until, pause=self._pause)

    def counted(self) -> dict[str, int]:
        """What stands on the scoreboard."""
        return {counter.name: self.row.get(counter) for counter in Counter if self.row.get(counter)}

    def _pause(self) -> None:
        self.pauses += 1


@pytest.fixture
def door() -> Iterator[Door]:
    """See Door."""
    board = Scoreboard()
    yield Door(board)
    os.close(board.descriptor)


def request(method: str = "GET", path: str = "/", **more: str) -> Request:
    """One whose head was complete at NOW."""
    variables = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "", "REMOTE_ADDR": ""}
    return Request({**variables, "REQUEST_URI": path, **more}, "http", NOW)


def outcome(answer: Answer | None) -> str:
    """In a word."""
    if answer is None:
        return "goes on"
    return "elsewhere" if answer is ELSEWHERE else str(answer.status)


GET, POST, SOCKET = request(), request("POST"), request(HTTP_UPGRADE="websocket")
PREFLIGHT = request("OPTIONS", HTTP_ORIGIN="http://a.example")
ON_TIME, LATE = NOW, NOW - 0.001


@pytest.mark.parametrize("mode", ["redirect", "hold"])
@pytest.mark.parametrize("asked", [GET, POST, SOCKET, PREFLIGHT])
@pytest.mark.parametrize("good_until", [0.0, ON_TIME])
@pytest.mark.parametrize("closing", [False, True])
def test_what_is_fresh_goes_on(door: Door, mode: str, asked: Request, good_until: float, closing: bool) -> None:
    """Whatever it is; one look, and nothing is counted."""
    gate = door.gate(good_until=good_until, on_change=mode)
    gate.closing = closing
    assert outcome(gate.admit(asked)) == "goes on"
    assert (door.check.asked, door.pauses, door.counted()) == (1, 0, {})


@pytest.mark.parametrize(("mode", "found", "asked", "good_until", "closing", "expected", "counted"), [
    ("redirect", True, GET, LATE, False, "307", {"REDIRECTS": 1}),
    ("redirect", True, GET, LATE, True, "503", {"REFUSED": 1}),
    ("redirect", True, POST, LATE, False, "goes on", {}),
    ("redirect", True, POST, LATE, True, "goes on", {}),
    ("redirect", True, SOCKET, LATE, False, "elsewhere", {}),
    ("redirect", True, PREFLIGHT, LATE, False, "elsewhere", {}),
    ("redirect", True, PREFLIGHT, LATE, True, "503", {"REFUSED": 1}),
    ("redirect", False, GET, LATE, False, "elsewhere", {}),
    ("redirect", False, POST, LATE, False, "elsewhere", {}),
    ("redirect", False, GET, LATE, True, "503", {"REFUSED": 1}),
    ("hold", True, GET, LATE, False, "elsewhere", {}),
    ("hold", True, POST, LATE, False, "elsewhere", {}),
    ("hold", True, SOCKET, LATE, False, "elsewhere", {}),
    ("hold", False, POST, LATE, False, "elsewhere", {}),
    ("hold", True, POST, LATE, True, "503", {"REFUSED": 1}),
    ("redirect", True, GET, ON_TIME, False, "goes on", {}),
    ("redirect", False, GET, ON_TIME, False, "goes on", {}),
    ("hold", True, POST, ON_TIME, False, "goes on", {}),
    ("hold", False, GET, ON_TIME, True, "goes on", {}),
])  # fmt: skip
def test_what_meets_newer_code_takes_its_course(
    door: Door, mode: str, found: bool, asked: Request, good_until: float, closing: bool,
    expected: str, counted: dict[str, int],
) -> None:  # fmt: skip
    """On time: it began when the code in memory was the disk's. In any case the worker is told that it is stale."""
    gate = door.gate(stale=True, found=found, good_until=good_until, on_change=mode)
    gate.closing = closing
    assert outcome(gate.admit(asked)) == expected
    assert (door.counted(), door.pauses) == (counted, 1)


@pytest.mark.parametrize("stale", [False, True])
def test_a_request_nobody_can_have_is_refused_with_the_reason(door: Door, stale: bool) -> None:
    """Whether it could go on here or not: the supervisor has looked for somebody, and it has waited long."""
    gate = door.gate(stale=stale)
    gate.refusal = "the newer code is not ready yet; ask again"
    answer = gate.admit(GET)
    assert answer is not None
    assert (answer.status, answer.body) == (503, b"The newer code is not ready yet; ask again.\n")
    assert ("Retry-After", "1") in answer.headers
    assert (door.counted(), door.check.asked) == ({"EXPIRED": 1}, 0)
    gate.refusal = ""
    assert outcome(gate.admit(GET)) == ("elsewhere" if stale else "goes on")


@pytest.mark.parametrize("reason", [FULL, STOPPING])
def test_who_was_turned_away_at_once_has_not_expired(door: Door, reason: str) -> None:
    """The supervisor says why nobody can have it, and that decides over how it is counted."""
    gate = door.gate()
    gate.refusal = reason
    assert outcome(gate.admit(GET)) == "503"
    assert door.counted() == {"REFUSED": 1}


@pytest.mark.parametrize("found", [False, True])
def test_at_the_end_nobody_is_sent_elsewhere(door: Door, found: bool) -> None:
    """There is no elsewhere, and nobody who could answer when he asks again."""
    gate = door.gate(stale=True, found=found)
    gate.closing = True
    answer = gate.admit(GET)
    assert answer is not None and answer.body.decode().lower().startswith(STOPPING)
    assert ("Retry-After", "1") in answer.headers


@pytest.mark.parametrize(("most", "inflight", "expected"), [
    (0, 5, "goes on"), (2, 0, "goes on"), (2, 1, "goes on"), (2, 2, "503"), (2, 3, "503"),
])
def test_too_many_at_once_are_refused(door: Door, most: int, inflight: int, expected: str) -> None:
    """`--max-inflight`; 0 is no bound."""
    gate = door.gate(max_inflight=most)
    gate.inflight = inflight
    answer = gate.admit(GET)
    assert outcome(answer) == expected
    if answer is not None:
        assert answer.body.decode().lower().startswith(CROWDED) and door.counted() == {"REFUSED": 1}


@pytest.mark.parametrize("stale", [False, True])
def test_the_runners_own_pages_come_before_everything(door: Door, stale: bool) -> None:
    """A health check is answered by a crowded, stale and stopping worker, and moves nobody to reload."""
    gate = door.gate(stale=stale, found=True, ping_path="/ping", max_inflight=1)
    gate.inflight, gate.closing, gate.refusal = 1, True, "no"
    assert outcome(gate.admit(request(path="/ping"))) == "200"
    assert (door.check.asked, door.pauses, door.counted()) == (0, 0, {})


@pytest.mark.parametrize(("stale", "crowded", "answer"), [
    (False, False, None), (False, True, ELSEWHERE), (True, False, ELSEWHERE), (True, True, ELSEWHERE),
])  # fmt: skip
def test_who_is_crowded_gives_away_what_a_sibling_could_begin(
    door: Door, stale: bool, crowded: bool, answer: Answer | None
) -> None:
    """And says whether what goes elsewhere waits for newer code or for whoever is free."""
    gate = door.gate(stale=stale, on_change="hold")
    gate.crowded = lambda: crowded
    assert gate.admit(request()) is answer
    assert gate.outdated is stale


@pytest.mark.parametrize(("stale", "good_until", "outdated"), [
    (False, 0.0, False), (True, ON_TIME, False), (True, LATE, True),
])  # fmt: skip
def test_a_socket_that_moves_is_for_newer_code_if_there_is_some(
    door: Door, stale: bool, good_until: float, outdated: bool
) -> None:
    """It was let in elsewhere, so nothing else is asked, and nothing is counted."""
    gate = door.gate(stale=stale, good_until=good_until, max_inflight=1)
    gate.inflight = 1
    assert gate.outdates(NOW) is outdated
    assert (door.pauses, door.counted()) == (int(stale), {})
