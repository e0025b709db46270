"""What nobody should send to the FastCGI socket: the worker lives, the next good request is served, one line is logged.

The cases are tables by kind; every test ends with the same look at the server (fixtures `alive` and `unharmed`).
"""

import json
import random
import socket
import time
from collections.abc import Iterator

import pytest

from runner.wire import records
from runner.wire.requester import Requester
from tests.support.client import FastCGI, parameters
from tests.support.memory import descriptors, resident
from tests.support.places import connect
from tests.support.runner_process import ROOT, Served, serve

APP = "tests.support.worker_app:application"
LINE = 1024  # bytes
GROWTH = 8 << 20  # bytes that a worker's memory may vary by; what is attacked here would be hundreds


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One worker with short timers for all tests of this module."""
    options = ("--workers", "1", "--no-reload", "--header-timeout", "2s", "--body-timeout", "2s")
    with serve(ROOT, APP, *options) as served:
        yield served


def pid(served: Served) -> int:
    """The worker that answers a good request on a new connection."""
    with FastCGI(served.fastcgi) as client:
        return int(client.request(parameters("/pid")).body)


@pytest.fixture
def alive(served: Served) -> Iterator[Served]:
    """Afterwards: the same worker, not larger, no descriptor more."""
    worker = pid(served)
    memory, opened = resident(worker), len(descriptors(worker))
    yield served
    assert pid(served) == worker
    assert resident(worker) - memory < GROWTH
    deadline = time.monotonic() + 5
    while len(descriptors(worker)) > opened and time.monotonic() < deadline:
        time.sleep(0.01)  # until a lingering close has ended
    assert len(descriptors(worker)) <= opened


@pytest.fixture
def unharmed(alive: Served) -> Iterator[Served]:
    """As `alive`, and at most one short line in the log."""
    after = alive.position
    yield alive
    lines = alive.said(after)
    assert len(lines) <= 1, lines
    assert all(len(line.encode()) <= LINE and line.isprintable() for line in lines)


def send(served: Served, data: bytes, *, half_close: bool = True) -> bytes:
    """Send *data* and return all that comes back until the server closes; it may close in the middle."""
    with connect(served.fastcgi, 5) as sock:
        try:
            sock.sendall(data)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        found = bytearray()
        try:
            while part := sock.recv(1 << 16):
                found += part
        except ConnectionResetError:
            pass
        return bytes(found)


def record(kind: int, content: bytes = b"", request_id: int = 1, version: int = 1) -> bytes:
    """One record, of any version."""
    return bytes((version,)) + records.serialize_record(kind, request_id, content)[1:]


def begin(request_id: int = 1, keep: int = 0) -> bytes:
    """A BEGIN_REQUEST."""
    return record(records.BEGIN_REQUEST, records.BEGIN_BODY.pack(records.RESPONDER, keep), request_id)


def request(*more: tuple[bytes, bytes], path: str = "/size?1", body: bytes = b"", keep: bool = False) -> bytes:
    """A good request with *more* parameters at its end."""
    pairs = [(name.encode(), value.encode()) for name, value in parameters(path).items() if name != "CONTENT_LENGTH"]
    machine = Requester()
    end = machine.stdin(1, b"") if body else b""
    return machine.request(1, [*pairs, *more], keep=keep) + machine.stdin(1, body) + end


STATES = {
    "fresh": b"", "begun": begin(), "in its params": begin() + record(records.PARAMS, b"\x01"),
    "in its body": request()[:-8], "kept": request(keep=True),
}  # fmt: skip
GARBAGE = {
    "B01 zeros": bytes(64),
    "B01 random": random.Random(1).randbytes(5000),
    "B01 HTTP": b"GET / HTTP/1.1\r\nHost: evil\x1b[31m\r\n\r\n",
    "B01 TLS": bytes.fromhex("16030100c8010000c40303") + bytes(180),
    "B02 version 0": record(records.BEGIN_REQUEST, bytes(8), version=0),
    "B02 version 2": record(records.BEGIN_REQUEST, bytes(8), version=2),
    "B02 version 255": record(records.BEGIN_REQUEST, bytes(8), version=255),
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_fastcgi_closes_the_connection(unharmed: Served, garbage: bytes, state: bytes) -> None:
    """B01, B02, in every state. A request that had begun is told why."""
    answer = send(unharmed, state + garbage, half_close=False)
    assert b"Status: 400 " in answer or (state in (STATES["fresh"], STATES["kept"]))


@pytest.mark.parametrize("request_id", [0, 1, 65535])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_every_type_of_record_is_survived_in_every_state(unharmed: Served, state: bytes, request_id: int) -> None:
    """B03, B12: all 256, those included that only an application sends."""
    for kind in range(256):
        send(unharmed, state + record(kind, bytes(8), request_id))


LENGTHS = {
    "B04 value of 2 GiB": b"\x01" + b"\xff\xff\xff\xff" + b"A",
    "B04 name of 2 GiB": b"\xff\xff\xff\xff" + b"\x01" + b"A",
    "B04 both": b"\xff" * 8,
    "B04 sum beyond 32 bits": b"\xff\xff\xff\xff" + b"\x80\0\0\1",
    "B04 beyond the end": b"\x01\x05AB",
    "B04 a length cut": b"\x81\x00",
}


@pytest.mark.parametrize("stream", LENGTHS.values(), ids=LENGTHS)
def test_a_length_that_cannot_be_is_refused_without_memory(unharmed: Served, stream: bytes) -> None:
    """B04: what libfcgi and Perl's FCGI allocated by (CVE-2025-23016, CVE-2025-40907)."""
    answer = send(unharmed, begin() + record(records.PARAMS, stream) + record(records.PARAMS), half_close=False)
    assert b"Status: 4" in answer


