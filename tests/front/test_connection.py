"""One accepted socket: what is written arrives, what ends is told once, what waits has a bound."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Callable

import pytest

from runner.front.connection import FLUSH, HIGH_WATER, LINGER, LONGEST_LINGER, LOW_WATER, READ_SIZE
from tests.front.rig import Recorder, Rig
from tests.worker.loops import each_loop


def test_what_is_there_at_once_is_read_by_open_itself(machine: Recorder) -> None:
    """No turn of the loop lies between accept and the first bytes."""
    with Rig() as rig:
        rig.peer.send(b"early")
        rig.connection.machine = machine
        rig.connection.open()
        assert (machine.data, rig.connection.heard, rig.connections) == (b"early", True, {rig.connection})


def test_a_long_write_arrives_whole_and_in_order(rig: Rig, machine: Recorder) -> None:
    """Neither partial sends nor later writes behind them change the stream."""
    parts = [bytes([number]) * 100_000 for number in range(5)]
    for part in parts:
        rig.connection.write(part)
    assert rig.receive(500_000) == b"".join(parts)
    assert rig.connection.buffered == 0


def test_a_writer_is_told_to_wait_above_the_high_water_mark_and_to_go_on_below_the_low_one(
    rig: Rig, machine: Recorder
) -> None:
    """`drained` comes once, and not before nearly all has left."""
    while rig.connection.write(b"x" * 4096):
        assert rig.connection.buffered <= HIGH_WATER
    left = rig.connection.buffered
    assert left > HIGH_WATER
    rig.receive(left - LOW_WATER // 2)
    rig.until(lambda: rig.connection.buffered <= LOW_WATER)
    rig.turn()
    assert machine.told == ["drained"]


def test_a_paused_reader_leaves_bytes_in_the_kernel(rig: Rig, machine: Recorder) -> None:
    """What comes while reading is paused comes after it."""
    rig.connection.pause_reading()
    rig.peer.send(b"later")
    rig.turn()
    rig.connection.poll()
    assert machine.data == b""
    rig.connection.resume_reading()
    rig.until(lambda: machine.data == b"later")


def test_the_end_of_the_peer_is_told_once_and_is_not_the_end_of_writing(rig: Rig, machine: Recorder) -> None:
    """A peer that shut its side still gets what is written."""
    rig.peer.shutdown(socket.SHUT_WR)
    rig.until(lambda: machine.told)
    rig.turn()
    rig.connection.write(b"bye")
    assert (machine.told, rig.receive(3)) == (["ended"], b"bye")


def test_a_write_to_a_peer_that_left_is_trouble_and_the_loss_is_told_once(rig: Rig, machine: Recorder) -> None:
    """Not by an exception, and not from within write()."""
    rig.peer.close()
    assert rig.connection.write(b"x")
    assert rig.connection.trouble
    assert "lost" not in machine.told
    assert rig.connection.write(b"y")
    rig.until(lambda: "lost" in machine.told)
    rig.connection.abort()
    assert machine.told.count("lost") == 1
    assert rig.connections == set()


@pytest.mark.parametrize("linger", [False, True])
def test_close_sends_everything_first(rig: Rig, machine: Recorder, linger: bool) -> None:
    """A close behind a long write cuts nothing off."""
    rig.connection.write(b"x" * 300_000)
    rig.connection.close(linger=linger)
    assert rig.connection.closed
    assert len(rig.receive(300_000)) == 300_000
    assert rig.rest() == b""
    rig.peer.close()
    rig.until(lambda: machine.told == ["lost"])


def test_a_lingering_close_reads_what_is_still_sent_and_throws_it_away(rig: Rig, machine: Recorder) -> None:
    """Unread bytes would become a reset that destroys the answer."""
    rig.connection.write(b"answer")
    rig.connection.close(linger=True)
    rig.send(b"x" * 400_000)
    assert rig.rest() == b"answer"
    assert (machine.data, machine.told) == (b"", [])
    rig.peer.close()
    rig.until(lambda: machine.told == ["lost"])


def test_a_peer_that_writes_all_before_it_reads_is_read_while_a_close_still_flushes(rig: Rig) -> None:
    """Else both wait for each other: it for our reading, we for its."""
    rig.connection.pause_reading()
    rig.connection.write(b"a" * 300_000)
    rig.connection.close(linger=True)
    rig.send(b"x" * 1_000_000)
    assert rig.rest() == b"a" * 300_000


def test_lingering_ends_after_a_silence_and_at_last_in_any_case(
    rig: Rig, machine: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that goes on sending is given time, a bounded one."""
    now = time.monotonic()
    monkeypatch.setattr("runner.front.connection.time.monotonic", lambda: now)
    rig.connection.close(linger=True)
    assert rig.connection.deadline == now + LINGER
    now += LINGER - 0.5
    rig.send(b"more")
    assert rig.connection.deadline == now + LINGER
    now += LONGEST_LINGER - 1
    rig.send(b"more")
    assert rig.connection.deadline <= now + 1
    rig.connection.overdue()
    assert machine.told == ["lost"]


