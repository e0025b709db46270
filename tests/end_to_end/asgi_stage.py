"""An ASGI application that does on demand what real ones do, and what a test sees of it from outside.

Laws: what the application does is noted in a file; who waits in it waits for a file. Start at SOURCE and Stage.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Project, Runner
from tests.support.client import Conversation, Reply
from tests.support.project import project as write
from tests.support.runner_process import Served, serve
from tests.support.trouble import until

SOURCE = '''
import asyncio, os, time
import module
from runner import resources
from runner.request import current

def note(what):
    with open(os.environ["BOOK"], "a") as book:
        book.write(what + "\\n")

resources.register("thing", lambda: note("open"), lambda _: note("close"))

async def main(scope, receive, send):
    if scope["type"] == "lifespan":
        return await live(receive, send)
    name = scope["path"].removeprefix(scope["root_path"]).strip("/")
    await globals()[name or "value"](scope, receive, send)

async def live(receive, send):
    await receive()
    if module.VALUE == "no start" or os.path.exists(os.environ["BOOK"] + ".down"):
        return await send({"type": "lifespan.startup.failed", "message": "the database is not there"})
    note(f"startup {module.VALUE}")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    note(f"shutdown {module.VALUE}")
    await send({"type": "lifespan.shutdown.complete"})

async def begin(send, kind=b"text/plain"):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})

async def part(send, text, more=True):
    await send({"type": "http.response.body", "body": text.encode(), "more_body": more})

async def answer(send, text):
    await begin(send)
    await part(send, text, more=False)

async def value(scope, receive, send):
    await answer(send, str(module.VALUE))

async def place(scope, receive, send):
    await answer(send, f"{module.VALUE} {scope['root_path']} {scope['path']} {scope['raw_path'].decode()}")

async def the_gate():
    while not os.path.exists(os.environ["GATE"]):
        await asyncio.sleep(0.01)

async def gate(scope, receive, send):
    """Answers once the file is there."""
    body = (await receive())["body"].decode()
    note("waits")
    await the_gate()
    await answer(send, f"{module.VALUE} {body}")

async def stream(scope, receive, send):
    """A first part at once, the rest once the file is there."""
    await begin(send)
    await part(send, f"{module.VALUE} ")
    note("streams")
    await the_gate()
    await part(send, f"{module.VALUE} {current().path}", more=False)

async def events(scope, receive, send):
    await begin(send, b"text/event-stream")
    await part(send, f"data: {time.monotonic()}\\n\\n")
    await the_gate()
    await part(send, "", more=False)

async def headed(scope, receive, send):
    """The head at once, its first event once the file is there."""
    await begin(send, b"text/event-stream")
    await part(send, "")
    await the_gate()
    await part(send, "data: first\\n\\n", more=False)

async def idle(scope, receive, send):
    """Does nothing until its client leaves."""
    resources.open("thing")
    note("waits")
    while (await receive())["type"] != "http.disconnect":
        pass
    note(f"told {time.monotonic()}")

async def deaf(scope, receive, send):
    """Does not ask whether its client is there."""
    resources.open("thing")
    note("waits")
    try:
        await asyncio.sleep(600)
    finally:
        note("cancelled")

async def ticks(scope, receive, send):
    """Writes on and on."""
    resources.open("thing")
    await begin(send)
    asked = asyncio.ensure_future(told(receive))
    while not asked.done():
        await part(send, "tick\\n")
        await asyncio.sleep(0.02)

async def flood(scope, receive, send):
    """Without an end, as fast as it is taken."""
    resources.open("thing")
    await begin(send)
    try:
        while True:
            await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            note("sends")
    except asyncio.CancelledError:
        note("cancelled")
        raise

async def told(receive):
    while (await receive())["type"] != "http.disconnect":
        pass
    note(f"told {time.monotonic()}")

async def background(scope, receive, send):
    """Goes on after its answer, until the file is there."""
    await answer(send, str(module.VALUE))
    note("waits")
    try:
        await the_gate()
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("done")

async def block(scope, receive, send):
    """The wrong way: waits for the file without letting others go on."""
    note("waits")
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    await answer(send, "blocked")
'''
NOTES = '''
import os
from runner import resources
from runner.errors import NoRequest
from runner.request import current

def note(what):
    with open(os.environ["BOOK"], "a") as book:
        book.write(what + "\\n")

def open_thing():
    note(f"open {current().path}")
    return current().path

resources.register("thing", open_thing, lambda path: note(f"close {path}"))
'''
"""For other applications: notes, and a resource that notes for which path it was opened and closed."""
FILES = {"app.py": SOURCE, "module.py": "VALUE = 0\n"}


class Stage:
    """Serves SOURCE. *place*: its folder; *gate*: the file that its handlers wait for; *env*: what it needs to know."""

    def __init__(self, project: Project, runner: Runner, files: Mapping[str, str] = FILES) -> None:
        self.place = project(files)
        self.module = self.place / "module.py"
        folder = self.place.parent
        self.book, self.gate = folder / "book", folder / "gate"
        self.book.touch()
        self.env = {"BOOK": str(self.book), "GATE": str(self.gate)}
        self._runner = runner

    def serve(self, *options: str, target: str = "app:main") -> Served:
        """With one worker, unless *options* say another number."""
        return self._runner(self.place, target, "--workers", "1", *options, env=self.env)

    @property
    def notes(self) -> list[str]:
        """What the application has noted, a line each."""
        return self.book.read_text().splitlines()

    def until(self, text: str, served: Served) -> str:
        """Wait for a note that begins with *text*, and return the rest of it."""
        found = until(
            f"it is noted: {text}", lambda: [note for note in self.notes if note.startswith(text)], live=served
        )
        return found[0].removeprefix(text).strip()


def read_until(sock: socket.socket, text: bytes) -> bytes:
    """What came up to *text*, and with it."""
    data = b""
    while text not in data:
        more = sock.recv(4096)
        assert more, f"the connection ended before {text!r}: {data!r}"
        data += more
    return data


class Shown:
    """A served application that several tests share, one after the other; each begins with an empty book."""

    def __init__(self, stage: Stage, served: Served) -> None:
        self.stage = stage
        self.served = served
        self._position = served.position
        stage.book.write_text("")

    @property
    def notes(self) -> list[str]:
        """See Stage."""
        return self.stage.notes

    @property
    def log(self) -> str:
        """What was written since this test began."""
        return "\n".join(self.served.lines[self._position :])

    def until(self, text: str) -> str:
        """See Stage."""
        return self.stage.until(text, self.served)

    def paths(self, what: str) -> list[str]:
        """Of the requests for which that was noted."""
        return [note.split()[1] for note in self.notes if note.startswith(what)]

    def check_closed(self, number: int) -> None:
        """So many were opened, and each was closed once, by the request that had opened it."""
        until("all are closed", lambda: len(self.paths("close")) >= number, live=self.served)
        assert sorted(self.paths("open")) == sorted(self.paths("close"))
        assert len(self.paths("open")) == number

    def interleaved(self, targets: list[str]) -> list[Reply]:
        """The answers to so many requests at once, on connections of their own."""
        conversations = [Conversation(self.served.http) for _ in targets]
        for conversation, target in zip(conversations, targets, strict=True):
            conversation.request("GET", target, {"Connection": "close"})
        replies = []
        for conversation in conversations:
            with conversation:
                replies.append(conversation.reply())
        return replies


@contextmanager
def show(folder: Path, source: str, target: str) -> Iterator[Shown]:
    """Serve *source* for several tests; who does not leave has a second."""
    stage = Stage(lambda files: write(folder / "project", files), serve, {"app.py": source})
    with stage.serve("--debug", "--graceful-timeout", "1s", target=target) as served:
        yield Shown(stage, served)
