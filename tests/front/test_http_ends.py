"""How an HTTP connection ends: timers, clients that leave, answers that stay incomplete; also over TCP."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from runner.errors import LocalProtocolError
from runner.front.connection import Connection
from runner.front.http import HTTPFront
from runner.front.http_exchange import HTTPExchange
from runner.front.limits import Limits
from runner.front.variables import Rules
from runner.request import Exchange
from tests.front.http_wire import GET, LOCAL, OLD, POST, Process, Wire, answering, begin_and_fail, echo, wait
from tests.front.test_http_framing import CHUNKED


def test_a_connection_that_says_nothing_is_closed_in_silence() -> None:
    """A fresh one after the header timeout, a kept one after keep-alive."""
    fresh = Wire(Process(), Limits(header_timeout=3))
    assert fresh.seconds == [3]
    fresh.front.overdue()
    assert (fresh.closed, fresh.out) == (True, b"")

    kept = Wire(Process(), Limits(keep_alive=7)).deliver(GET)
    assert kept.seconds[-1] == 7
    kept.out = b""
    kept.front.overdue()
    assert (kept.closed, kept.out) == (True, b"")


def test_half_a_head_is_told_that_it_is_late() -> None:
    """408; the timeout counts from the first byte of the head and is not renewed by the next ones."""
    process = Process()
    wire = Wire(process, Limits(header_timeout=3, keep_alive=7)).deliver(GET, GET[:4])
    assert wire.seconds[-2:] == [7, 3]
    count = len(wire.seconds)
    wire.deliver(GET[4:8], GET[8:10])
    assert len(wire.seconds) == count
    wire.front.overdue()
    assert (wire.statuses, wire.closed, process.events[-1]) == ([200, 408], True, "408")


def test_half_a_body_is_told_that_it_is_late() -> None:
    """408; every byte of the body renews the timeout, a byte of its framing does not."""
    process = Process()
    wire = Wire(process, Limits(body_timeout=4)).deliver(CHUNKED)
    assert wire.seconds[-1] == 4
    count = len(wire.seconds)
    wire.deliver(b"5;ext")
    assert len(wire.seconds) == count
    wire.deliver(b"\r\nabc")
    assert len(wire.seconds) == count + 1
    wire.front.overdue()
    assert (wire.statuses, process.events) == ([408], ["408"])


def test_a_slow_application_is_not_the_clients_fault() -> None:
    """Nothing waits for the client, so nothing is overdue."""
    wire = Wire(Process(wait)).deliver(GET)
    for _ in range(3):
        wire.front.overdue()
    assert not wire.closed


def test_a_client_that_reads_no_more_is_given_up() -> None:
    """B30: when between two looks it has taken nothing of what waits; a slow one is waited for."""
    process = Process(wait)
    wire = Wire(process).deliver(GET)
    wire.buffered = 100000
    for wire.taken in (0, 10, 20):
        wire.front.overdue()
        assert not wire.closed
    wire.front.overdue()
    assert wire.closed
    assert process.exchanges[0].gone


def test_a_slow_answer_outlives_the_keep_alive() -> None:
    """The whole answer was handed over, but the client is still reading it."""
    wire = Wire(Process()).deliver(GET)
    wire.buffered = 100000
    wire.front.overdue()
    assert not wire.closed
    wire.buffered = 0
    wire.front.overdue()
    assert wire.closed


# The client leaves.


def test_a_client_that_shuts_its_side_is_still_answered() -> None:
    """The end of its bytes is not its leaving; the requests it sent are all answered, then it is over."""
    process = Process(wait)
    wire = Wire(process).deliver(GET + GET)
    wire.front.ended()
    assert not process.exchanges[0].gone
    echo(process.exchanges[0])
    wire.turn()
    echo(process.exchanges[1])
    wire.turn()
    assert (wire.statuses, wire.closed, wire.linger) == ([200, 200], True, False)


@pytest.mark.parametrize(
    "raw", [b"", GET[:9], POST, POST + b"hel", CHUNKED + b"3\r\nabc\r\n", CHUNKED + b"0\r\n"]
)
def test_an_unfinished_request_is_dropped(raw: bytes) -> None:
    """The application is not called, and nobody is told anything."""
    process = Process()
    wire = Wire(process).deliver(raw)
    wire.front.ended()
    assert (wire.closed, wire.out, process.events) == (True, b"", [])


def test_a_lost_connection_is_told_to_the_exchange() -> None:
    """Once, by `resume`; the end is then counted as the client's."""
    process = Process(wait)
    wire = Wire(process).deliver(GET)
    woken: list[bool] = []
    process.exchanges[0].resume = lambda: woken.append(True)
    wire.abort()
    assert (process.exchanges[0].gone, woken) == (True, [True])
    process.exchanges[0].finish()
    assert process.ends == [(499, 0, False)]


def test_a_broken_chunked_answer_has_no_last_chunk() -> None:
    """The client sees that it was cut."""
    process = begin_and_fail()
    wire = Wire(process).deliver(GET + GET)
    assert wire.body == b"3\r\nabc\r\n"
    assert (wire.closed, process.ends) == (True, [(200, 3, False)])


def test_a_broken_answer_with_a_length_misses_bytes() -> None:
    """And nothing follows that could be taken for them."""
    wire = Wire(begin_and_fail(("Content-Length", "10"))).deliver(GET + GET)
    assert (wire.body, wire.closed) == (b"abc", True)


