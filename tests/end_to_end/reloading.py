"""A scratch application with a module to edit, and clients that follow the redirect of a reload as browsers do."""

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.support import oracle
from tests.support.client import FastCGI, Reply, fetch, parameters
from tests.support.process import PATIENCE
from tests.support.runner_process import PYTHON, Served
from tests.support.trouble import report
from tests.support.trouble import until as awaited

APP = """
import module
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(module.VALUE).encode()]
"""
FILES = {"app.py": APP, "module.py": "VALUE = 0\n"}
PREFLIGHT = {"Origin": "http://elsewhere", "Access-Control-Request-Method": "PUT"}
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
follows_no_redirect = pytest.mark.parametrize(
    ("method", "headers"), [("OPTIONS", PREFLIGHT), ("GET", UPGRADE)], ids=["preflight", "upgrade"]
)
MOST = 1
"""Redirects that one save may cost a client."""
SPENT = r"generation \d+ answered a request and cannot be forked now \(([^)]*)\)"
"""In the log; with the reason."""


class Answer(NamedTuple):
    """What a client got in the end, and how often he was sent to ask again."""

    status: int
    text: str
    redirects: int


def ask(served: Served, target: str = "/", *, fastcgi: bool = False, saves: int = 1) -> Answer:
    """A GET over a new connection, redirects followed; more than MOST of them for each of the *saves* are a failure."""
    most = MOST * saves
    for redirects in range(most + 1):
        reply = by_fastcgi(served, target) if fastcgi else fetch(served.http, target)
        if reply.status != 307:
            return Answer(reply.status, reply.text, redirects)
        location = urlsplit(reply.header("location") or "")
        target = location.path + (f"?{location.query}" if location.query else "")
    raise AssertionError(f"redirected more than {most} times\n{served.output}")


def agree(
    served: Served,
    place: Path,
    path: str = "/",
    *,
    app: str = "app:main",
    fastcgi: bool = False,
    saves: int = 1,
    python: Path = PYTHON,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """A GET whose answer is that of a fresh interpreter; where that fails, with --debug, the page names the same error.

    Only for a moment when nobody saves: the two are asked one after the other. The fresh one works in *place*, with
    *python* and *env* if the served one was given them.
    """
    found = ask(served, path, fastcgi=fastcgi, saves=saves)
    told = oracle.answer(place, path, app, python=python, env=env)
    if told.status == 500:
        assert (found.status, told.text in found.text) == (500, True), (found, told, served.output)
    else:
        assert found[:2] == told, (found, told, served.output)
    return found


def by_fastcgi(served: Served, target: str = "/", *, method: str = "GET") -> Reply:
    """One request over FastCGI, its header block read as a web server reads it."""
    with FastCGI(served.fastcgi) as client:
        return client.request(parameters(target, method=method)).reply


def until(served: Served, text: str) -> Answer:
    """The first good answer that has *text*: what comes before may be of a generation that is being replaced."""
    deadline = time.monotonic() + PATIENCE
    while (answer := ask(served)).status != 200 or text not in answer.text:
        assert time.monotonic() < deadline, (answer, served.output)
    return answer


@contextmanager
def visitors(served: Served, count: int = 2) -> Iterator[set[tuple[int, str]]]:
    """So many, who ask without a pause; yields what they saw: status and text, redirects left out."""
    seen: set[tuple[int, str]] = set()
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            reply = fetch(served.http)
            if reply.status != 307:
                seen.add((reply.status, reply.text))

    threads = [threading.Thread(target=visit) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def until_settled(served: Served, workers: int = 2) -> None:
    """Until so many accept, all of the newest generation, and no older one is left that could take a request."""

    def settled() -> bool:
        told = report(served)
        new = [each["generation"] == told["generation"] and each["state"] != "starting" for each in told["workers"]]
        return new == [True] * workers

    awaited("only the newest code answers", settled, live=served)


def generation(served: Served) -> int:
    """The number of the generation that answers."""
    return int(report(served)["generation"])


def remade(served: Served) -> int:
    """How many generations were made again because the machine had no time for their first answer (worker/first.py)."""
    return re.findall(SPENT, served.output).count("its answer took too long")


def built(served: Served, workers: int = 2) -> int:
    """How many generations there were for a start or a save, once nothing follows from the last answer any more."""
    until_settled(served, workers)
    return generation(served) - remade(served)


def check_said_once(served: Served, words: str) -> None:
    """The log has *words* in one line, however many generations met the same, and the status has them as a note."""
    assert len([line for line in served.lines if words in line]) == 1, served.output
    assert len([note for note in report(served)["notes"] if words in note]) == 1


def value(number: object) -> str:
    """The text of module.py with that VALUE."""
    return f"VALUE = {number!r}\n"


def save(directory: Path, files: Mapping[str, str]) -> None:
    """Write *files* in place, each with one open, write and close."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def until_hashed(served: Served, path: Path) -> int:
    """Touch *path* until that reloads nothing: from then on its content is known. Returns the generation."""
    deadline, pause = time.monotonic() + PATIENCE, 0.01
    while True:
        number = report(served)["generation"]
        os.utime(path)
        if ask(served).status == 200 and report(served)["generation"] == number:
            return int(number)
        assert time.monotonic() < deadline, served.output
        # The generation hashes when it has nothing else to do, so it is left alone longer each time.
        time.sleep(pause := 2 * pause)
