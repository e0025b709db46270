"""FastAPI and Starlette on the ASGI host as people use them: middleware, streams, threads, uploads, lifespan.

The wrong way stands beside it: a variable of the module belongs to whoever came last.
"""

import json
from collections.abc import Iterator

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.asgi_stage import NOTES, Shown, Stage, read_until, show
from tests.end_to_end.reloading import ask
from tests.support import nginx
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.sites import open_site
from tests.support.trouble import report, until

FASTAPI = NOTES + """
import asyncio, contextlib, threading, time
import fastapi
from fastapi import Depends, FastAPI, Request
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, StreamingResponse

last = ""

@contextlib.asynccontextmanager
async def lifespan(app):
    note("startup")
    yield {"database": ["shared"]}
    note("shutdown")

app = FastAPI(lifespan=lifespan)

class Names(BaseHTTPMiddleware):
    async def __call__(self, scope, receive, send):
        await (self.app if scope.get("path") == "/idle" else super().__call__)(scope, receive, send)

    async def dispatch(self, request, call_next):
        before = current().id
        response = await call_next(request)
        response.headers["x-same"] = str(before == current().id)
        response.headers["x-path"] = current().path
        return response

app.add_middleware(Names)

def depends():
    resources.open("thing")
    yield current().path
    note_present("dependency")

def note_present(who):
    try:
        note(f"{who}: {current().path}")
    except NoRequest as error:
        note(f"{who}: {error}")

@app.get("/async/{name}")
async def by_async(name: str, path: str = Depends(depends)):
    async def deeper():
        await asyncio.sleep(0)
        return current().path
    found = await asyncio.gather(deeper(), deeper(), asyncio.to_thread(lambda: current().path))
    return [name, path, current().path, *found]

@app.get("/sync/{name}")
def by_sync(name: str):
    resources.open_singleton("thing")
    time.sleep(0.001)
    return [name, current().path, str(threading.current_thread() is threading.main_thread())]

@app.get("/stream/{name}")
async def stream(name: str):
    global last
    last = name
    resources.open("thing")
    async def parts():
        for _ in range(20):
            await asyncio.sleep(0)
            yield f"{current().path} "
    return StreamingResponse(parts())

@app.get("/threaded/{name}")
async def threaded(name: str):
    def parts():
        resources.open("thing")
        for _ in range(5):
            yield f"{current().path} "
    return StreamingResponse(parts())

@app.get("/module/{name}")
async def by_module(name: str):
    global last
    last = f"/module/{name}"
    async def parts():
        for _ in range(20):
            await asyncio.sleep(0.005)
            yield f"{last} "
    return StreamingResponse(parts())

@app.get("/background")
async def background():
    resources.open("thing")
    return JSONResponse("answered", background=BackgroundTask(note_present, "background"))

@app.get("/state")
async def state(request: Request):
    request.state.mine = "of this request"
    return [request.state.database, hasattr(request.state, "yours")]

@app.post("/upload")
async def upload(request: Request):
    return sum([len(part) async for part in request.stream()])

@app.post("/json")
async def by_json(items: list[int]):
    return sum(items)

@app.get("/idle")
@app.get("/masked")
async def idle(request: Request):
    resources.open("thing")
    try:
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        note("told")
    except asyncio.CancelledError:
        note("cancelled")
        raise

@app.get("/endless")
async def endless():
    async def parts():
        try:
            while True:
                yield "part "
                await asyncio.sleep(0.01)
        finally:
            note(f"left {current().path}")
    resources.open("thing")
    return StreamingResponse(parts())

@app.get("/silent")
async def silent():
    async def parts():
        yield "first "
        try:
            await asyncio.sleep(600)
        finally:
            note("left")
    return StreamingResponse(parts())

@app.get("/teapot")
async def teapot():
    raise fastapi.HTTPException(418, "short and stout")

@app.get("/fail")
async def fail():
    resources.open("thing")
    raise ValueError("its own fault")
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One run for all tests here."""
    with show(tmp_path_factory.mktemp("run"), FASTAPI, "app:app") as shown:
        yield shown


@pytest.fixture
def fastapi(running: Shown) -> Iterator[Shown]:
    """That run, as if nothing had been."""
    shown = Shown(running.stage, running.served)
    yield shown
    print(shown.log)


def test_the_present_request_in_endpoints_middleware_and_threads(fastapi: Shown) -> None:
    """Of many at once, each has its own: in tasks, dependencies, the thread pool, and behind call_next."""
    targets = [f"/{kind}/{number}" for number in range(20) for kind in ("async", "sync")]
    for target, reply in zip(targets, fastapi.interleaved(targets), strict=True):
        _, kind, name = target.split("/")
        expected = [name, *[target] * 5] if kind == "async" else [name, target, "False"]
        assert json.loads(reply.body) == expected
        assert (reply.header("x-same"), reply.header("x-path")) == ("True", target)
    fastapi.check_closed(len(targets))


