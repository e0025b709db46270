"""runner.request.current: the same request all the way through its answer, and never another's.

The wrong ways stand beside it: Flask's own "current request" is gone when its generator runs, a thread that is started
without the context has none, and a variable of the module belongs to whoever came last.
"""

import json
import threading

import pytest

from tests.conftest import Project, Runner
from tests.support.client import Conversation, fetch

CALLS = {"inline": ("--workers", "1"), "threads": ("--workers", "1", "--threads", "4")}

FLASK = """
    import threading
    import flask
    from runner.errors import NoRequest
    from runner.request import current

    app = flask.Flask(__name__)

    @app.get("/flask")
    def by_flask():
        return flask.Response(flask.request.headers["X-Name"] for _ in range(3))

    @app.get("/ours")
    def ours():
        return flask.Response(current().headers["X-Name"] for _ in range(3))

    @app.get("/callback")
    def callback():
        response = flask.Response("")
        response.call_on_close(lambda: print(f"closed for {current().headers['X-Name']}", flush=True))
        return response

    @app.get("/async")
    async def by_async():
        return {"name": current().headers["X-Name"], "path": current().path, "method": current().method}

    @app.get("/threads")
    def threads():
        found = []
        def work():
            try:
                found.append(current().headers["X-Name"])
            except NoRequest as error:
                found.append(str(error))
        for target in (work, current().bind(work)):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
        return found
"""

STREAMS = """
    import time
    from runner.request import current

    last = ""

    def main(environ, start_response):
        global last
        last = environ["HTTP_X_NAME"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return by_module() if environ["PATH_INFO"] == "/module" else by_context()

    def by_context():
        for _ in range(40):
            yield f"{current().headers['x-name']} ".encode() * 1000

    def by_module():
        for _ in range(40):
            yield f"{last} ".encode() * 1000
"""

ASGI_STREAMS = """
    import asyncio
    from runner.request import current

    last = ""

    async def main(scope, receive, send):
        global last
        assert scope["type"] == "http"
        last = dict(scope["headers"])[b"x-name"].decode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await asyncio.create_task((by_module if scope["path"] == "/module" else by_context)(send))
        await send({"type": "http.response.body"})

    async def by_context(send):
        for _ in range(40):
            await part(send, await asyncio.to_thread(lambda: current().headers["x-name"]))

    async def by_module(send):
        for _ in range(40):
            await part(send, last)

    async def part(send, name):
        await send({"type": "http.response.body", "body": f"{name} ".encode() * 1000, "more_body": True})
        await asyncio.sleep(0)
"""


@pytest.mark.parametrize("calls", CALLS)
def test_in_a_frameworks_generator(project: Project, runner: Runner, calls: str) -> None:
    """Flask's is gone there, unless one thinks of stream_with_context; ours is not."""
    served = runner(project({"app.py": FLASK}), "app:app", *CALLS[calls])
    assert fetch(served.http, "/flask", headers={"X-Name": "me"}).status == 500
    assert fetch(served.http, "/ours", headers={"X-Name": "me"}).text == "mememe"


@pytest.mark.parametrize("calls", CALLS)
def test_in_what_is_called_at_the_end(project: Project, runner: Runner, calls: str) -> None:
    """A callback of the response's close()."""
    served = runner(project({"app.py": FLASK}), "app:app", *CALLS[calls])
    assert fetch(served.http, "/callback", headers={"X-Name": "me"}).status == 200
    served.wait_for("closed for me")


@pytest.mark.parametrize("calls", CALLS)
def test_in_an_async_view(project: Project, runner: Runner, calls: str) -> None:
    """Which Flask runs in another thread."""
    served = runner(project({"app.py": FLASK}), "app:app", *CALLS[calls])
    told = json.loads(fetch(served.http, "/async", headers={"X-Name": "me"}).body)
    assert told == {"name": "me", "path": "/async", "method": "GET"}


def test_in_threads_of_the_application(project: Project, runner: Runner) -> None:
    """One that was bound has it, another one is told how."""
    served = runner(project({"app.py": FLASK}), "app:app", "--workers", "1")
    without, bound = json.loads(fetch(served.http, "/threads", headers={"X-Name": "me"}).body)
    assert bound == "me"
    assert "current().bind(function)" in without


@pytest.mark.parametrize("source", [STREAMS, ASGI_STREAMS], ids=["wsgi", "asgi"])
@pytest.mark.parametrize("way", ["context", "module"])
@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.stress)])
def test_interleaved_streams(project: Project, runner: Runner, source: str, way: str, number: int) -> None:
    """So many answers at once from one worker, a part of each in turn: each has its own request, as no global has."""
    served = runner(project({"app.py": source}), "app:main", "--workers", "1")
    conversations = [Conversation(served.http) for _ in range(number)]
    for name, conversation in enumerate(conversations):
        conversation.request("GET", f"/{way}", {"X-Name": f"name-{name}", "Connection": "close"})
    seen: list[set[bytes]] = [set() for _ in conversations]

    def read(names: range) -> None:
        for name in names:
            with conversations[name] as conversation:
                seen[name] = set(conversation.reply().body.split())

    readers = [threading.Thread(target=read, args=[range(first, number, 10)]) for first in range(10)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    own = [{f"name-{name}".encode()} for name in range(number)]
    assert (seen == own) is (way == "context")