def test_endless_parameters_are_cut_at_the_limit_and_told(unharmed: Served) -> None:
    """B05: 431, long before the peer is done."""
    part = record(records.PARAMS, b"\x01\x84\x00\x00\x00" + bytes(65000))
    assert b"Status: 431 " in send(unharmed, begin() + part * 100, half_close=False)


@pytest.mark.parametrize("number", [1001, 10_000])
def test_too_many_parameters_are_refused(unharmed: Served, number: int) -> None:
    """B15: 431."""
    assert b"Status: 431 " in send(unharmed, request(*[(b"X", b"")] * number), half_close=False)


def test_a_flood_of_beginnings_costs_no_memory(unharmed: Served) -> None:
    """B06: 65,535 of them on one connection, by a peer that does not read what it is told."""
    send(unharmed, b"".join(begin(number) for number in range(1, 65536)), half_close=False)


def test_idle_connections_are_closed_by_the_first_byte_timer(unharmed: Served) -> None:
    """B07: three hundred of them hold up nobody meanwhile."""
    idle = [connect(unharmed.fastcgi, 5) for _ in range(300)]
    assert pid(unharmed)
    began = time.monotonic()
    for sock in idle:
        with sock:
            assert sock.recv(1) == b""
    assert time.monotonic() - began < 4


SLOW = {"header": (0, ""), "params": (60, ""), "stdin": (-8, "Status: 408 ")}


@pytest.mark.parametrize(("begun", "answer"), SLOW.values(), ids=SLOW)
def test_a_peer_that_stops_in_the_middle_is_not_waited_for(unharmed: Served, begun: int, answer: str) -> None:
    """B08: whatever part it is in."""
    whole = request((b"CONTENT_LENGTH", b"5"), body=b"hello")
    with connect(unharmed.fastcgi, 5) as sock:
        sock.sendall(whole[: begun or 3])
        found = b""
        while part := sock.recv(1 << 16):
            found += part
        assert found[8:].startswith(answer.encode())


