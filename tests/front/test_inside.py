"""A request that the runner makes itself: its answer is collected where it was asked."""

import asyncio
import io
from collections.abc import Iterator

import pytest

from runner.errors import LocalProtocolError
from runner.front.inside import Collected, Inside, Pocket
from runner.request import Answer, Request
from tests.front.rig import FakeService, Outcome


class Asked:
    """One, on a loop of its own; at most *most* bytes of its answer are kept."""

    def __init__(self, most: int = 1000) -> None:
        self.loop = asyncio.new_event_loop()
        self.service = FakeService()
        variables = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/"}
        self.request = Request(variables, "http", 0.0, internal=True)
        self.request.body = io.BytesIO(b"body")
        self.exchange = Inside(self.request, self.service, self.loop, most)

    @property
    def collected(self) -> Collected:
        """Which must be there."""
        return self.exchange.collected.result()


@pytest.fixture
def asked() -> Iterator[Asked]:
    """With room for a thousand bytes."""
    asked = Asked()
    yield asked
    asked.service.close()
    asked.loop.close()


def test_a_whole_answer_is_collected(asked: Asked) -> None:
    """Its status and its body; nothing of its head is among it."""
    asked.exchange.start(201, "Created", [("Content-Length", "6"), ("X-Other", "1")])
    asked.exchange.send(b"abc")
    asked.exchange.finish(b"def")
    assert asked.collected == Collected(201, b"abcdef", whole=True)


def test_its_end_is_that_of_any_request(asked: Asked) -> None:
    """The service is told once, the request is over, and its body closed."""
    asked.exchange.answer(Answer(200, [], b"abc"))
    asked.exchange.fail()
    assert asked.service.outcomes == [Outcome(200, 3, True)]
    assert asked.request.over
    assert asked.request.body is not None
    assert asked.request.body.closed


def test_an_answer_without_a_body_has_none(asked: Asked) -> None:
    """204, whatever the application sends with it."""
    asked.exchange.start(204, "No Content", [])
    asked.exchange.finish(b"abc")
    assert asked.collected == Collected(204, b"", whole=True)


def test_an_answer_that_is_cut_is_not_whole(asked: Asked) -> None:
    """What came of it is there."""
    asked.exchange.start(200, "OK", [])
    asked.exchange.send(b"abc")
    asked.exchange.fail()
    assert asked.collected == Collected(200, b"abc", whole=False)


def test_an_answer_that_is_shorter_than_announced_is_not_whole(asked: Asked) -> None:
    """As on every wire."""
    asked.exchange.start(200, "OK", [("Content-Length", "6")])
    asked.exchange.send(b"abc")
    with pytest.raises(LocalProtocolError):
        asked.exchange.finish()
    assert not asked.collected.whole


def test_an_answer_that_never_began_has_no_status(asked: Asked) -> None:
    """Also if the application had one in mind."""
    asked.exchange.start(200, "OK", [])
    asked.exchange.fail()
    assert asked.collected == Collected(0, b"", whole=False)


def test_more_than_was_wanted_is_not_kept() -> None:
    """Whoever produces it finds nobody there any more."""
    asked = Asked(most=5)
    asked.exchange.start(200, "OK", [])
    assert asked.exchange.send(b"abcd")
    assert not asked.exchange.look()
    asked.exchange.send(b"ef")
    assert asked.exchange.look()
    asked.exchange.finish()
    assert asked.collected == Collected(200, b"abcd", whole=False, large=True)
    asked.service.close()
    asked.loop.close()


def test_whoever_waits_for_it_may_leave(asked: Asked) -> None:
    """The host is told as of any client, and ends it."""
    told: list[bool] = []
    asked.exchange.resume = lambda: told.append(asked.exchange.gone)
    asked.exchange.leave()
    assert told == [True]
    asked.exchange.fail()
    assert not asked.collected.whole


def test_who_was_cancelled_is_told_nothing(asked: Asked) -> None:
    """The answer may come all the same."""
    asked.exchange.collected.cancel()
    asked.exchange.answer(Answer(200, [], b"abc"))
    assert asked.service.outcomes == [Outcome(200, 3, True)]


def test_a_pocket_never_waits(asked: Asked) -> None:
    """It is as broken as it is full; what is to happen soon happens in the loop's next turn."""
    pocket = Pocket(asked.loop, 3)
    pocket.flush(60.0)
    assert not pocket.broken(half=True)
    pocket.soon(asked.loop.stop)
    asked.loop.run_forever()
    pocket.write(b"abcd")
    assert pocket.broken(half=False)
    assert pocket.parts == []
