"""When a WebSocket may move: nothing is under way, and its host has said what goes along."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.front import websocket
from runner.front.luggage import Luggage
from runner.request import Closed
from tests.front.sockets import Talk
from tests.support.frames import BINARY, CLOSE, CONT, MASK, PING, TEXT, Heard, close, code_of, frame, handshake, masked


def invited(**options: object) -> Talk:
    """One that moves as soon as it can."""
    talk = Talk(moves=True, **options)  # type: ignore[arg-type]
    talk.open()
    talk.exchange.invite(wanted=True)
    return talk


def test_it_is_asked_when_it_is_at_rest_and_only_once() -> None:
    """Whoever asks for the next message is asked in turn."""
    with invited() as talk:
        assert talk.asked == 1
        talk.exchange.invite(wanted=True)
        assert talk.asked == 1
        assert talk.exchange.take() is None


def test_who_has_not_said_that_he_can_is_known() -> None:
    """It is not for him that a worker looks."""
    with Talk() as plain, Talk(moves=True) as able:
        plain.open()
        able.open()
        assert (plain.exchange.willing, able.exchange.willing) == (False, True)


def test_one_that_is_no_longer_wanted_goes_on() -> None:
    """Nobody could have it any more."""
    with Talk(moves=True) as talk:
        talk.open()
        talk.send(frame(TEXT, b"half", fin=False))
        talk.exchange.invite(wanted=True)
        talk.exchange.invite(wanted=False)
        talk.send(frame(CONT, b""))
        assert (talk.hear(), talk.asked) == ([Heard(TEXT, b"half")], 0)


HALVES = {
    **{f"{cut} bytes of a frame": frame(TEXT, b"abc")[:cut] for cut in range(1, 9)},
    "a long frame": frame(BINARY, bytes(300))[:3], "a longer one": frame(BINARY, bytes(70_000))[:9],
    "a fragment": frame(TEXT, b"a", fin=False), "an empty one": frame(TEXT, b"", fin=False),
    "a fragment and a ping": frame(TEXT, b"a", fin=False) + frame(PING),
    "a message and half a frame": frame(TEXT, b"a") + b"\x81",
}  # fmt: skip


@pytest.mark.parametrize("name", HALVES)
def test_what_has_half_arrived_arrives_whole_first(name: str) -> None:
    """The rest is read here; then it is asked."""
    begun = HALVES[name]
    whole = frame(TEXT, b"abc") if "bytes" in name else frame(BINARY, bytes(300 if len(begun) == 3 else 70_000))
    if "fragment" in name or "empty" in name:
        whole = begun + frame(CONT, b"z")
    elif "message" in name:
        whole = frame(TEXT, b"a") + frame(TEXT, b"b")
    with Talk(moves=True) as talk:
        talk.open()
        talk.send(begun)
        talk.exchange.invite(wanted=True)
        assert talk.asked == 0
        talk.send(whole[len(begun) :])
        talk.until(lambda: talk.taken and talk.taken[-1] != "a")
        assert talk.asked == 1


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.sampled_from([0, 1, 125, 126, 300]), st.booleans()),
        min_size=1, max_size=5,
    ),
    st.data(),
)  # fmt: skip
def test_wherever_the_line_is_cut_it_is_at_rest_only_between_messages(
    made: list[tuple[int, int, bool]], data: st.DataObject
) -> None:
    """A ping is whole by itself; a message may be in two frames."""
    raw, ends = b"", {0}
    for opcode, size, split in made:
        size = min(size, 125) if opcode == PING else size
        if split and opcode != PING:
            raw += frame(opcode, b"", fin=False) + frame(CONT, b"x" * size)
        else:
            raw += frame(opcode, b"x" * size)
        ends.add(len(raw))
    cut = data.draw(st.sampled_from(sorted(ends)) | st.integers(0, len(raw)))
    with Talk(moves=True) as talk:
        talk.open()
        talk.send(raw[:cut])
        machine = talk.connection.machine
        assert isinstance(machine, websocket.Socket)
        assert machine.at_rest is (cut in ends)


def test_a_frame_that_is_written_longer_than_need_be_keeps_it_here() -> None:
    """Section 5.2 forbids it, the library forgives it, and where the next frame begins we no longer know."""
    with Talk(moves=True) as talk:
        talk.open()
        talk.send(b"\x81\xfe\x00\x01" + MASK + masked(b"a"))
        assert talk.hear() == [Heard(TEXT, b"a")]
        talk.exchange.invite(wanted=True)
        assert talk.asked == 0


def test_messages_that_the_host_has_not_taken_come_first() -> None:
    """They are its to answer."""
    with Talk(moves=True, echo=False) as talk:
        talk.open()
        talk.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
        talk.exchange.invite(wanted=True)
        talk.echo, talk.speaks = True, False
        talk.take()
        assert (talk.taken, talk.asked) == (["1", "2"], 1)


def test_a_slow_reader_has_everything_first() -> None:
    """What was sent is sent from here."""
    with Talk(moves=True, echo=False, buffer=4096) as talk:
        talk.open()
        talk.exchange.say(bytes(60_000))
        talk.exchange.invite(wanted=True)
        talk.echo = True
        talk.take()
        assert talk.asked == 0
        assert len(talk.hear()) == 1
        talk.exchange.invite(wanted=True)
        assert talk.asked == 1


def test_what_is_closed_is_not_asked() -> None:
    """It is told how it ended."""
    with Talk(moves=True) as talk:
        talk.open()
        talk.send(close(1000))
        talk.exchange.invite(wanted=True)
        assert (talk.asked, talk.closed) == (0, Closed(1000, ""))


def test_from_the_question_on_nothing_is_read() -> None:
    """It waits in the kernel, for whoever has the connection next."""
    with invited(says="state") as talk:
        talk.send(frame(TEXT, b"later") + close(1000))
        assert talk.taken == []
        assert talk.connection.sock.recv(99) == frame(TEXT, b"later") + close(1000)


def test_who_is_asked_can_still_send() -> None:
    """His last words leave from here."""
    with invited() as talk:
        talk.exchange.say("last")
        talk.exchange.move("state")
        assert talk.hear() == [Heard(TEXT, b"last")]


def test_what_moves_is_over_for_its_host_and_for_nobody_else() -> None:
    """No line in the log yet; what goes along is all that the next one needs."""
    with invited(says="state") as talk:
        assert talk.service.movings == [talk.exchange]
        assert talk.exchange.request.over
        assert talk.exchange.take() == Closed(1012, "moved")
        due = talk.connection.deadline
        luggage = Luggage.unpack(talk.exchange.depart())
        assert luggage == Luggage(handshake(), "state", "", None, talk.exchange.request.began, 0, due)
        assert talk.exchange.request.body is not None and talk.exchange.request.body.closed
        talk.connection.give(lambda sock: None)
        assert talk.service.outcomes == []


def test_who_does_not_answer_in_time_loses_it() -> None:
    """Its client comes back, instead of being heard by nobody."""
    with invited() as talk:
        talk.connection.overdue()
        assert talk.closed == Closed(1012, "service restart")
        [heard] = talk.hear()
        assert (heard.opcode, code_of(heard)) == (CLOSE, 1012)
        talk.send(close(1012))
        assert talk.hear_all() == []


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    """It is closed already, and is so once."""
    with invited() as talk:
        talk.echo = False
        talk.connection.overdue()
        talk.exchange.move("state")
        assert (len(talk.service.outcomes), talk.service.movings) == (1, [])


def test_one_that_waits_for_its_turn_is_pinged_and_not_taken_for_dead() -> None:
    """Nothing is read of it, so its silence says nothing."""
    with invited(says="state") as talk:
        for _ in range(3):
            talk.connection.overdue()
        assert [each.opcode for each in talk.hear(3)] == [PING] * 3
        assert not talk.exchange.gone


def test_one_that_waits_for_its_turn_can_be_told_to_come_back() -> None:
    """The service stops meanwhile; then there is a line in the log."""
    with invited(says="state") as talk:
        talk.exchange.cut()
        talk.exchange.fail()
        talk.send(close(1012))
        assert talk.end() == 1012
        assert [outcome.status for outcome in talk.service.outcomes] == [101]
