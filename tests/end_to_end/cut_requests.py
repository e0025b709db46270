"""Visitors of whom one in five leaves in the middle, edits meanwhile, and the book in which an application notes what
it opens and closes. Start at crowd and Book.
"""

import itertools
import random
import socket
import struct
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.project import edit

NOTES = """
import asyncio, itertools, os, random
import module
from runner import resources
from runner.request import current

BOOK = os.open(os.environ["BOOK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
numbers = itertools.count()

def note(what, name):
    os.write(BOOK, f"{what} {current().id} {name}\\n".encode())

def note_open():
    name = f"{os.getpid()}-{next(numbers)}"
    note("open", name)
    return name
"""
APP = NOTES + """
resources.register("thing", lambda **options: note_open(), lambda name: note("close", name))

def open_some():
    for _ in range(random.randint(1, 3)):
        resources.open("thing")
"""
WSGI = APP + """
def main(environ, start_response):
    environ["wsgi.input"].read()
    open_some()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return stream() if environ["QUERY_STRING"] == "stream" else [b"x" * 30000]

def stream():
    for number in range(30):
        resources.open_singleton("thing", number=number % 3)
        yield b"x" * 4000
"""
ASGI = APP + """
async def main(scope, receive, send):
    assert scope["type"] == "http"
    while (event := await receive()).get("more_body"):
        pass
    if event["type"] == "http.disconnect":
        return
    open_some()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["query_string"] == b"stream":
        await asyncio.create_task(stream(send))
    await send({"type": "http.response.body", "body": b"x" * 30000})

async def stream(send):
    for number in range(30):
        await asyncio.sleep(0)
        resources.open_singleton("thing", number=number % 3)
        await send({"type": "http.response.body", "body": b"x" * 3000, "more_body": True})
"""
TASKS = NOTES + """
async def opens(**options):
    await asyncio.sleep(0)
    return note_open()

async def closes(name):
    await asyncio.sleep(0)
    note("close", name)

resources.register("thing", opens, closes)

async def main(scope, receive, send):
    assert scope["type"] == "http"
    while (event := await receive()).get("more_body"):
        pass
    if event["type"] == "http.disconnect":
        return
    await asyncio.gather(*(resources.aopen("thing") for _ in range(random.randint(1, 3))))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    if scope["query_string"] == b"stream":
        for number in range(30):
            await resources.aopen_singleton("thing", number=number % 3)
            await send({"type": "http.response.body", "body": b"x" * 4000, "more_body": True})
    await send({"type": "http.response.body", "body": b"x" * 30000})
"""


class Book:
    """What the application has noted."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def requests(self) -> dict[str, list[tuple[str, str]]]:
        """What was opened and closed, by request."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for line in self.path.read_text().splitlines():
            what, request, name = line.split()
            found[request].append((what, name))
        return found

    def balance(self) -> int:
        """How many are open."""
        text = self.path.read_text()
        return text.count("open ") - text.count("close ")

    def check(self) -> None:
        """Each was closed once, the last one first, after everything was opened."""
        for request, events in self.requests().items():
            opened = [name for what, name in events if what == "open"]
            assert events[len(opened) :] == [("close", name) for name in reversed(opened)], request


def crowd(place: Path, address: tuple[str, int], number: int, seed: int) -> int:
    """So many visitors, eight at a time, and an edit of module.py every now and then; how many have left early."""
    over = threading.Event()

    def edits() -> None:
        for version in itertools.count(1):
            edit(place / "module.py", f"VALUE = {version}\n")
            if over.wait(0.1):
                return

    editor = threading.Thread(target=edits)
    editor.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            visits = [pool.submit(_visit, address, random.Random(seed + each)) for each in range(number)]
            return sum(visit.result() for visit in visits)
    finally:
        over.set()
        editor.join()


def _visit(address: tuple[str, int], chance: random.Random) -> bool:
    """One visitor; one in five leaves at some byte of the request or of the answer, politely or not."""
    target = "/?stream" if chance.random() < 0.5 else "/"
    body = b"b" * chance.randrange(2000)
    request = f"POST {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    leaves = chance.random() < 0.2
    with socket.create_connection(address, timeout=20) as sock:
        try:
            if leaves and chance.random() < 0.3:
                sock.sendall((request + body)[: chance.randrange(len(request + body))])
            else:
                sock.sendall(request + body)
                wanted = chance.randrange(60000) if leaves else 1 << 30
                while wanted > 0 and (data := sock.recv(min(wanted, 65536))):
                    wanted -= len(data)
        except ConnectionError:
            assert leaves
        if leaves and chance.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return leaves
