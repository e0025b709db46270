"""An endpoint that answers single JSON-RPC requests, with gateways before it, as WSGI and as ASGI.

What comes behind a dot in a method's name is only for a test to tell its own apart. Start at SOURCE, the application's
text, and at call and array, which write what it is asked.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOUNTS = {"/jsonrpc/batch": "batch", "/hasty": "hasty", "/narrow": "narrow", "/nested": "nested", "/loop": "loop",
          "/huge": "huge"}  # fmt: skip
"""Of the gateways, by path."""

SOURCE = '''
import asyncio, json, os, time
from pathlib import Path
from uuid import uuid4

import version
from runner import resources
from runner.batch import JSONRPCBatch
from runner.request import current

FOLDER = Path(os.environ["FOLDER"])
BOOK = os.open(FOLDER / "book", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

batch = JSONRPCBatch(path="/jsonrpc")
hasty = JSONRPCBatch(path="/jsonrpc", timeout=2)
narrow = JSONRPCBatch(path="/jsonrpc", max_response=500)
nested = JSONRPCBatch(path=lambda context, item: "/jsonrpc/batch" if item.method == "inner" else "/jsonrpc")
loop = JSONRPCBatch(path="/loop")
huge = JSONRPCBatch(path="/jsonrpc", max_items=1000)

def note(text):
    os.write(BOOK, f"{text}\\n".encode())

def open_thing():
    name = uuid4().hex
    note(f"open {current().id} {name}")
    return name

resources.register("thing", open_thing, lambda name: note(f"close {current().id} {name}"))

# Each is a generator that yields while it has to wait.

def subtract(minuend, subtrahend):
    return minuend - subtrahend
    yield

def sum_(*numbers):
    return sum(numbers)
    yield

def get_data():
    return ["hello", 5]
    yield

def silent(*params):
    return None
    yield

def count(number):
    note(f"count {number}")
    yield
    return number

def meet(room, size):
    """Comes back when everybody of its group is there; a group are the next *size* that come."""
    place = FOLDER / room
    place.mkdir(exist_ok=True)
    number = 0
    while True:
        try:
            (place / str(number)).touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            break
    for _ in range(3):
        yield
    last = place / str(number // size * size + size - 1)
    end = time.monotonic() + 10
    while not last.exists():
        if time.monotonic() > end:
            return "alone"
        yield
    return "met"

def wait(name):
    """Until the file is there; with a resource in its hands."""
    resources.open("thing")
    note(f"wait {name}")
    end = time.monotonic() + 10
    while not (FOLDER / name).exists() and time.monotonic() < end:
        yield
    return version.VERSION

def die():
    os._exit(3)
    yield

def fail():
    raise ValueError("it is broken")
    yield

def large():
    return "x" * 1000
    yield

def place():
    resources.open("thing")
    yield
    return [current().id, current().path, os.getpid()]

def headers():
    return dict(current().headers), current().scheme, current().variables
    yield

METHODS = {
    "subtract": subtract, "sum": sum_, "get_data": get_data, "update": silent, "notify_hello": silent,
    "notify_sum": silent, "count": count, "meet": meet, "wait": wait, "die": die, "fail": fail, "large": large,
    "place": place, "headers": headers,
}

def answer(body):
    request = json.loads(body)
    name, params = request["method"].partition(".")[0], request.get("params", [])
    if name == "text":
        return b"this is no JSON"
    if name == "echo":
        return json.dumps({"jsonrpc": "2.0", "result": body.decode(), "id": request["id"]}).encode()
    if name not in METHODS:
        found = {"error": {"code": -32601, "message": "Method not found"}}
    else:
        steps = METHODS[name](**params) if isinstance(params, dict) else METHODS[name](*params)
        found = {"result": (yield from steps)}
    return json.dumps({"jsonrpc": "2.0", **found, "id": request["id"]}).encode() if "id" in request else b""

def main(environ, start_response):
    steps = answer(environ["wsgi.input"].read())
    while True:
        try:
            next(steps)
        except StopIteration as done:
            start_response("200 OK", [("Content-Type", "application/json")])
            return [done.value]
        time.sleep(0.002)

async def tasks(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("nothing to start")
    body, more = b"", True
    while more:
        event = await receive()
        body += event["body"]
        more = event["more_body"]
    if scope["path"] == "/run":
        status, _, found = await batch.run(body, current())
    else:
        status, steps, found = 200, answer(body), None
        while found is None:
            try:
                next(steps)
            except StopIteration as done:
                found = done.value
            else:
                await asyncio.sleep(0.002)
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": found})
'''
FILES: Mapping[str, str] = {"app.py": SOURCE, "version.py": "VERSION = 1\n"}


def call(method: str, *params: Any, id: Any = None, **named: Any) -> dict[str, Any]:
    """A request object; no *id*: a notification."""
    made = {"jsonrpc": "2.0", "method": method, "params": named or list(params)}
    return made if id is None else {**made, "id": id}


def array(*items: object) -> bytes:
    """A batch."""
    return json.dumps(items).encode()


def lines(folder: Path, first: str) -> list[list[str]]:
    """What the application has noted in its book, of the lines that begin so, without that."""
    found = [line.split() for line in (folder / "book").read_text(encoding="utf-8").splitlines()]
    return [words[1:] for words in found if words[0] == first]
