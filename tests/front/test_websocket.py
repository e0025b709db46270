"""WebSocket messages over one connection: what is understood, what ends it, and how much may wait."""

import subprocess
import sys
import time
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.front import websocket
from runner.request import Closed, Message
from tests.front.sockets import Talk
from tests.support.frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, Heard, close, code_of, frame
from tests.support.runner_process import environment

DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}
EURO = "κόσμε€".encode()


def spread(opcode: int, data: bytes, size: int) -> bytes:
    """*data* in fragments of *size* bytes."""
    parts = [data[place : place + size] for place in range(0, len(data), size)] or [b""]
    return b"".join(
        frame(opcode if number == 0 else CONT, part, fin=number == len(parts) - 1) for number, part in enumerate(parts)
    )


def deflated(data: bytes) -> bytes:
    """As one message of permessage-deflate (RFC 7692 section 7.2.1)."""
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


# The cases of the Autobahn fuzzing client, by its own numbers: 1 framing, 2 ping and pong, 3 reserved bits, 4 opcodes,
# 5 fragmentation, 6 UTF-8, 7 close handling, 10 automatic fragmentation. An echo, or the code it must end with.
GOOD: dict[str, tuple[bytes, list[Heard]]] = {
    **{
        f"1.1 text of {size}": (frame(TEXT, b"*" * size), [Heard(TEXT, b"*" * size)])
        for size in (0, 125, 126, 127, 128, 65535, 65536)
    },
    **{
        f"1.2 binary of {size}": (frame(BINARY, b"\xfe" * size), [Heard(BINARY, b"\xfe" * size)])
        for size in (0, 125, 126, 127, 128, 65535, 65536)
    },
    "2.1 ping": (frame(PING), [Heard(PONG, b"")]),
    "2.3 ping with bytes": (frame(PING, b"\x00\xff\xfe\xfd"), [Heard(PONG, b"\x00\xff\xfe\xfd")]),
    "2.4 ping of 125": (frame(PING, b"\xfe" * 125), [Heard(PONG, b"\xfe" * 125)]),
    "2.7 unasked pong, then ping": (frame(PONG, b"x") + frame(PING, b"p"), [Heard(PONG, b"p")]),
    "2.10 ten pings": (
        b"".join(frame(PING, b"%d" % n) for n in range(10)), [Heard(PONG, b"%d" % n) for n in range(10)]
    ),
    "5.3 two fragments": (spread(TEXT, b"fragment1fragment2", 9), [Heard(TEXT, b"fragment1fragment2")]),
    "5.6 ping between fragments": (
        frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONT, b"b"), [Heard(PONG, b"p"), Heard(TEXT, b"ab")]
    ),
    "5.19 many fragments, pings between": (
        frame(TEXT, b"1", fin=False) + frame(CONT, b"2", fin=False) + frame(PING, b"p") + frame(CONT, b"3", fin=False)
        + frame(PING, b"q") + frame(CONT, b"4"),
        [Heard(PONG, b"p"), Heard(PONG, b"q"), Heard(TEXT, b"1234")],
    ),
    "6.1 empty fragments": (
        frame(TEXT, fin=False) + frame(CONT, fin=False) + frame(CONT), [Heard(TEXT, b"")]
    ),
    "6.2 UTF-8 in fragments of a byte": (spread(TEXT, EURO, 1), [Heard(TEXT, EURO)]),
    **{
        f"6 valid {data.hex()}": (frame(TEXT, data), [Heard(TEXT, data)])
        for data in (b"\x00", b"\x7f", "\x80\u07ff\u0800\uffff\U00010000\U0010ffff".encode(), b"\xef\xbf\xbe", EURO)
    },
    "10.1 65536 in fragments of 1300": (spread(TEXT, b"*" * 65536, 1300), [Heard(TEXT, b"*" * 65536)]),
}  # fmt: skip