def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_another(unharmed: Served) -> None:
    """B08: the bound is for the whole head, not for each byte."""
    began = time.monotonic()
    with connect(unharmed.fastcgi, 0.05) as sock:
        for byte in begin() + bytes([1, 4, 0, 1, 255, 0]):
            sock.sendall(bytes((byte,)))
        while True:
            assert time.monotonic() - began < 4
            try:
                sock.sendall(b"\x01")
                if not sock.recv(1):
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break


def test_padding_of_255_and_headers_cut_at_every_byte(unharmed: Served) -> None:
    """B09, B10: not bad, only rare."""
    raw = b"".join(
        records.serialize_record(kind, 1, content, 255)
        for kind, content in [
            (records.BEGIN_REQUEST, records.BEGIN_BODY.pack(1, 0)),
            (records.PARAMS, records.serialize_pairs([(b"REQUEST_METHOD", b"GET"), (b"PATH_INFO", b"/pid")])),
            (records.PARAMS, b""), (records.STDIN, b""),
        ]
    )  # fmt: skip
    for cut in range(1, 8):
        with FastCGI(unharmed.fastcgi) as client:
            client.send(raw[:cut])
            client.send(raw[cut:])
            assert client.reply().stdout.startswith(b"Status: 200 OK")


ORDERS = {
    "B11 STDIN before BEGIN": (record(records.STDIN, b"x") + request(), b"Status: 200 OK"),
    "B11 PARAMS before BEGIN": (record(records.PARAMS, b"x") + request(), b"Status: 200 OK"),
    "B11 STDIN before the end of PARAMS": (begin() + record(records.STDIN, b"x"), b"Status: 400 "),
    "B11 STDIN after its end": (request(keep=True) + record(records.STDIN, b"x") + request(), b"Status: 200 OK"),
    "B11 PARAMS after their end": (request()[:-8] + record(records.PARAMS, b"x") + request()[-8:], b"Status: 200 OK"),
    "B12 END_REQUEST": (record(records.END_REQUEST, bytes(8)) + request(), b"Status: 200 OK"),
    "B12 STDOUT within": (request()[:-8] + record(records.STDOUT, b"x") + request()[-8:], b"Status: 200 OK"),
    "B12 BEGIN within itself": (begin() + begin(), b"Status: 400 "),
    "B12 BEGIN of id 0": (begin(0), b""),
    "B12 BEGIN of four bytes": (record(records.BEGIN_REQUEST, bytes(4)), b""),
}


@pytest.mark.parametrize(("raw", "answer"), ORDERS.values(), ids=ORDERS)
def test_records_out_of_order_are_ignored_or_refused(unharmed: Served, raw: bytes, answer: bytes) -> None:
    """B11, B12: never read as parameters, never a hang."""
    found = send(unharmed, raw, half_close=False)
    assert answer in found and (answer or not found)


def test_no_parameter_chooses_code_environment_or_directory(unharmed: Served) -> None:
    """B13: what uWSGI and PHP let the socket choose."""
    evil = [
        "UWSGI_FILE", "UWSGI_MODULE", "UWSGI_SCRIPT", "PHP_VALUE", "PHP_ADMIN_VALUE", "SCRIPT_FILENAME", "PYTHONPATH",
        "LD_PRELOAD", "WSGI_APP", "RUNNER_TARGET", "RUNNER_CHDIR", "RUNNER_DEBUG", "HTTP_PROXY", "PATH", "HOME",
    ]  # fmt: skip
    before = send(unharmed, request(path="/world"), half_close=False)
    pairs = [(name.encode(), b"/etc/passwd") for name in evil]
    assert send(unharmed, request(*pairs, path="/world"), half_close=False) == before


OVERRIDES = ["wsgi.input", "wsgi.errors", "wsgi.url_scheme", "werkzeug.server.shutdown", "mod_wsgi.version"]
DROPPED = ["", "A=B", "A\0B", "A\nB", "A B", "HTTP_a", "REMOTE_USER", "AUTH_TYPE", "HTTP_PROXY", "HTTP_CONTENT_LENGTH"]


