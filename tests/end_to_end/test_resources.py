"""What requests open is closed before their answers end, and there is never more of it than there may be.

The wrong way stands beside it: an application that closes by itself what it opened leaks it as soon as clients leave.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cut_requests import TASKS, WSGI, Book
from tests.support.client import Conversation, FastCGI, Truncated, fetch, parameters
from tests.support.runner_process import Served
from tests.support.trouble import until

CALLS = {"inline": (), "threads": ("--threads", "4")}


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """See Book."""
    return Book(tmp_path / "book")


@pytest.fixture
def shop(project: Project, runner: Runner, book: Book) -> Callable[..., tuple[Path, Served]]:
    """Serve the application."""

    def start(*options: str, app: str = WSGI) -> tuple[Path, Served]:
        place = project({"app.py": app, "module.py": "VALUE = 0\n"})
        return place, runner(place, "app:main", *options, env={"BOOK": str(book.path)})

    return start


@pytest.mark.parametrize("app", [WSGI, TASKS], ids=["calls", "tasks"])
def test_who_has_the_answer_can_rely_on_it(shop: Callable[..., tuple[Path, Served]], book: Book, app: str) -> None:
    """What a closer does, a commit say, is done before the end of the answer arrives."""
    _, served = shop(app=app)
    with Conversation(served.http) as kept:
        for _ in range(50):
            kept.request("GET", "/?stream")
            kept.reply()
            assert book.balance() == 0


LEAK = """
import os
from runner import resources
OPEN = os.environ["BOOK"]

def note(what):
    with open(OPEN, "a") as book:
        book.write(what + " x y\\n")