def test_a_broken_answer_that_only_the_close_would_end_is_reset() -> None:
    """SO_LINGER of zero seconds, for HTTP/1.0."""
    wire = Wire(begin_and_fail()).deliver(OLD)
    assert [option[1] for option in cast(list[tuple[object, ...]], wire.sock.options)] == [socket.SO_LINGER]
    assert not Wire(begin_and_fail()).deliver(GET).sock.options


@pytest.mark.parametrize("parts, body", [((b"abcdef",), b"abcde"), ((b"abc", b""), b"abc")])
def test_an_answer_of_another_length_than_announced_is_broken(parts: tuple[bytes, ...], body: bytes) -> None:
    """Longer: cut at the length; shorter: not sent as whole. The connection is not used again."""
    process = answering(*parts, headers=[("Content-Length", "5")])
    wire = Wire(process)
    with pytest.raises(LocalProtocolError):
        wire.deliver(GET)
    assert (wire.body, wire.closed, process.ends[0][2]) == (body, True, False)


def test_an_answer_can_be_replaced_until_a_byte_has_left() -> None:
    """How an error page comes about."""

    def application(exchange: Exchange) -> None:
        exchange.start(200, "OK", [("Content-Length", "3")])
        exchange.start(500, "Internal Server Error", [])
        exchange.finish(b"sorry")

    wire = Wire(Process(application)).deliver(GET)
    assert (wire.statuses, wire.body) == ([500], b"sorry")


Client = Callable[[asyncio.AbstractEventLoop, socket.socket], Coroutine[Any, Any, None]]


def over_tcp(process: Process, client: Client, limits: Limits | None = None) -> None:
    """Run *client* against a front on 127.0.0.1, and wait until the front has closed its connection."""
    connections: set[Connection] = set()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as ours:
            ours.setblocking(False)
            await loop.sock_connect(ours, listener.getsockname())
            sock, _ = listener.accept()
            connection = Connection(sock, loop, connections)
            connection.machine = HTTPFront(connection, process, Rules(), limits or Limits(), LOCAL)
            connection.open()
            async with asyncio.timeout(10):
                await client(loop, ours)
                while connections:
                    await asyncio.sleep(0)

    asyncio.run(main())


async def read_all(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = b""
    while data := await loop.sock_recv(sock, 65536):
        received += data
    return received


def test_several_requests_on_one_real_connection() -> None:
    """Kept open between, closed when the client wants it."""
    process = Process()

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, GET)
        assert (await loop.sock_recv(sock, 65536)).endswith(b"/x")
        await loop.sock_sendall(sock, CHUNKED + b"3\r\nabc\r\n0\r\n\r\n")
        assert (await loop.sock_recv(sock, 65536)).endswith(b"\r\n\r\n/")
        await loop.sock_sendall(sock, OLD)
        assert (await read_all(loop, sock)).endswith(b"/x")

    over_tcp(process, client)
    assert len(process.exchanges) == 3


def test_a_refusal_arrives_though_the_body_is_on_its_way() -> None:
    """The close lingers: a reset would have destroyed the 413 at the client."""

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        await loop.sock_sendall(sock, bytes(4_000_000))
        sock.shutdown(socket.SHUT_WR)
        answer = await read_all(loop, sock)
        assert answer.startswith(b"HTTP/1.1 413 Content Too Large\r\n")
        assert b"Connection: close" in answer

    over_tcp(Process(), client, Limits(max_body=1000))


def test_a_cut_answer_to_an_old_client_is_a_reset() -> None:
    """It would look whole otherwise."""

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, OLD)
        with pytest.raises(ConnectionResetError):
            await read_all(loop, sock)

    over_tcp(begin_and_fail(), client)


def test_an_answer_after_the_client_shut_its_side_arrives() -> None:
    """Half a connection is enough to answer on."""
    process = Process(wait)

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, GET)
        sock.shutdown(socket.SHUT_WR)
        while not process.exchanges or not process.exchanges[0].shut:
            await asyncio.sleep(0)
        echo(process.exchanges[0])
        assert (await read_all(loop, sock)).endswith(b"/x")

    over_tcp(process, client)


def test_a_client_that_left_is_noticed_by_the_next_write() -> None:
    """Its end was only half a leaving; the failed write is the other half."""
    process = Process(wait)

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, GET)
        while not process.exchanges:
            await asyncio.sleep(0)
        exchange = process.exchanges[0]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        exchange.start(200, "OK", [])
        while not exchange.gone:
            exchange.send(b"tick")
            await asyncio.sleep(0)
        exchange.finish()

    over_tcp(process, client)
    assert process.ends[0][2] is False


def test_a_large_answer_on_a_slow_line_is_not_cut_by_the_close() -> None:
    """The connection's deadline passes while the last bytes move: they have until they stop moving."""
    size = 20_000_000
    process = answering(bytes(size))

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, OLD)
        received = len(await loop.sock_recv(sock, 65536))
        connection = cast(HTTPExchange, process.exchanges[0]).connection
        for _ in range(3):
            taken = connection.taken
            while connection.taken == taken:
                received += len(await loop.sock_recv(sock, 1 << 20))
                await asyncio.sleep(0)
            connection.overdue()
        assert received + len(await read_all(loop, sock)) > size

    over_tcp(process, client)


def test_a_client_that_reads_no_more_is_cut_after_the_close() -> None:
    """Two looks with nothing taken between them."""
    process = answering(bytes(20_000_000))

    async def client(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        await loop.sock_sendall(sock, OLD)
        while not process.exchanges:
            await asyncio.sleep(0)
        connection = cast(HTTPExchange, process.exchanges[0]).connection
        for _ in range(20):
            await asyncio.sleep(0)
        connection.overdue()
        connection.overdue()
        assert connection.sock.fileno() == -1

    over_tcp(process, client)
