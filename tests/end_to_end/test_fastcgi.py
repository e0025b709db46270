"""The FastCGI socket of a running server, box by box of the specification, with a client that hides nothing."""

import json
import socket
import subprocess
from collections.abc import Iterator

import pytest

from runner.wire import records
from runner.wire.requester import End, Reply, Requester, Stdout, Unknown, Values
from tests.support.client import FastCGI, FastCGIReply, parameters
from tests.support.memory import forget_peak, peak
from tests.support.places import connect
from tests.support.runner_process import ROOT, Served, serve
from tests.support.worker_app import BLOCK

APP = "tests.support.worker_app:application"
OPTIONS = ("--workers", "1", "--max-body", "1G", "--no-reload", "--access-log", "-")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One worker for all tests of this module: what one of them does must not harm the next."""
    with serve(ROOT, APP, *OPTIONS) as served:
        yield served


def ask(served: Served, path: str, **more: str) -> FastCGIReply:
    """One request on a connection of its own."""
    with FastCGI(served.fastcgi) as client:
        return client.request(parameters(path) | more)


def params(path: str, length: int = 0) -> dict[str, str]:
    """A POST if there is a body."""
    return parameters(path, method="POST" if length else "GET", length=length or None)


def pid(served: Served) -> int:
    """The worker's process id."""
    return int(ask(served, "/pid").body)


def pairs(path: str, **more: str) -> list[tuple[bytes, bytes]]:
    """Parameters as the wire has them."""
    return [(name.encode(), value.encode()) for name, value in (parameters(path) | more).items()]


def drain(sock: socket.socket) -> bytes:
    """All that comes until the peer closes."""
    found = bytearray()
    while data := sock.recv(1 << 16):
        found += data
    return bytes(found)


