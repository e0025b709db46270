"""What was read and not acted upon: another process that is fed it goes on as if it had read it itself."""

from collections.abc import Iterable
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.wire import records
from runner.wire.fastcgi import Abort, BodyEnd, Event, Head, Responder
from tests.wire.test_fastcgi import (
    BUSY,
    GET,
    GOT,
    STRAY,
    STREAM,
    abort,
    begin,
    cut,
    get_values,
    params,
    places,
    record,
    responder,
    stdin,
    values,
    written,
)

BEFORE = [b"", get_values(b"FCGI_MAX_REQS"), record(77, 0, b"x"), begin(3, role=9), STRAY]
BESIDE = [*BEFORE, b"", begin(2)]
"""What may lie before a request and between its records, and is none of its business."""
OPENINGS = [begin(), begin(keep=False), begin(9, role=2) + begin(), begin() + abort() + begin()]
FOLLOWING = [b"", GET, written(STREAM), GET + GET[:20], abort(), abort() + GET, get_values(), stdin(b"late")]


@st.composite
def sent(draw: st.DrawFn) -> list[bytes]:
    """Any request with anything between its records and behind it, cut anywhere."""
    beside = st.sampled_from(BESIDE)
    if draw(st.booleans()):
        raw = written(draw(st.binary(max_size=40)), keep=draw(st.booleans()))
    else:
        head = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
        body = draw(st.lists(st.binary(min_size=1, max_size=30), max_size=4))
        parts = [draw(st.sampled_from(OPENINGS))]
        parts += [record(records.PARAMS, 1, content) for content in [*head, b""]]
        parts += [record(records.STDIN, 1, content) for content in [*body, b""]]
        raw = b"".join(chain.from_iterable((part, draw(beside)) for part in parts))
    return cut(draw(st.sampled_from(BEFORE)) + raw + draw(st.sampled_from(FOLLOWING)), draw(places))


def play_on(machine: Responder, pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """Feed it *pieces*, and let it finish each request as soon as all of it is there."""
    events: list[Event] = []
    replies = b""
    for piece in pieces:
        new = machine.feed(piece)
        while new or machine.pending:
            events += new
            replies += machine.take()
            if machine.active and (machine.pending or new[-1:] in ([BodyEnd()], [Abort()])):
                replies += machine.finish()
            new = machine.feed(b"")
        replies += machine.take()
    return events, replies


def up_to_the_head(machine: Responder, pieces: list[bytes]) -> list[bytes]:
    """Feed it until there is a Head; what was not fed."""
    for at, piece in enumerate(pieces):
        if any(isinstance(event, Head) for event in machine.feed(piece)):
            return pieces[at + 1 :]
    raise AssertionError("there is no head in it")


@given(sent())
def test_who_is_fed_what_was_unread_at_the_head_goes_on_from_there(pieces: list[bytes]) -> None:
    """The events of the request, its body and all that follows are those one machine alone would have had."""
    alone, _ = play_on(responder(), pieces)
    first = responder()
    rest = up_to_the_head(first, pieces)
    events, _ = play_on(responder(), [first.unread, *rest])
    assert events == alone


@given(sent(), st.data())
def test_who_is_fed_half_a_head_goes_on_from_there(pieces: list[bytes], data: st.DataObject) -> None:
    """At any moment before the head is whole, too."""
    alone, _ = play_on(responder(), pieces)
    first = responder()
    before = len(pieces) - len(up_to_the_head(responder(), pieces)) - 1
    count = data.draw(st.integers(0, before))
    for piece in pieces[:count]:
        first.feed(piece)
    events, _ = play_on(responder(), [first.unread, *pieces[count:]])
    assert events == alone


@given(sent())
def test_what_one_has_answered_the_other_does_not_answer_again(pieces: list[bytes]) -> None:
    """Questions and refused requests between the records: the peer gets one reply to each."""
    _, alone = play_on(responder(), pieces)
    first = responder()
    rest = up_to_the_head(first, pieces)
    _, replies = play_on(responder(), [first.unread, *rest])
    assert first.take() + replies == alone


@given(sent())
def test_it_can_go_through_any_number_of_hands(pieces: list[bytes]) -> None:
    """What is unread of what was unread is the same."""
    first, second = responder(), responder()
    up_to_the_head(first, pieces)
    second.feed(first.unread)
    assert second.unread == first.unread


@pytest.mark.parametrize("raw", [b"", GET[:1], GET[:7], get_values()[:-1], stdin(b"late")[:11]])
@pytest.mark.parametrize("used", [False, True])
def test_between_requests_it_is_the_beginning_of_a_record(raw: bytes, used: bool) -> None:
    """What makes no record yet; records that meant nothing here are gone."""
    machine = responder()
    if used:
        machine.feed(GET)
        machine.finish()
    assert machine.feed(STRAY + raw) == []
    assert machine.unread == raw


@pytest.mark.parametrize("raw", [GET, written(STREAM), begin() + params(STREAM) + stdin(b"x" * 99), GET + abort()])
@pytest.mark.parametrize("size", [1, 13, 1 << 16])
def test_after_the_end_nothing_of_the_request_is_left(raw: bytes, size: int) -> None:
    """However it came."""
    machine = responder()
    for start in range(0, len(raw), size):
        machine.feed(raw[start : start + size])
    machine.finish()
    assert machine.unread == b""


def test_after_an_abort_inside_the_head_nothing_of_the_request_is_left() -> None:
    """The one that follows at once is all there is."""
    machine = responder()
    machine.feed(begin() + record(records.PARAMS, 1, b"\1\1Ab"))
    machine.feed(abort())
    assert machine.unread == b""
    machine.feed(begin() + abort() + GET[:40])
    assert machine.unread == GET[:40]


@pytest.mark.parametrize("following", [GET, written(STREAM), GET * 3 + GET[:9], GET[:16], get_values() + GET])
def test_a_request_begun_early_is_what_is_left_after_the_end(following: bytes) -> None:
    """Nobody has looked at it; of questions behind the end of the present one nothing is left, they are answered."""
    machine = responder()
    machine.feed(written(STREAM) + following)
    assert machine.pending
    machine.finish()
    assert machine.unread == following.removeprefix(get_values())


def test_a_request_begun_early_goes_along_with_the_present_one() -> None:
    """At the head both are unread, and the other one has them in their order."""
    first = responder()
    first.feed(GET + written(STREAM))
    assert play_on(responder(), [first.unread])[0] == GOT * 2


def test_the_rest_of_a_body_that_nobody_wanted_is_passed_over_by_the_next_one() -> None:
    """Answered early, given away: late records of the old request are no request there."""
    first = responder()
    body = stdin(b"x" * 100)
    first.feed(begin() + params(STREAM) + body[:50])
    first.finish()
    second = responder()
    assert second.feed(first.unread) == []
    assert second.feed(body[50:] + GET) == GOT


def test_refusals_and_answers_are_given_once_by_hand() -> None:
    """A plain case of the above: a question and a second request inside the head."""
    first = responder()
    first.feed(begin() + get_values(b"FCGI_MAX_REQS") + begin(2) + params(STREAM))
    assert first.take() == values((b"FCGI_MAX_REQS", b"64")) + BUSY
    second = responder()
    second.feed(first.unread)
    assert second.take() == b""
