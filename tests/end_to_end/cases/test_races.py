"""Cases 4 (a request, then a save) and 5 (a save in two steps): what is answered is old or new, never half of each."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases import gates
from tests.end_to_end.cases.gates import held
from tests.end_to_end.reloading import FILES, agree, ask, value, visitors
from tests.support.client import Conversation
from tests.support.project import edit, replace
from tests.support.runner_process import READY, Served

STREAMED = """
import module
def main(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(20):
        yield b"%d " % module.VALUE
"""
ORDERED = """
import first, time
time.sleep(0.005)
import second
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (first.VALUE, second.VALUE)]
"""
modes = pytest.mark.parametrize(
    ("reload", "on_change", "env"),
    [
        ("eager", "redirect", {}), ("request", "redirect", {}), ("eager", "hold", {}),
        ("request", "hold", {"RUNNER_NO_INOTIFY": "1"}),
    ],
)  # fmt: skip


# ---- case 4: the request first, then the save ------------------------------------------------------------

def race(served: Served, place: Path, number: int) -> str:
    """Send a request, save *number* when a part of it, or all, is sent; the answer, after the redirect if there is one.

    In turn: all of a GET; a head in two halves; a POST whose body comes after the save.
    """
    body = b"x" * 1000 if number % 3 == 2 else b""
    method = "POST" if body else "GET"
    lines = (f"{method} / HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}", "", "")
    head = "\r\n".join(lines).encode()
    before = len(head) // 2 if number % 3 == 1 else len(head)
    with Conversation(served.http) as conversation:
        conversation.send(head[:before])
        (edit if number % 2 else replace)(place / "module.py", value(number))
        conversation.send(head[before:] + body)
        reply = conversation.reply()
    return reply.text if reply.status != 307 else ask(served).text


@modes
def test_a_request_before_the_save_is_not_torn(
    project: Project, runner: Runner, reload: str, on_change: str, env: dict[str, str]
) -> None:
    """It is answered by the old code or by the new, the same code from the first part of the answer to the last."""
    place = project({**FILES, "app.py": STREAMED})
    served = runner(place, "app:main", "--reload", reload, "--on-change", on_change, env=env)
    for number in range(1, 4):
        assert race(served, place, number) in (f"{number - 1} " * 20, f"{number} " * 20)
        agree(served, place)


@pytest.mark.stress
@modes
def test_many_requests_before_the_save_are_not_torn(
    project: Project, runner: Runner, reload: str, on_change: str, env: dict[str, str]
) -> None:
    """The same two hundred times, not waiting for the reload before."""
    place = project({**FILES, "app.py": STREAMED})
    served = runner(place, "app:main", "--reload", reload, "--on-change", on_change, env=env)
    for number in range(1, 201):
        shown = set(race(served, place, number).split())
        assert len(shown) == 1
        assert number - 1 <= int(shown.pop()) <= number


@pytest.mark.parametrize(
    ("options", "env"),
    [((), {}), (("--reload", "request", "--on-change", "hold"), {"RUNNER_NO_INOTIFY": "1"})],
    ids=["eager", "request, hold, sweep"],
)
def test_two_saves_are_never_seen_in_the_wrong_order(
    project: Project, runner: Runner, options: tuple[str, ...], env: dict[str, str]
) -> None:
    """Of two modules that are saved one after the other nobody ever gets the second one's new text with the first
    one's old."""
    place = project({"app.py": ORDERED, "first.py": value(0), "second.py": value(0)})
    served = runner(place, "app:main", *options, env=env)
    with visitors(served) as seen:
        for number in range(1, 31):
            edit(place / "first.py", value(number))
            edit(place / "second.py", value(number))
            # Not a wait for something: that saves fall into imports is what is tried.
            time.sleep(0.025)
    agree(served, place, saves=2)
    assert {status for status, _ in seen} == {200}, seen
    assert all(int(first) >= int(second) for first, second in (text.split() for _, text in seen)), seen


# ---- case 5: truncated, and written later ----------------------------------------------------------------

WRITER = """
import sys, time
with open(sys.argv[1], "w") as file:
    print(flush=True)
    sys.stdin.readline()
    time.sleep(0.03)
    file.write(sys.argv[2])
"""


@contextmanager
def truncated(path: Path, text: str) -> Iterator[None]:
    """Another process is inside *path*, which is empty; 30 ms after the end it writes *text* and leaves."""
    command = [sys.executable, "-c", WRITER, str(path), text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdin
        writer.stdout.readline()
        yield
        writer.stdin.close()


@modes
def test_truncated_then_written(
    project: Project, runner: Runner, reload: str, on_change: str, env: dict[str, str]
) -> None:
    """While a file is empty because its writer is still inside, the old code answers; after he has left, the new."""
    place = project(FILES)
    served = runner(place, "app:main", "--reload", reload, "--on-change", on_change, env=env)
    with truncated(place / "module.py", value(1)):
        assert ask(served)[:2] == (200, "0")
    assert agree(served, place).text == "1"


@pytest.mark.parametrize(("moment", "env"), [("read", {}), ("stamped", {"RUNNER_NO_INOTIFY": "1"})])
def test_truncated_under_the_import(project: Project, runner: Runner, moment: str, env: dict[str, str]) -> None:
    """A file that is truncated while the next generation reads it, and written 30 ms later: the whole text counts."""
    place = project(gates.FILES)
    served = runner(place, "app:main", env=env)
    with held(place, moment) as gate:
        edit(place / "module.py", gates.module(1))
        gate.wait()
        with truncated(place / "module.py", gates.module(2)):
            gate.open()
    assert agree(served, place).text == "2"
    assert "failed" not in served.output


@pytest.mark.parametrize("name", ["app.py", "module.py"])
def test_truncated_at_the_first_start(project: Project, runner: Runner, name: str) -> None:
    """A start that finds an empty file with its writer inside waits for him, and neither fails nor serves half."""
    app = FILES["app.py"].replace("import module", "from pack.module import VALUE").replace("module.VALUE", "VALUE")
    files = {"__init__.py": "print('begun', flush=True)", "app.py": app, "module.py": value(1)}
    place = project({f"pack/{file}": text for file, text in files.items()})
    with truncated(place / "pack" / name, files[name]):
        served = runner(place, "pack.app:main", ready=False)
        served.wait_for("begun")
    served.wait_for(READY)
    assert agree(served, place, app="pack.app:main").text == "1"
    assert "failed" not in served.output


def test_in_pieces(project: Project, runner: Runner) -> None:
    """Nor is half a text imported that a slow writer has flushed."""
    place = project(FILES)
    served = runner(place, "app:main")
    with (place / "module.py").open("w") as file:
        for part in ("VALUE = 1", "0", "0\n"):
            file.write(part)
            file.flush()
            assert ask(served).text == "0"
    assert agree(served, place).text == "100"


@pytest.mark.stress
def test_a_writer_who_stays_for_long(project: Project, runner: Runner) -> None:
    """A writer who does not leave is waited for 2 s, not for ever; his end is a save like any other."""
    place = project(FILES)
    served = runner(place, "app:main", "--debug")
    with (place / "module.py").open("w") as file:
        deadline = time.monotonic() + 10
        while ask(served).text == "0":
            assert time.monotonic() < deadline, served.output
            time.sleep(0.05)
        assert ask(served).status == 500
        file.write(value(1))
    assert agree(served, place).text == "1"