# ---- records ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [True, False])
def test_an_answer_is_stdout_its_end_and_end_request_in_one_write(served: Served, keep: bool) -> None:
    """A01: exact records; the connection is closed or kept as asked."""
    request = Requester().request(1, pairs("/size?2"), keep=keep) + Requester().stdin(1, b"")
    with connect(served.fastcgi) as sock:
        sock.sendall(request)
        raw = sock.recv(1 << 16)
        assert raw == records.whole(1, b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\n\0\1")
        if keep:
            sock.sendall(request)
            assert sock.recv(1 << 16) == raw
        else:
            assert sock.recv(1) == b""


@pytest.mark.parametrize("number", [0, 1, 65527, 65528, 65529, 65535, 65536, 65537, 1 << 20])
def test_no_record_is_longer_than_its_header_can_say_and_each_is_padded_to_eight(served: Served, number: int) -> None:
    """A16: a length cut to sixteen bits would let an answer write records of its own."""
    with connect(served.fastcgi) as sock:
        sock.sendall(Requester().request(1, pairs(f"/size?{number}"), keep=False) + Requester().stdin(1, b""))
        raw = drain(sock)
    position, body = 0, b""
    while parsed := records.parse_record(raw, position):
        record, after = parsed
        assert (after - position) % 8 == 0
        position = after
        if record.kind == records.STDOUT:
            body += record.content
    assert position == len(raw)
    assert body.partition(b"\r\n\r\n")[2] == (BLOCK * (number // len(BLOCK) + 1))[:number]


@pytest.mark.parametrize("padding", [0, 1, 7, 8, 255])
def test_padding_is_skipped_on_every_record_and_on_those_that_end_a_stream(served: Served, padding: int) -> None:
    """A04: php-fpm and libfcgi lose the body here."""
    def record(kind: int, content: bytes = b"") -> bytes:
        return records.serialize_record(kind, 5, content, padding)

    stream = records.serialize_pairs(pairs("/", CONTENT_LENGTH="5"))
    raw = record(records.BEGIN_REQUEST, records.BEGIN_BODY.pack(1, 0)) + record(records.PARAMS, stream)
    raw += record(records.PARAMS) + record(records.STDIN, b"he") + record(records.STDIN, b"llo") + record(records.STDIN)
    with FastCGI(served.fastcgi) as client:
        client.send(raw)
        assert json.loads(client.reply().body)["body"] == "hello"


def test_pairs_may_be_cut_at_every_byte(served: Served) -> None:
    """A02, A03: one record for each byte of the parameters, and one write for each byte of those."""
    stream = records.serialize_pairs(pairs("/", HTTP_X="v" * 200))
    raw = records.serialize_record(records.BEGIN_REQUEST, 1, records.BEGIN_BODY.pack(1, 0))
    raw += b"".join(records.serialize_record(records.PARAMS, 1, stream[i : i + 1], 0) for i in range(len(stream)))
    raw += records.serialize_record(records.PARAMS, 1) + records.serialize_record(records.STDIN, 1)
    with FastCGI(served.fastcgi) as client:
        for start in range(600):
            client.send(raw[start : start + 1])
        client.send(raw[600:])
        assert json.loads(client.reply().body)["HTTP_X"] == "v" * 200


@pytest.mark.parametrize("length", [0, 1, 127, 128, 65535, 200_000])
def test_values_of_every_length_arrive(served: Served, length: int) -> None:
    """A05: one byte or four for the length."""
    assert json.loads(ask(served, "/", HTTP_X="v" * length).body)["HTTP_X"] == "v" * length


@pytest.mark.parametrize("request_id", [1, 2, 255, 256, 65535])
def test_every_id_is_served_under_its_own_number(served: Served, request_id: int) -> None:
    """Section 3.3."""
    with FastCGI(served.fastcgi) as client:
        assert client.request(params("/size?1"), request_id=request_id).end == End(0, 0, request_id)


def test_values_and_unknown_types_are_answered_at_any_time(served: Served) -> None:
    """A06, A07: before a request, inside it, after it; the connection goes on."""
    machine = Requester()
    ask_values = machine.get_values([b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS", b"NO"])
    odd = b"".join(records.serialize_record(kind, 0, b"?") for kind in range(12, 256))
    with connect(served.fastcgi) as sock:
        request = machine.request(1, pairs("/", CONTENT_LENGTH="2"), keep=True)
        sock.sendall(ask_values + odd + request + ask_values + machine.stdin(1, b"hi") + odd + machine.stdin(1, b""))
        replies: list[Reply] = []
        while not any(isinstance(reply, End) for reply in replies):
            replies += machine.feed(sock.recv(1 << 16))
        values = [reply.values for reply in replies if isinstance(reply, Values)]
        assert [sorted(each) for each in values] == [[b"FCGI_MAX_CONNS", b"FCGI_MAX_REQS", b"FCGI_MPXS_CONNS"]] * 2
        assert values[0][b"FCGI_MPXS_CONNS"] == b"0"
        assert [reply.type for reply in replies if isinstance(reply, Unknown)] == [*range(12, 256)] * 2
        sock.sendall(ask_values)
        assert isinstance(machine.feed(sock.recv(1 << 16))[0], Values)


def test_a_second_request_on_a_busy_connection_is_refused_and_the_first_is_whole(served: Served) -> None:
    """A10: with multiplexing refused, its STDIN is not lost as libfcgi loses it."""
    machine = Requester()
    with connect(served.fastcgi) as sock:
        sock.sendall(machine.request(1, pairs("/", CONTENT_LENGTH="5"), keep=False) + machine.stdin(1, b"hel"))
        sock.sendall(machine.request(2, pairs("/second"), keep=True) + machine.stdin(2, b"no") + machine.stdin(2, b""))
        sock.sendall(machine.stdin(1, b"lo") + machine.stdin(1, b""))
        replies = machine.feed(drain(sock))
    assert replies[0] == End(0, records.CANT_MPX_CONN, 2)
    body = b"".join(reply.data for reply in replies if isinstance(reply, Stdout)).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["body"] == "hello"
    assert replies[-1] == End(0, 0, 1)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("role", [0, 2, 3, 9, 65535])
def test_another_role_is_refused_and_the_connection_as_asked(served: Served, role: int, keep: bool) -> None:
    """A08."""
    machine = Requester()
    with FastCGI(served.fastcgi) as client:
        client.send(machine.request(1, pairs("/"), keep=keep, role=role) + machine.stdin(1, b""))
        assert client.reply().end.protocol_status == records.UNKNOWN_ROLE
        if keep:
            assert client.request(params("/size?1")).end == End(0, 0)
        else:
            assert client.socket.recv(1) == b""


def test_an_abort_while_streaming_ends_the_stream_soon_and_once(served: Served) -> None:
    """A11: the generator's finally runs, the connection is usable, a late abort is ignored."""
    before = int(ask(served, "/ends").body)
    machine = Requester()
    with FastCGI(served.fastcgi) as client:
        client.send(machine.request(1, pairs("/stream?100000"), keep=True) + machine.stdin(1, b""))
        client.socket.recv(1 << 16)
        client.send(machine.abort(1))
        assert client.reply().end.app_status != 0
        client.send(machine.abort(1) + machine.abort(9))
        assert client.request(params("/size?1")).end == End(0, 0)
    assert int(ask(served, "/ends").body) == before + 1


# ---- bodies -------------------------------------------------------------------------------------------------


def test_early_and_late_stdin_belong_to_nobody(served: Served) -> None:
    """A12, A13: records of other ids, bytes beyond the length, a stream that goes on after its end."""
    machine = Requester()
    with FastCGI(served.fastcgi) as client:
        client.send(machine.stdin(7, b"early") + machine.abort(7))
        client.send(machine.request(1, pairs("/", CONTENT_LENGTH="5"), keep=True))
        client.send(machine.stdin(1, b"hello, world") + machine.stdin(1, b"") + machine.stdin(1, b"late"))
        assert json.loads(client.reply().body)["body"] == "hello"
        client.send(machine.stdin(1, b"later") + machine.stdin(1, b""))
        assert client.request(params("/size?1")).end == End(0, 0)


def test_a_body_shorter_than_announced_is_an_error_to_the_application(served: Served) -> None:
    """A13: never an early end."""
    with FastCGI(served.fastcgi) as client:
        reply = client.request({**params("/short", 9), "CONTENT_LENGTH": "9"}, b"abc")
    assert reply.stdout.startswith(b"Status: 422 ")
    assert b"3 of 9 bytes" in reply.body


def test_a_large_body_that_nobody_reads_costs_no_memory_and_the_refusal_arrives(served: Served) -> None:
    """A14: 200 MiB, written by a peer that reads nothing before it has written all."""
    worker = pid(served)
    forget_peak(worker)
    before = peak(worker)
    machine = Requester()
    with connect(served.fastcgi) as sock:
        length = 200 << 20
        sock.sendall(machine.request(1, pairs("/forbidden", CONTENT_LENGTH=str(length)), keep=False))
        part = machine.stdin(1, bytes(1 << 20))
        for _ in range(200):
            sock.sendall(part)
        sock.sendall(machine.stdin(1, b""))
        reply = drain(sock)
    assert b"Status: 403 Forbidden\r\n" in reply and reply.endswith(records.end(1))
    assert peak(worker) - before < 8 << 20
    assert pid(served) == worker


def test_a_body_above_the_limit_is_refused_and_the_refusal_survives_what_is_still_sent(served: Served) -> None:
    """413 before a byte of it is read; the peer goes on writing all the same."""
    machine = Requester()
    with connect(served.fastcgi) as sock:
        sock.sendall(machine.request(1, pairs("/", CONTENT_LENGTH=str(2 << 30)), keep=False))
        part = machine.stdin(1, bytes(1 << 20))
        for _ in range(30):
            sock.sendall(part)
        assert b"Status: 413 " in drain(sock)


def test_a_peer_that_writes_all_before_it_reads_meets_no_deadlock(served: Served) -> None:
    """A15: mod_fcgid's order, with 30 MiB in each direction."""
    machine = Requester()
    size = 30 << 20
    with connect(served.fastcgi) as sock:
        head = machine.request(1, pairs(f"/size?{size}", CONTENT_LENGTH=str(size)), keep=False)
        sock.sendall(head + machine.stdin(1, bytes(size)) + machine.stdin(1, b""))
        replies = machine.feed(drain(sock))
    assert sum(len(reply.data) for reply in replies if isinstance(reply, Stdout)) > size
    assert replies[-1] == End(0, 0)


def test_a_stream_to_a_slow_reader_is_bounded_in_memory_and_holds_up_nobody(served: Served) -> None:
    """100 MiB in parts; other requests are answered in between."""
    worker = pid(served)
    forget_peak(worker)
    before = peak(worker)
    machine = Requester()
    with connect(served.fastcgi) as sock:
        sock.sendall(machine.request(1, pairs("/stream?1600"), keep=False) + machine.stdin(1, b""))
        sock.recv(100)
        assert pid(served) == worker
        assert len(drain(sock)) > 100 << 20
    assert peak(worker) - before < 8 << 20


# ---- ends ---------------------------------------------------------------------------------------------------


def test_an_answer_that_fails_half_way_ends_in_a_poison_record(served: Served) -> None:
    """nginx would finish the answer properly after a plain close."""
    with connect(served.fastcgi) as sock:
        sock.sendall(Requester().request(1, pairs("/half"), keep=True) + Requester().stdin(1, b""))
        raw = drain(sock)
    assert raw == records.stdout(1, b"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf") + records.POISON


def test_what_the_application_writes_to_its_streams_goes_to_the_log_and_not_onto_the_socket(served: Served) -> None:
    """A17, A21: wsgi.errors, and what it prints."""
    after = served.position
    reply = ask(served, "/chatty")
    assert (reply.body, reply.stderr) == (b"".join(b"%d," % number for number in range(20)), b"")
    served.wait_for("word 19 in between", after=after)
    served.wait_for("printed 19", after=after)


def test_the_worker_survives_an_application_that_exits(served: Served) -> None:
    """One request must not end the process that serves all others."""
    before = pid(served)
    assert ask(served, "/leave").stdout.startswith(b"Status: 500 ")
    assert pid(served) == before


# ---- independent clients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"seven!!"])
def test_libfcgis_own_client_is_served(served: Served, body: bytes) -> None:
    """cgi-fcgi, which shares no code with us."""
    variables = params("/", len(body)) | {"CONTENT_LENGTH": str(len(body))}
    done = subprocess.run(
        ["cgi-fcgi", "-bind", "-connect", str(served.fastcgi)],
        env=variables, input=body, capture_output=True, check=True, timeout=10,
    )  # fmt: skip
    assert json.loads(done.stdout.partition(b"\r\n\r\n")[2])["body"] == body.decode()