def main(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        with open(os.environ["BEGAN"], "w"):
            pass
        while not os.path.exists(os.environ["GATE"]):
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    if "wrong" in environ["QUERY_STRING"]:
        note("open")
        return answer()
    resources.open("thing")
    return [b"done"]

def answer():
    yield b"done"
    note("close")

resources.register("thing", lambda: note("open"), lambda _: note("close"))
"""


@pytest.mark.parametrize("way", ["wrong", "right"])
def test_a_client_that_leaves_before_the_first_opening(project: Project, runner: Runner, book: Book, way: str) -> None:
    """By hand it is opened for nobody, and stays open; `resources.open` looks first, and refuses."""
    place = project({"app.py": LEAK})
    began, gate = book.path.with_name("began"), book.path.with_name("gate")
    env = {"BOOK": str(book.path), "BEGAN": str(began), "GATE": str(gate)}
    book.path.touch()
    served = runner(place, "app:main", "--workers", "1", "--log-level", "debug", env=env)
    with FastCGI(served.fastcgi) as leaving:
        leaving.ask(parameters(f"/wait?{way}"))
        until("it is called", began.exists, live=served)
    gate.touch()
    until("the worker is free again", lambda: fetch(served.http, "/?right").text == "done", live=served)
    assert book.balance() == (1 if way == "wrong" else 0)
    if way == "right":
        assert book.path.read_text().count("open") == 1, "that of the request after it"
        served.wait_for("debug: GET /wait: 'thing' was to be opened for a client that has left")
        assert "error" not in served.output


AWAITED = """
import asyncio, itertools, os
from runner import resources
from runner.request import current
from runner.streaming import delayed

BOOK = os.open(os.environ["BOOK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
numbers = itertools.count()

async def opens():
    thing = f"{current().id} {next(numbers)}"
    await asyncio.sleep(0)
    os.write(BOOK, f"open {thing}\\n".encode())
    return thing

async def closes(thing):
    await asyncio.sleep(0)
    os.write(BOOK, f"close {thing}\\n".encode())

resources.register("thing", opens, closes)
tasks = set()

def main(environ, start_response):
    return delayed(lambda respond: tasks.add(asyncio.create_task(answer(respond))))

async def answer(respond):
    await asyncio.gather(*(resources.aopen("thing") for _ in range(3)))
    respond("200 OK", [("Content-Type", "text/plain")], b"done")
"""


@pytest.mark.parametrize("calls", CALLS)
def test_what_tasks_open_is_closed(project: Project, runner: Runner, book: Book, calls: str) -> None:
    """By coroutine functions, for an answer that came later: its end cannot wait for them, but nothing stays open."""
    served = runner(project({"app.py": AWAITED}), "app:main", *CALLS[calls], env={"BOOK": str(book.path)})
    for _ in range(20):
        assert fetch(served.http, "/").text == "done"
    until("all is closed", lambda: book.balance() == 0, live=served)
    assert len(book.requests()) == 20
    book.check()


POOLED = """
import os, threading, time
from runner import resources

lock = threading.Lock()
numbers = {"open": 0, "most": 0, "made": 0}

def opens():
    with lock:
        numbers["open"] += 1
        numbers["made"] += 1
        numbers["most"] = max(numbers["most"], numbers["open"])
    return object()

def closes(_):
    with lock:
        numbers["open"] -= 1

resources.register("db", opens, closes, scope="worker", limit=LIMIT, timeout=30)

def main(environ, start_response):
    if environ["PATH_INFO"] == "/numbers":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{numbers['most']} {numbers['made']}".encode()]
    try:
        resources.open("db")
        if environ["PATH_INFO"] == "/two":
            resources.open("db")
    except resources.PoolFull:
        start_response("503 Full", [("Content-Type", "text/plain")])
        return [b"full"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return answer()

def answer():
    for _ in range(3):
        time.sleep(0.001)
        yield b"x" * 2000
"""


POOLED_TASKS = """
import asyncio
from runner import resources

numbers = {"open": 0, "most": 0, "made": 0}

async def opens():
    numbers["open"] += 1
    numbers["made"] += 1
    numbers["most"] = max(numbers["most"], numbers["open"])
    await asyncio.sleep(0.001)
    return object()

async def closes(_):
    numbers["open"] -= 1

resources.register("db", opens, closes, scope="worker", limit=10, timeout=30)

async def main(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("nothing to start")
    parts = [f"{numbers['most']} {numbers['made']}".encode()]
    if scope["path"] != "/numbers":
        await resources.aopen("db")
        parts = [b"x" * 2000] * 3
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    for part in parts:
        await asyncio.sleep(0.001)
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body"})
"""


@pytest.mark.parametrize("number", [200, pytest.param(1000, marks=pytest.mark.stress)])
@pytest.mark.parametrize(("app", "threads"), [(POOLED, "32"), (POOLED_TASKS, "1")], ids=["threads", "tasks"])
def test_connections_do_not_grow_with_requests(
    project: Project, runner: Runner, app: str, threads: str, number: int
) -> None:
    """More requests than resources: they wait for each other, and there are never more than the limit."""
    place = project({"app.py": app.replace("LIMIT", "10")})
    served = runner(place, "app:main", "--workers", "1", "--threads", threads)
    with ThreadPoolExecutor(64) as pool:
        statuses = {done.result().status for done in [pool.submit(fetch, served.http) for _ in range(number)]}
    assert statuses == {200}
    most, made = map(int, fetch(served.http, "/numbers").text.split())
    assert 1 < most <= 10
    assert made <= 10


def test_an_inline_call_is_refused_at_once(project: Project, runner: Runner) -> None:
    """Waiting, it would keep those from going on who have what it waits for."""
    place = project({"app.py": POOLED.replace("LIMIT", "1")})
    served = runner(place, "app:main", "--workers", "1")
    assert [fetch(served.http, path).status for path in ("/", "/two", "/")] == [200, 503, 200]


def test_too_many_open(shop: Callable[..., tuple[Path, Served]], book: Book) -> None:
    """The budget of a request; what it had opened is closed."""
    _, served = shop("--max-open", "3", app=WSGI.replace("random.randint(1, 3)", "2"))
    assert fetch(served.http, "/").status == 200
    with pytest.raises(Truncated):
        fetch(served.http, "/?stream")
    until("it is logged", lambda: "TooManyOpen" in served.output, live=served)
    assert book.balance() == 0