BAD: dict[str, tuple[bytes, int]] = {
    "2.5 ping of 126": (frame(PING, b"\xfe" * 126), 1002),
    **{f"3 reserved bits {rsv}": (frame(TEXT, b"x", rsv=rsv), 1002) for rsv in range(1, 8)},
    **{f"3 reserved bits {rsv} of a ping": (frame(PING, b"x", rsv=rsv), 1002) for rsv in (1, 4, 7)},
    **{f"4 opcode {opcode}": (frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "5.1 fragmented ping": (frame(PING, b"1", fin=False) + frame(CONT, b"2"), 1002),
    "5.2 fragmented pong": (frame(PONG, b"1", fin=False) + frame(CONT, b"2"), 1002),
    "5.9 continuation of nothing": (frame(CONT, b"x"), 1002),
    "5.12 unfinished continuation of nothing": (frame(CONT, b"x", fin=False), 1002),
    "5.18 text inside text": (frame(TEXT, b"1", fin=False) + frame(TEXT, b"2"), 1002),
    **{
        f"6 invalid {data.hex()}": (frame(TEXT, data), 1007)
        for data in (
            b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xff",
            b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe", b"\xce", EURO + b"\xed\xa0\x80",
        )
    },
    "6.3 invalid, split": (spread(TEXT, EURO + b"\xf4\x90\x80\x80edited", 1), 1007),
    "6.4 invalid at once, though the message goes on": (frame(TEXT, b"\xf4\x90\x80", fin=False), 1007),
    "7.1 close": (close(1000), 1000),
    "7.1.3 ping behind close": (close(1000) + frame(PING, b"p"), 1000),
    "7.1.5 close inside a message": (frame(TEXT, b"1", fin=False) + close(1000) + frame(CONT, b"2"), 1000),
    "7.3.1 close without a code": (frame(CLOSE), 1005),
    "7.3.2 close of a byte": (frame(CLOSE, b"a"), 1002),
    "7.3.5 reason of 123": (close(1000, b"*" * 123), 1000),
    "7.3.6 reason of 124": (close(1000, b"*" * 124), 1002),
    "7.5.1 reason that is no UTF-8": (close(1000, b"\xce\xba\xed\xa0\x80"), 1007),
    **{
        f"7.7 code {code}": (close(code), code)
        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    },
    **{
        f"7.9 code {code}": (close(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "unmasked": (frame(TEXT, b"x", mask=False), 1002),
    "a length of 2**63 - 1": (b"\x82\xff" + (2**63 - 1).to_bytes(8, "big") + b"mask", 1009),
    "a byte too long": (b"\x82\xff" + (websocket.MAX_MESSAGE + 1).to_bytes(8, "big") + b"mask", 1009),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 1 << 20], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("name", GOOD)
def test_good_frames_are_answered(name: str, step: int) -> None:
    """However they arrive; then the connection goes on."""
    raw, expected = GOOD[name]
    step = max(step, len(raw) // 500)
    with Talk() as talk:
        talk.open()
        for place in range(0, len(raw), step):
            talk.send(raw[place : place + step])
        assert talk.hear(len(expected)) == expected
        talk.send(close(1000))
        assert talk.end() == 1000


@pytest.mark.parametrize("step", [1, 1 << 20], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("name", BAD)
def test_the_end_has_its_code(name: str, step: int) -> None:
    """One close frame and nothing behind it; the host is told what the peer is told."""
    raw, code = BAD[name]
    with Talk() as talk:
        talk.open()
        for place in range(0, len(raw), step):
            if talk.connection.closed:
                break
            talk.send(raw[place : place + step])
        assert talk.end() == code
        assert talk.closed is not None
        assert talk.closed.code == code


def test_what_came_before_a_bad_frame_is_taken() -> None:
    """Then nothing more, be it good."""
    with Talk(echo=False) as talk:
        talk.open()
        talk.send(frame(TEXT, b"good") + frame(TEXT, b"\xff") + frame(TEXT, b"late"))
        talk.echo = True
        talk.take()
        assert (talk.taken, talk.closed) == (["good"], Closed(1007, "invalid start byte"))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[Message], bytes, list[int]]:
    """Messages, the frames that carry them with pings between, and where the line cuts those."""
    messages = draw(st.lists(st.text(max_size=40) | st.binary(max_size=300), max_size=6))
    raw = b""
    for message in messages:
        opcode, data = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=4)))
        edges = [0, *cuts, len(data)]
        for number, (begin, end) in enumerate(pairwise(edges)):
            raw += frame(opcode if number == 0 else CONT, data[begin:end], fin=number == len(edges) - 2)
            if draw(st.booleans()):
                raw += frame(PING, b"p")
    return messages, raw, sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))


@settings(max_examples=100)
@given(conversations())
def test_messages_are_what_was_sent_wherever_they_are_cut(made: tuple[list[Message], bytes, list[int]]) -> None:
    """Into fragments, and into reads."""
    messages, raw, cuts = made
    with Talk() as talk:
        talk.open()
        for begin, end in zip([0, *cuts], [*cuts, len(raw)], strict=True):
            talk.send(raw[begin:end])
        talk.send(close(1000))
        heard = [each for each in talk.hear_all() if each.opcode in (TEXT, BINARY)]
        assert talk.taken == messages
        assert [each.data.decode() if each.opcode == TEXT else each.data for each in heard] == messages


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_bytes_break_more_than_their_own_socket(pieces: list[bytes]) -> None:
    """Whatever they are, the host hears of an end once, and nothing is left open."""
    with Talk() as talk:
        talk.open()
        for piece in pieces:
            if not talk.connection.closed:
                talk.send(piece)
        if not talk.connection.closed:
            talk.peer.close()
        talk.until(lambda: talk.closed)
        assert len(talk.service.outcomes) == 1


TEXTS = ["", "", "x", "y" * 125, "y" * 126, "€" * 100, "z" * 70_000, "z" * 70_000]


def test_what_is_said_unasked_is_heard() -> None:
    """By each socket to which the same text is said."""
    with Talk() as one, Talk() as other:
        for talk in (one, other):
            talk.open()
        for text in TEXTS:
            for talk in (one, other):
                talk.exchange.say(text)
                assert talk.hear() == [Heard(TEXT, text.encode())]
        for talk in (one, other):
            talk.send(close(1000))
            assert talk.end() == 1000


def test_the_first_text_of_a_process_may_be_empty() -> None:
    """There is only one empty text in a process: it must not be taken for one that was said before."""
    code = "from runner.front import websocket; print(websocket._frame('').hex())"
    found = subprocess.run([sys.executable, "-c", code], env=environment(), check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "8100"


# ---- compression --------------------------------------------------------------------------------------------------


def test_messages_are_compressed_if_both_agree() -> None:
    """In one frame, or begun in one and gone on with in others."""
    text = b"compress me " * 100
    packed = deflated(text)
    with Talk() as talk:
        assert "permessage-deflate" in talk.open(b"", **DEFLATE)
        talk.send(frame(TEXT, packed, rsv=4))
        [heard] = talk.hear()
        assert (heard.opcode, heard.rsv) == (TEXT, 4)
        assert zlib.decompressobj(wbits=-12).decompress(heard.data + b"\x00\x00\xff\xff") == text
        talk.send(frame(TEXT, packed[:5], rsv=4, fin=False) + frame(CONT, packed[5:]))
        talk.hear()
        assert talk.taken == [text.decode()] * 2
    with Talk() as talk:
        assert "permessage-deflate" not in talk.open()


@pytest.mark.parametrize("size", [websocket.MAX_MESSAGE, websocket.MAX_MESSAGE + 1])
def test_what_is_inflated_is_a_message_of_that_size(size: int) -> None:
    """A kilobyte may stand for a million: it is inflated up to the limit and no further."""
    with Talk(echo=False) as talk:
        talk.open(b"", **DEFLATE)
        talk.send(frame(BINARY, deflated(bytes(size)), rsv=4))
        if size > websocket.MAX_MESSAGE:
            assert talk.end() == 1009
        else:
            talk.until(lambda: talk.exchange.take())


def test_what_cannot_be_inflated_ends_it() -> None:
    """With 1002; a reserved bit that was agreed upon is still none of a continuation."""
    for raw in (frame(TEXT, b"\xff\xff\xff", rsv=4), frame(TEXT, b"a", fin=False) + frame(CONT, b"a", rsv=4)):
        with Talk() as talk:
            talk.open(b"", **DEFLATE)
            talk.send(raw)
            assert talk.end() == 1002


# ---- limits -------------------------------------------------------------------------------------------------------


def test_a_message_grows_to_the_limit_and_no_further() -> None:
    """Its fragments are added up."""
    half = b"x" * (websocket.MAX_MESSAGE // 2)
    with Talk(echo=False) as talk:
        talk.open()
        talk.send(frame(BINARY, half, fin=False) + frame(CONT, half))
        talk.until(lambda: talk.exchange.take())
        talk.send(frame(BINARY, half, fin=False) + frame(CONT, half, fin=False) + b"\x80\x81mask")
        assert talk.end() == 1009


@pytest.mark.parametrize("data", [b"", b"x"])
def test_fragments_are_counted(data: bytes) -> None:
    """Those without a byte cost memory, too."""
    with Talk() as talk:
        talk.open()
        talk.send(frame(BINARY, data, fin=False) + frame(CONT, data, fin=False) * (websocket.MAX_FRAGMENTS - 1))
        assert not talk.connection.closed
        talk.send(frame(CONT, data, fin=False))
        assert talk.end() == 1009


def test_reading_waits_for_a_host_that_takes_nothing() -> None:
    """A bounded number of messages is kept; all of them arrive when it takes them."""
    messages = [frame(BINARY, b"%6d" % number + bytes(1000)) for number in range(3000)]
    with Talk(echo=False) as talk:
        talk.open()
        raw = b"".join(messages)
        left = talk.stuff(raw)
        machine = talk.connection.machine
        assert isinstance(machine, websocket.Socket)
        assert len(left) > len(raw) // 4
        assert len(machine._inbox) <= websocket.INBOX + 66
        talk.echo, talk.speaks = True, False
        talk.take()
        talk.send(left)
        talk.until(lambda: len(talk.taken) == 3000)
        assert [int(message[:6]) for message in talk.taken] == list(range(3000))


def test_a_peer_that_pings_and_does_not_read_is_read_no_further() -> None:
    """What is owed to it stays bounded, and is sent when it reads."""
    with Talk(buffer=4096) as talk:
        talk.open()
        left = talk.stuff(frame(PING, b"p" * 125) * 20000)
        assert left
        assert talk.connection.buffered < 4 * 65536
        heard = 0
        while heard < 20000:
            heard += len(talk.hear())
            left = talk.stuff(left)


def test_a_sender_is_told_to_wait_and_when_to_go_on() -> None:
    """By the answer to what he sends, and by being called."""
    with Talk(buffer=4096, echo=False) as talk:
        talk.open()
        sent = 1
        while talk.exchange.say(b"x" * 10000):
            sent += 1
        called: list[int] = []
        talk.exchange.resume = lambda: called.append(1)
        assert len(talk.hear(sent)) == sent
        talk.until(lambda: called)
        assert talk.exchange.say(b"more")


# ---- life and death -----------------------------------------------------------------------------------------------


def pass_time(talk: Talk) -> None:
    """The time of the connection's deadline has come."""
    talk.connection.overdue()
    talk.turn()


def test_no_line_is_idle_for_thirty_seconds() -> None:
    """A ping comes before, not at the same moment on each line, and again."""
    waits = set()
    for _ in range(20):
        with Talk() as talk:
            talk.open()
            for _ in range(3):
                wait = talk.connection.deadline - time.monotonic()
                assert 15 < wait < 25
                waits.add(round(wait, 1))
                pass_time(talk)
                assert talk.hear() == [Heard(PING, b"")]
                talk.send(frame(PONG))
    assert len(waits) > 5


@pytest.mark.parametrize("sign", [frame(PONG), frame(PING), frame(TEXT, b"x")])
def test_any_sign_of_life_will_do(sign: bytes) -> None:
    """Also one that is still in the kernel when it is looked for."""
    with Talk() as talk:
        talk.open()
        for _ in range(3):
            pass_time(talk)
            talk.peer.send(sign)
        assert not talk.connection.closed


def test_a_peer_that_gives_none_is_gone() -> None:
    """At the time of the next ping; the host is told, once."""
    with Talk() as talk:
        talk.open()
        pass_time(talk)
        pass_time(talk)
        assert (talk.closed, talk.connection.closed) == (Closed(1006, "no sign of life"), True)
        assert talk.service.outcomes[0].whole is False


def test_a_peer_that_takes_nothing_is_gone() -> None:
    """Though it goes on sending; as long as it takes something it is there."""
    with Talk(buffer=4096, echo=False) as talk:
        talk.open()
        while talk.exchange.say(b"x" * 10000):
            pass
        pass_time(talk)
        talk.receive(20000)
        talk.send(frame(PONG))
        pass_time(talk)
        assert not talk.connection.closed
        talk.send(frame(PONG))
        pass_time(talk)
        assert talk.connection.closed


def test_a_host_that_takes_nothing_is_no_proof_of_death() -> None:
    """Who is not read cannot be heard."""
    with Talk(echo=False) as talk:
        talk.open()
        talk.send(frame(TEXT, b"x") * 64)
        for _ in range(3):
            pass_time(talk)
        assert not talk.connection.closed


def test_who_hangs_up_waits_for_the_other_but_not_for_long() -> None:
    """The peer's close frame ends it at once; without one the time does."""
    for answers in (True, False):
        with Talk() as talk:
            talk.open()
            talk.exchange.hang_up(4000, "enough")
            assert talk.closed == Closed(4000, "enough")
            [heard] = talk.hear()
            assert (code_of(heard), heard.data[2:]) == (4000, b"enough")
            assert not talk.connection.closed
            assert 4 < talk.connection.deadline - time.monotonic() <= 5
            if answers:
                talk.send(frame(TEXT, b"too late") + close(4000))
            else:
                pass_time(talk)
            assert talk.rest() == b""
            assert talk.taken == []


def test_a_peer_that_vanishes_is_told_of_with_1006() -> None:
    """Nobody said why."""
    with Talk() as talk:
        talk.open()
        talk.peer.close()
        talk.until(lambda: talk.closed)
        assert talk.closed == Closed(1006, "")
        talk.until(lambda: talk.connection.closed)


def test_a_socket_is_never_given_away() -> None:
    """It is under way as long as it lives."""
    with Talk() as talk:
        talk.open()
        assert talk.connection.machine.unread() is None
        talk.connection.machine.rest()
        assert not talk.connection.closed