def test_flushing_is_given_time_as_long_as_it_moves(rig: Rig, machine: Recorder) -> None:
    """A slow line is not cut, a dead one is."""
    rig.connection.write(b"x" * 300_000)
    rig.connection.close(linger=False)
    rig.receive(50_000)
    rig.turn()
    before = time.monotonic()
    rig.connection.overdue()
    assert rig.connection.deadline >= before + FLUSH
    rig.connection.overdue()
    assert machine.told == ["lost"]


def test_a_deadline_is_told_once_and_zero_is_none(rig: Rig, machine: Recorder) -> None:
    """The ticker looks at a number; 0 never passes."""
    rig.connection.expect(5)
    assert rig.connection.deadline > time.monotonic()
    rig.connection.overdue()
    assert (machine.told, rig.connection.deadline) == (["overdue"], 0.0)
    rig.connection.expect(0)
    assert rig.connection.deadline == 0.0


def test_flush_blocks_until_nearly_everything_has_left(rig: Rig) -> None:
    """It is for a caller that keeps the loop from turning."""
    rig.connection.write(b"x" * 500_000)
    found = bytearray()

    def read() -> None:
        while len(found) < 500_000:
            found.extend(rig.peer.recv(65536))

    reader = threading.Thread(target=read)
    reader.start()
    rig.connection.flush(5)
    assert rig.connection.buffered <= LOW_WATER
    rig.until(lambda: not rig.connection.buffered)
    reader.join()


def test_flush_gives_up_a_peer_that_takes_nothing(rig: Rig, machine: Recorder) -> None:
    """The connection is in trouble then, and lost in the next turn."""
    rig.connection.write(b"x" * 500_000)
    rig.connection.flush(0.05)
    assert rig.connection.trouble
    rig.until(lambda: machine.told == ["lost"])


@each_loop
@pytest.mark.parametrize("parts", [0, 1, 3])
def test_a_reset_while_reading_is_a_loss(
    machine: Recorder, factory: Callable[[], asyncio.AbstractEventLoop], parts: int
) -> None:
    """ECONNRESET tells no more than that the peer is gone; also right behind what it has sent, in one event."""
    with socket.create_server(("127.0.0.1", 0)) as listener, Rig(factory=factory) as rig:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        rig.connection.sock.close()
        rig.connection.sock, rig.connection._fd = accepted, accepted.fileno()
        rig.connection.machine = machine
        rig.connection.open()
        client.sendall(bytes(READ_SIZE // 2 * parts))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        rig.until(lambda: machine.told == ["lost"])
        assert len(machine.data) == READ_SIZE // 2 * parts
        with pytest.raises(OSError, match=str(errno.EBADF)):
            accepted.getpeername()