@pytest.mark.parametrize("name", [*OVERRIDES, *DROPPED])
def test_no_parameter_overrides_a_key_of_the_host_or_smuggles_a_name(unharmed: Served, name: str) -> None:
    """B14, B15."""
    with FastCGI(unharmed.fastcgi) as client:
        client.send(request((name.encode("latin-1"), b"evil"), path="/"))
        told = json.loads(client.reply().body)
    assert told.get(name) != "evil"
    assert told["wsgi.url_scheme"] == "http"


def test_bytes_that_are_no_utf_8_arrive_as_they_were_sent(unharmed: Served) -> None:
    """B16: latin-1 text of the bytes, as PEP 3333 says."""
    value = bytes(range(1, 256))
    with FastCGI(unharmed.fastcgi) as client:
        client.send(request((b"HTTP_X", value), path="/"))
        assert json.loads(client.reply().body)["HTTP_X"].encode("latin-1") == value


VALUES = {
    **{f"B17 length {text!r}": (b"CONTENT_LENGTH", text.encode()) for text in
       ("+5", "5 ", "0x5", "5,5", "5_0", "\u0663", str(10**30), "-5")},
    "B18 a path that is none": (b"PATH_INFO", b"evil"),
    "B18 NUL in the URI": (b"REQUEST_URI", b"/a\0b"),
    "B15 a value of 1 MiB": (b"HTTP_X", b"v" * (1 << 20)),
    "B18 no method": (b"REQUEST_METHOD", b""),
}  # fmt: skip


@pytest.mark.parametrize("pair", VALUES.values(), ids=VALUES)
def test_values_that_cannot_be_are_refused(unharmed: Served, pair: tuple[bytes, bytes]) -> None:
    """B15, B17, B18: 400 or 431, never a guess."""
    assert b"Status: 4" in send(unharmed, request(pair), half_close=False)


@pytest.mark.parametrize("text", [b"", b"-1"])
def test_an_unknown_length_is_a_body_up_to_its_end(unharmed: Served, text: bytes) -> None:
    """B17: as nginx and Caddy send it."""
    with FastCGI(unharmed.fastcgi) as client:
        client.send(request((b"CONTENT_LENGTH", text), path="/", body=b"hello"))
        assert json.loads(client.reply().body)["body"] == "hello"


@pytest.mark.parametrize("uri", [b"", b"relative", b"http://evil.example/x", b"/" + b"x" * 65000, b"/\x1b[31m"])
def test_strange_uris_are_served_or_refused(unharmed: Served, uri: bytes) -> None:
    """B18: the path is what counts."""
    assert b"Status: 200 OK" in send(unharmed, request((b"REQUEST_URI", uri)), half_close=False)


def test_a_path_outside_the_prefix_is_404() -> None:
    """B18: /apple is not below /app."""
    with serve(ROOT, APP, "--workers", "1", "--root-path", "/app") as served:
        for path, status in {"/apple": 404, "/": 404, "/app": 200, "/app/pid": 200}.items():
            with FastCGI(served.fastcgi) as client:
                assert client.request(parameters(path)).stdout.startswith(f"Status: {status} ".encode())


def test_one_line_a_minute_says_what_a_peer_does() -> None:
    """B01: the log cannot be filled from outside."""
    with serve(ROOT, APP, "--workers", "1") as served:
        after = served.position
        for garbage in [*GARBAGE.values()] * 5:
            send(served, garbage, half_close=False)
        assert pid(served)
        lines = served.said(after)
    assert len(lines) == 1
    assert "a FastCGI connection was closed" in lines[0] and len(lines[0].encode()) <= LINE


@pytest.mark.stress
@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_in_a_good_conversation(alive: Served, seed: int) -> None:
    """Up to three of its bytes changed, thousands of times; a minute in all."""
    chance = random.Random(seed)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        raw = bytearray(request(path="/pid", body=b"x" * 20, keep=True) * 2 + request(path="/pid"))
        for _ in range(chance.randrange(4)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        send(alive, bytes(raw))
