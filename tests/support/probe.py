"""A WSGI application that does on demand what web servers trip over, and its twin in ASGI; served from a copy that
tests edit.

Laws: the standard library alone, and nothing of this project, for the copy runs in a folder of its own. Every body
that may be cut ends with a line `sha256 HEX` of what stands before it, so half an answer is never taken for a whole
one. PROBE_FOLDER is where a waiting answer looks for the file that lets it go on, and where the tokens of POSTs are
written. Start at main.
"""

import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

VERSION = 1
PART = bytes(range(256)) * 256   # 64 KiB
PATIENCE = 10.0   # seconds; a test that never lets an answer go on must not hang its neighbours
Answer = Iterable[bytes]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def main(environ: WSGIEnvironment, start_response: StartResponse) -> Answer:
    """Do what the last segment of the path says, with the query as its options."""
    options = {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"], keep_blank_values=True).items()}
    action = ACTIONS.get(environ["PATH_INFO"].rpartition("/")[2], told)
    return action(environ, start_response, options)


async def live(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """The same for ASGI, as far as it does not wait; it knows no lifespan."""
    if scope["type"] != "http":
        raise ValueError("only http")
    body = bytearray()
    while (event := await receive())["type"] == "http.request":
        body += event["body"]
        if not event["more_body"]:
            break

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        start["status"] = int(status.split()[0])
        start["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

    start: dict[str, Any] = {"type": "http.response.start"}
    parts = main({
        "REQUEST_METHOD": scope["method"], "PATH_INFO": scope["path"], "QUERY_STRING": scope["query_string"].decode(),
        "wsgi.input": BytesIO(body),
    }, start_response)  # fmt: skip
    await send(start)
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})


def told(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """All strings of the environ, the body, and what of the request has got into the process's own environment."""
    facts = {name: value for name, value in environ.items() if isinstance(value, str)}
    facts["body"] = environ["wsgi.input"].read().decode("latin-1")
    facts["os.environ"] = " ".join(name for name in os.environ if name.startswith(("HTTP_", "REQUEST_", "REMOTE_")))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]


def whoami(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """The version of this file, the process, and the length and hash of the body received."""
    received, digest = 0, hashlib.sha256()
    while data := environ["wsgi.input"].read(65536):
        received += len(data)
        digest.update(data)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()} {received} {digest.hexdigest()}\n".encode()]


def noted(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """Version, process, token, length and hash of the body received, then `size` bytes.

    The token of a POST is its body's first line, and is written down before all else: who is called twice shows it.
    """
    body = environ["wsgi.input"].read()
    token = options.get("token", "")
    if environ["REQUEST_METHOD"] == "POST":
        token = body.partition(b"\n")[0].decode("latin-1")
        log = os.open(Path(os.environ["PROBE_FOLDER"], "tokens"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{token}\n".encode("latin-1"))
        os.close(log)
    told = f"{VERSION} {os.getpid()} {token} {len(body)} {hashlib.sha256(body).hexdigest()}\n"
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return sealed([told.encode("latin-1"), *_filler(int(options["size"]))])


def _filler(size: int) -> Iterator[bytes]:
    for begin in range(0, size, len(PART)):
        yield PART[:size - begin]


def stream(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """`parts` parts of 64 KiB, after a line with the process; fails instead of its end if `fail` is given."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return sealed(_parts(int(options["parts"]), "fail" in options))


def _parts(count: int, fail: bool) -> Iterator[bytes]:
    yield b"%d\n" % os.getpid()
    for _ in range(count):
        yield PART
    if fail:
        raise RuntimeError("in the middle of the answer, as the test wants it")


def patient(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """A first line at once, the rest when the file named `until` is there."""
    start_response("200 OK", [("Content-Type", "text/plain"), *_accelerated(options)])
    return sealed(_wait_for(Path(os.environ["PROBE_FOLDER"], options["until"])))


def _accelerated(options: dict[str, str]) -> list[tuple[str, str]]:
    return [("X-Accel-Buffering", "no")] if "unbuffered" in options else []


def _wait_for(file: Path) -> Iterator[bytes]:
    yield b"%d\n" % os.getpid()
    deadline = time.monotonic() + PATIENCE
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    yield b"in time\n" if file.exists() else b"too late\n"


class Endless:
    """Parts without an end; says on stderr that it was closed, each time it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._first = True

    def __iter__(self) -> "Endless":
        return self

    def __next__(self) -> bytes:
        first, self._first = self._first, False
        return b"%d\n" % os.getpid() if first else PART

    def close(self) -> None:
        """Tell the test."""
        os.write(2, f"closed {self._name}\n".encode())


def endless(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """Parts until the client leaves."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Endless(options["name"])


def headers(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """`cookies` Set-Cookie headers, and one header of `size` bytes."""
    cookies = [("Set-Cookie", f"c{number}=v") for number in range(int(options.get("cookies", 0)))]
    start_response("200 OK", [("X-Large", "x" * int(options.get("size", 0))), *cookies])
    return [b"whole\n"]


def status(environ: WSGIEnvironment, start_response: StartResponse, options: dict[str, str]) -> Answer:
    """The status asked for, with a body that it may not be allowed to have."""
    seen = ("X-Seen", environ["REQUEST_METHOD"])
    start_response(f"{options['code']} As asked", [("Content-Type", "text/plain"), seen])
    return [b"a body\n"]


def sealed(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The parts, then the line with their hash."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        yield part
    yield f"sha256 {digest.hexdigest()}\n".encode()


ACTIONS: dict[str, Callable[[Any, StartResponse, dict[str, str]], Answer]] = {
    "whoami": whoami, "noted": noted, "stream": stream, "patient": patient, "endless": endless, "headers": headers,
    "status": status,
}
