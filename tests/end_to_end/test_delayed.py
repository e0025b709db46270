"""Answers that come later, through real workers and a real nginx: nobody is occupied, nobody is forgotten at a reload.

The wrong way stands beside it: a call that sleeps occupies its worker.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.support import nginx
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.trouble import report, until

APP = """
    import asyncio, os, sqlite3, threading, time
    from runner import resources
    from runner.request import current
    from runner.streaming import delayed
    import module

    HEADERS = [("Content-Type", "text/plain")]
    kept = set()

    def note(what):
        with open(os.environ["BOOK"], "a") as book:
            book.write(what + "\\n")

    resources.register("thing", lambda: note("open"), lambda _: note("close"))

    def main(environ, start_response):
        match environ["PATH_INFO"]:
            case "/sleep":
                time.sleep(0.5)
                start_response("200 OK", HEADERS)
                return [b"slept"]
            case "/later":
                return delayed(later)
            case "/thread":
                return delayed(lambda respond: threading.Timer(0.3, current().bind(respond),
                                                               ["200 OK", HEADERS, b"thread"]).start())
            case "/gate":
                resources.open("thing")
                return delayed(lambda respond: keep(at_the_gate(respond)))
            case "/events":
                return delayed(lambda respond: keep(events(respond)))
            case "/never":
                resources.open("thing")
                return delayed(lambda respond: None, timeout=0.3)
        start_response("200 OK", HEADERS)
        return [b"%d" % module.VALUE]

    def keep(coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        kept.add(task)
        task.add_done_callback(kept.discard)

    def later(respond):
        asyncio.get_running_loop().call_later(0.5, respond, "200 OK", HEADERS, b"later")

    async def opened():
        while not os.path.exists(os.environ["GATE"]):
            await asyncio.sleep(0.01)

    async def at_the_gate(respond):
        note("waits")
        await opened()
        respond("200 OK", HEADERS, b"%d" % module.VALUE)

    async def events(respond):
        writer = respond("200 OK", [("Content-Type", "text/event-stream")])
        gone = asyncio.Event()
        writer.on_disconnect(lambda: (note("gone"), gone.set()))
        for number in range(2):
            writer.write(b"data: %d %.6f\\n\\n" % (number, time.time()))
            if current().query == "gate":
                await opened()
        if current().query == "stay":
            await gone.wait()
        writer.close()
"""
CALLS = {"inline": ("--workers", "1"), "threads": ("--workers", "1", "--threads", "2")}


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Where the application notes things, and the gate."""
    (tmp_path / "book").touch()
    return {"BOOK": str(tmp_path / "book"), "GATE": str(tmp_path / "gate")}


@pytest.mark.parametrize("calls", CALLS)
def test_it_occupies_nobody(project: Project, runner: Runner, env: dict[str, str], calls: str) -> None:
    """Twenty answers of half a second from one worker take half a second; sleeping, they take their sum."""
    served = runner(project({"app.py": APP, "module.py": "VALUE = 0\n"}), "app:main", *CALLS[calls], env=env)

    def took(path: str, number: int) -> float:
        began = time.monotonic()
        with ThreadPoolExecutor(number) as pool:
            texts = {done.result().text for done in [pool.submit(fetch, served.http, path) for _ in range(number)]}
        assert texts in ({"later"}, {"slept"}, {"thread"})
        return time.monotonic() - began

    slept = took("/sleep", 4)
    assert slept >= (2.0 if calls == "inline" else 1.0)
    assert took("/later", 20) < 20 * 0.5 / 2
    assert took("/thread", 20) < 20 * 0.3 / 2


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_a_reload_waits_for_nobody_and_forgets_nobody(
    project: Project, runner: Runner, env: dict[str, str], calls: str, mode: str
) -> None:
    """What is answered later is answered by the code that was asked; the others are served by the newer one."""
    place = project({"app.py": APP, "module.py": "VALUE = 0\n"})
    served = runner(place, "app:main", *CALLS[calls], "--on-change", mode, env=env)
    with FastCGI(served.fastcgi) as waiting:
        waiting.ask(parameters("/gate"))
        until("it waits", lambda: "waits" in Path(env["BOOK"]).read_text(), live=served)
        edit(place / "module.py", "VALUE = 1\n")
        until("the newer code answers", lambda: fetch(served.http).text == "1", live=served)
        Path(env["GATE"]).touch()
        assert waiting.reply().body == b"0"
    assert Path(env["BOOK"]).read_text().split() == ["open", "waits", "close"]


@pytest.mark.parametrize("calls", CALLS)
def test_an_answer_that_never_comes(project: Project, runner: Runner, env: dict[str, str], calls: str) -> None:
    """504, and what was open is closed."""
    served = runner(project({"app.py": APP, "module.py": "VALUE = 0\n"}), "app:main", *CALLS[calls], env=env)
    assert fetch(served.http, "/never").status == 504
    assert Path(env["BOOK"]).read_text().split() == ["open", "close"]


@pytest.mark.parametrize("calls", CALLS)
def test_a_client_that_leaves(project: Project, runner: Runner, env: dict[str, str], calls: str) -> None:
    """Behind nginx it is noticed while nothing is written, and what was open is closed."""
    served = runner(project({"app.py": APP, "module.py": "VALUE = 0\n"}), "app:main", *CALLS[calls], env=env)
    with nginx.nginx(served.fastcgi) as site:
        for path in ("/events?stay", "/gate"):
            Path(env["BOOK"]).write_text("")
            with Conversation(site.address) as conversation:
                conversation.request("GET", path)
                if path == "/gate":
                    until("it waits", lambda: "waits" in Path(env["BOOK"]).read_text(), live=served)
                else:
                    until("its events come", lambda: b"data: 1" in conversation.socket.recv(1000), live=served)
            word = "gone" if path.startswith("/events") else "close"
            until("it is noticed", lambda word=word: word in Path(env["BOOK"]).read_text(), live=served)  # type: ignore[misc]
        until("nothing is under way", lambda: report(served)["workers"][0]["state"] == "ready", live=served)


def test_events_arrive_when_they_are_sent(project: Project, runner: Runner, env: dict[str, str]) -> None:
    """nginx is told not to collect them: the first one is there before the second one is sent."""
    served = runner(project({"app.py": APP, "module.py": "VALUE = 0\n"}), "app:main", env=env)
    with nginx.nginx(served.fastcgi) as site, Conversation(site.address) as conversation:
        conversation.request("GET", "/events?gate", {"Connection": "close"})
        data = b""
        while b"data: 0" not in data:
            data += conversation.socket.recv(1000)
        assert b"data: 1" not in data
        Path(env["GATE"]).touch()
        while more := conversation.socket.recv(1000):
            data += more
        assert b"data: 1" in data
