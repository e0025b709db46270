"""Case 11: a reload waits for no long request; the process that finishes it does nothing else, and ends with it."""

from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import agree, ask, value
from tests.support.client import Conversation
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import at_work, begin, descriptors, ready_pids, until

APP = """
import os, time
from urllib.parse import parse_qs
import module

def main(environ, start_response):
    options = {name: values[-1] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/events":
        return events(**options)
    return [b"%d %d" % (module.VALUE, len(environ["wsgi.input"].read()))]

def events(began, until):
    open(began, "w").close()
    yield b"data: %d\\n\\n" % module.VALUE
    deadline = time.monotonic() + 20
    while not os.path.exists(until) and time.monotonic() < deadline:
        time.sleep(0.005)
    yield b"data: %d\\n\\n" % module.VALUE
"""
FILES = {"app.py": APP, "module.py": value(0)}
BLIND = {"RUNNER_NO_INOTIFY": "1"}
modes = pytest.mark.parametrize(
    ("options", "env"),
    [
        (("--workers", "1"), {}),
        (("--reload", "request", "--on-change", "hold"), BLIND),
        (("--threads", "4", "--on-change", "hold"), {}),
        (("--threads", "4", "--reload", "request"), {}),
    ],
    ids=["one worker", "request, hold, sweep", "threads, hold", "threads, request"],
)


def whole(stream: Conversation, number: int) -> bool:
    """The long answer came to its end, and all of it is of one code."""
    return stream.reply().text == f"data: {number}\n\n" * 2


def settled(served: Served, processes: int) -> None:
    """Wait until that many processes are below the supervisor, and no others come or stay."""
    until(f"{processes} processes", lambda: at_work(served) == processes, live=served)


@modes
def test_a_reload_waits_for_no_answer(
    project: Project, runner: Runner, tmp_path: Path, options: tuple[str, ...], env: dict[str, str]
) -> None:
    """While one answer goes on, saves are live at once for everybody else; the answer itself ends as it began."""
    place = project(FILES)
    served = runner(place, "app:main", *options, env=env)
    with begin(served, tmp_path, "events", "on") as stream:
        edit(place / "module.py", value(1))
        assert agree(served, place).text == "1 0"
        (tmp_path / "on").touch()
        assert whole(stream, 0)


@modes
def test_a_reload_waits_for_no_upload(
    project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]
) -> None:
    """While one body is still coming in, saves are live at once for everybody else; it is answered once, and whole."""
    place = project(FILES)
    served = runner(place, "app:main", *options, env=env)
    until("all workers accept", lambda: len(ready_pids(served)) == (1 if "1" in options else 2), live=served)
    workers = ready_pids(served).values()
    before = sum(map(descriptors, workers))
    with Conversation(served.http) as upload:
        upload.request("POST", "/", {"Content-Length": "100000", "Connection": "close"}, b"x" * 50_000)
        until("a worker has the connection", lambda: sum(map(descriptors, workers)) > before, live=served)
        edit(place / "module.py", value(1))
        assert agree(served, place).text == "1 0"
        upload.send(b"x" * 50_000)
        assert upload.reply().text in ("0 100000", "1 100000")


def test_the_old_process_keeps_only_that(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Of an old generation only the worker with the long answer stays; it takes no other request, and ends with it."""
    place = project(FILES)
    served = runner(place, "app:main")
    until("two workers accept", lambda: len(ready_pids(served)) == 2, live=served)
    alone = at_work(served)
    with begin(served, tmp_path, "events", "on") as stream:
        edit(place / "module.py", value(1))
        settled(served, alone + 2)
        assert {ask(served).text for _ in range(10)} == {"1 0"}
        (tmp_path / "on").touch()
        assert whole(stream, 0)
    settled(served, alone)


def test_old_generations_are_as_many_as_long_answers(project: Project, runner: Runner, tmp_path: Path) -> None:
    """A generation that has nothing to finish is gone, whatever older ones still do."""
    place = project(FILES)
    served = runner(place, "app:main")
    until("two workers accept", lambda: len(ready_pids(served)) == 2, live=served)
    alone = at_work(served)
    with begin(served, tmp_path, "events", "first") as first:
        edit(place / "module.py", value(1))
        assert agree(served, place).text == "1 0"
        edit(place / "module.py", value(2))
        assert agree(served, place).text == "2 0"
        with begin(served, tmp_path, "events", "second") as second:
            edit(place / "module.py", value(3))
            assert agree(served, place).text == "3 0"
            settled(served, alone + 4)
            (tmp_path / "second").touch()
            assert whole(second, 2)
        settled(served, alone + 2)
        (tmp_path / "first").touch()
        assert whole(first, 0)
    settled(served, alone)
