"""The slow log: once for each call that is over the limit, where it stands, and nothing secret."""

import os
import sys
import threading
from types import FrameType, SimpleNamespace
from typing import cast

import pytest

from runner.log import Log
from runner.request import Exchange, Request
from runner.worker.slow import SlowCalls, SlowLog, describe, stack

HOST = "def called(application):\n    return application()\n"


def request(**variables: str) -> Request:
    """A GET of /report."""
    head = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/report", **variables}
    return Request(head, "http", 0.0)


class Told:
    """As far as a slow log knows an exchange."""

    def __init__(self, request: Request) -> None:
        self.request = request


def writing(limit: float) -> tuple[SlowLog, list[str]]:
    """A slow log, and what it wrote."""
    said: list[str] = []
    slow = SlowLog(limit, cast(Log, SimpleNamespace(warning=said.append)))
    slow.begin()
    return slow, said


def test_a_call_is_told_of_once() -> None:
    """As soon as it is over the limit; the next one again."""
    slow, said = writing(5.0)
    for call, age in ((1, 4.9), (1, 5.0), (1, 60.0), (2, 0.1), (2, 5.1)):
        slow.look(request(), call, age)
    assert [line.split(" and ")[0] for line in said] == [
        "slow: GET /report has taken 5.0 s", "slow: GET /report has taken 5.1 s",
    ]  # fmt: skip


def test_zero_is_off() -> None:
    """However long it takes."""
    slow, said = writing(0.0)
    slow.look(request(), 1, 1e6)
    assert said == []


def test_the_stack_is_that_of_the_thread_that_calls() -> None:
    """The innermost place first."""
    slow, said = writing(1.0)
    slow.look(request(), 1, 2.0)
    assert f" and is at {__file__}:" in said[0] or "slow.py" in said[0]
    assert " in test_the_stack_is_that_of_the_thread_that_calls" in said[0]


def test_no_query_and_no_line_of_its_own() -> None:
    """What the client sent cannot end the line, and a secret in the query stays one."""
    line = describe(request(PATH_INFO="/a\nb", QUERY_STRING="token=secret"), 5.0, None)
    assert line == "slow: GET /a\\nb has taken 5.0 s and is nowhere in Python"


def test_the_runner_around_the_application_is_left_out() -> None:
    """The places end where the host called it; what of the host is further in stays, for a call may wait there."""
    from runner.host import wsgi

    scope: dict[str, object] = {}
    exec(compile(HOST, wsgi.__file__, "exec"), scope)
    called = cast("type[FrameType]", scope["called"])

    def application() -> str:
        return stack(sys._getframe())

    text: str = called(application)  # type: ignore[assignment,call-arg]
    assert text == f"at {__file__}:{application.__code__.co_firstlineno + 1} in application"


def test_so_is_whatever_else_is_around_it() -> None:
    """The file, or the folder, that is named; but the innermost place is told in any case."""
    def places(*around: str) -> str:
        return stack(sys._getframe(), around)

    line = places.__code__.co_firstlineno + 1
    assert places(__file__) == places(f"{os.path.dirname(__file__)}/") == f"at {__file__}:{line} in places"
    assert f"{line} in places < at {__file__}:" in places("/nowhere/", "/elsewhere/")


def test_calls_in_threads_are_told_of_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are over the limit, with the places of their own threads; a part of a stream is a call."""
    now, said, may_go = [0.0], [""], threading.Event()
    monkeypatch.setattr("runner.worker.slow.time", SimpleNamespace(monotonic=lambda: now[0]))
    slow = SlowCalls(5.0, cast(Log, SimpleNamespace(warning=said.append)))
    first, second = (cast(Exchange, Told(request=request(PATH_INFO=path))) for path in ("/1", "/2"))
    begun = threading.Event()

    def elsewhere() -> None:
        slow.start(first)
        begun.set()
        may_go.wait(10)
        slow.stop(first)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert begun.wait(10)
    now[0] = 3.0
    slow.start(second)
    for moment, told in ((4.0, 0), (5.0, 1), (7.9, 1), (8.1, 2), (9.0, 2)):
        now[0] = moment
        slow.look()
        assert len(said) - 1 == told
    may_go.set()
    thread.join()
    slow.stop(second)
    assert "GET /1 has taken 5.0 s" in said[1]
    assert " in elsewhere" in said[1]
    assert "GET /2 has taken 5.1 s" in said[2]
    slow.start(second)
    now[0] += 4.0
    slow.look()
    assert len(said) == 3


def test_zero_is_off_in_threads_too() -> None:
    """However long it takes."""
    said: list[str] = []
    slow = SlowCalls(0.0, cast(Log, SimpleNamespace(warning=said.append)))
    slow.start(cast(Exchange, Told(request=request())))
    slow.look()
    assert said == []
