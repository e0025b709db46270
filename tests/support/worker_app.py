"""A WSGI application for end-to-end tests: each path does one thing that a server has to bear.

Start at application: the path `/name` calls the function `name`.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

BLOCK = bytes(range(256)) * 256  # 64 KiB in which a lost or doubled byte shows
PLAIN = [("Content-Type", "text/plain")]

closed: dict[str, int] = {}


def application(environ: Environ, start: Start) -> Iterable[bytes]:
    """Call what the path names; without a name, tell the environ."""
    page = PAGES.get(environ["PATH_INFO"].strip("/"), told)
    return page(environ, start)


def told(environ: Environ, start: Start) -> list[bytes]:
    """Every string of the environ as JSON, and the body."""
    found = {name: value for name, value in environ.items() if isinstance(value, str)}
    found["body"] = environ["wsgi.input"].read().decode("latin-1")
    start("200 OK", PLAIN)
    return [json.dumps(found).encode()]


def pid(environ: Environ, start: Start) -> list[bytes]:
    """Which process answers."""
    start("200 OK", PLAIN)
    return [str(os.getpid()).encode()]


def world(environ: Environ, start: Start) -> list[bytes]:
    """What of the process a request might have changed."""
    start("200 OK", PLAIN)
    return [json.dumps([dict(os.environ), os.getcwd(), sys.path, sorted(sys.modules)]).encode()]


def forbidden(environ: Environ, start: Start) -> list[bytes]:
    """Refuse, and read none of the body."""
    start("403 Forbidden", PLAIN)
    return [b"no"]


def size(environ: Environ, start: Start) -> list[bytes]:
    """A body of so many bytes."""
    start("200 OK", PLAIN)
    number = int(environ["QUERY_STRING"])
    return [(BLOCK * (number // len(BLOCK) + 1))[:number]]


def stream(environ: Environ, start: Start) -> Iterator[bytes]:
    """So many blocks, one by one, and a word to the error stream with each; its end is counted."""
    start("200 OK", PLAIN)
    try:
        for _ in range(int(environ["QUERY_STRING"])):
            yield BLOCK
    finally:
        closed["stream"] = closed.get("stream", 0) + 1


def chatty(environ: Environ, start: Start) -> Iterator[bytes]:
    """Lines for the log between the parts of the answer."""
    start("200 OK", PLAIN)
    for number in range(20):
        print(f"word {number} in between", file=environ["wsgi.errors"], flush=True)
        print(f"printed {number}", flush=True)
        yield b"%d," % number


def ends(environ: Environ, start: Start) -> list[bytes]:
    """How many streams were closed."""
    start("200 OK", PLAIN)
    return [str(closed.get("stream", 0)).encode()]


def half(environ: Environ, start: Start) -> Iterator[bytes]:
    """Fail after the first part."""
    start("200 OK", PLAIN)
    yield b"half"
    raise ValueError("in the middle")


def leave(environ: Environ, start: Start) -> list[bytes]:
    """Try to end the process."""
    sys.exit(3)


def short(environ: Environ, start: Start) -> list[bytes]:
    """Say what reading a body that is not whole leads to."""
    try:
        environ["wsgi.input"].read()
    except ConnectionError as error:
        start("422 Short", PLAIN)
        return [str(error).encode()]
    start("200 OK", PLAIN)
    return [b"whole"]


def slow(environ: Environ, start: Start) -> Iterator[bytes]:
    """Begin, then say nothing for long without keeping the loop: an empty part is a pause."""
    start("200 OK", PLAIN)
    yield b"begun"
    deadline = time.monotonic() + float(environ["QUERY_STRING"])
    while time.monotonic() < deadline:
        time.sleep(0.005)
        yield b""
    yield b"done"


PAGES = {
    page.__name__: page
    for page in (pid, world, forbidden, size, stream, chatty, ends, half, leave, short, slow)
}