@pytest.mark.parametrize("kind", ["stream", "threaded", "module"])
def test_the_present_request_in_a_stream_under_middleware(fastapi: Shown, kind: str) -> None:
    """In its asynchronous generator and in one that the thread pool runs; a variable of the module is mixed up."""
    targets = [f"/{kind}/{number}" for number in range(30)]
    mixed = {
        target for target, reply in zip(targets, fastapi.interleaved(targets), strict=True)
        if set(reply.text.split()) != {target}
    }  # fmt: skip
    assert bool(mixed) is (kind == "module")
    fastapi.check_closed(0 if kind == "module" else len(targets))


@pytest.mark.parametrize(("path", "who"), [("/background", "background"), ("/async/1", "dependency")])
def test_what_runs_after_the_answer(fastapi: Shown, path: str, who: str) -> None:
    """A background task, a dependency after its yield: what the request had open is closed, and it is told so."""
    assert fetch(fastapi.served.http, path).status == 200
    assert f"the answer to GET {path} is finished" in fastapi.until(f"{who}:")
    assert fastapi.notes[:2] == [f"open {path}", f"close {path}"]


def test_lifespan_state_bodies_and_errors(fastapi: Shown) -> None:
    """Each request has the state of the lifespan; bodies come whole; refusals are the framework's, failures ours."""
    for _ in range(2):
        assert json.loads(fetch(fastapi.served.http, "/state").body) == [["shared"], False]
    assert fetch(fastapi.served.http, "/upload", method="POST", body=bytes(3 << 20)).text == str(3 << 20)
    kind = {"Content-Type": "application/json"}
    assert fetch(fastapi.served.http, "/json", method="POST", headers=kind, body=b"[1, 2, 3]").text == "6"
    assert fetch(fastapi.served.http, "/json", method="POST", headers=kind, body=b"[1, ").status == 422
    with FastCGI(fastapi.served.fastcgi) as client:
        assert client.request(parameters("/teapot")).reply.status == 418
        assert fetch(fastapi.served.http, "/fail").status == 500
    fastapi.served.wait_for("ValueError: its own fault")
    assert fetch(fastapi.served.http, "/nowhere").status == 404
    fastapi.check_closed(1)


def test_mounted_below_a_path(project: Project, runner: Runner) -> None:
    """Its routes are found there, and it makes links that lead there."""
    stage = Stage(project, runner, {"app.py": FASTAPI, "front.py": "async def app(scope, receive, send):\n    pass\n"})
    served = stage.serve("--mount", "/api=app:app", target="front:app")
    assert json.loads(fetch(served.http, "/api/sync/1").body) == ["1", "/api/sync/1", "False"]
    assert json.loads(fetch(served.http, "/api/openapi.json").body)["servers"] == [{"url": "/api"}]
    assert fetch(served.http, "/sync/1").status == 500, "nobody answers there"


def test_an_edit(fastapi: Shown) -> None:
    """The next answer is the new one; the old lifespan is told of its end."""
    edit(fastapi.stage.place / "app.py", FASTAPI.replace("short and stout", "tall"))
    assert "tall" in ask(fastapi.served, "/teapot").text
    fastapi.until("shutdown")


@pytest.mark.parametrize("path", ["/idle", "/endless", "/silent"])
def test_starlette_is_told_that_a_client_has_left(fastapi: Shown, path: str) -> None:
    """By is_disconnected; and between two parts of a stream, and while it waits for the next one: finally is run."""
    with open_site(fastapi.served, nginx.Site()) as address, Conversation(address) as leaving:
        leaving.request("GET", path)
        if path == "/idle":
            fastapi.until("open")
        else:
            read_until(leaving.socket, b" ")
        leaving.close()
        fastapi.until("told" if path == "/idle" else "left")
    fastapi.check_closed(0 if path == "/silent" else 1)
    until("nothing is under way", lambda: report(fastapi.served)["workers"][0]["state"] == "ready", live=fastapi.served)
    assert "Traceback" not in fastapi.log


def test_what_starlette_loses_is_cancelled(fastapi: Shown) -> None:
    """Under BaseHTTPMiddleware is_disconnected is never true, on any server; after the grace it ends all the same."""
    with Conversation(fastapi.served.http) as leaving:
        leaving.request("GET", "/masked")
        fastapi.until("open")
    fastapi.until("cancelled")
    assert "told" not in fastapi.notes
    fastapi.check_closed(1)
