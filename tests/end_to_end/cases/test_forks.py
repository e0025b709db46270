"""What an import leaves behind must suit workers that are forked from it, or it is not forked.

A fresh interpreter has its own threads, connections and random numbers; a worker must not share another's. What is
compared here is mostly one worker with another: a fresh interpreter is asked where it has nothing of its own to tell.
"""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, remade, until, value
from tests.support.process import PATIENCE
from tests.support.project import edit
from tests.support.runner_process import Served
from tests.support.trouble import at_work, ready_pids, report
from tests.support.trouble import until as awaited

ANSWER = """
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(answer()).encode()]
"""


class Daemon:
    """A database as far as connections go: answers each byte with the number of the connection it came on."""

    def __init__(self) -> None:
        """Listen."""
        self.count = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """No more of it."""
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self._answer, args=(connection, self.count), daemon=True).start()

    def _answer(self, connection: socket.socket, number: int) -> None:
        with connection:
            while connection.recv(1):
                connection.sendall(bytes([number]))


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """Something to connect to."""
    daemon = Daemon()
    yield daemon
    daemon.close()


def answers_of_all(served: Served, count: int = 2) -> dict[str, str]:
    """What each of *count* workers answers last, by its process id, which comes first in its answers."""
    found: dict[str, str] = {}

    def enough() -> bool:
        pid, _, text = ask(served).text.partition(" ")
        found[pid] = text
        return len(found) >= count

    awaited(f"{count} workers answer", enough, live=served)
    return found


@in_turn()
def test_a_connection_made_at_import(project: Project, runner: Runner, daemon: Daemon, mode: Mode) -> None:
    """Each worker has a connection of its own, before and after a save; the log says why nothing is forked."""
    database = (
        f"import socket\nfrom module import VALUE\nDB = socket.create_connection(('127.0.0.1', {daemon.port}))\n"
    )
    app = "import os, database\n" + ANSWER + (
        "def answer():\n    database.DB.sendall(b'x')\n"
        "    return f'{os.getpid()} {database.VALUE} {database.DB.recv(1)[0]}'\n"
    )
    place = project({**FILES, "app.py": app, "database.py": database})
    served = runner(place, "app:main", *mode)
    for number in (0, 1):
        edit(place / "module.py", value(number))
        until(served, f" {number} ")
        answers = answers_of_all(served)
        assert {text.split()[0] for text in answers.values()} == {str(number)}
        assert len({text.split()[1] for text in answers.values()}) == 2
    assert f"the import left a connection to 127.0.0.1:{daemon.port} open" in served.output


@in_turn()
def test_an_event_loop_made_at_import(project: Project, runner: Runner, mode: Mode) -> None:
    """Workers do not share one: each runs its own, in a thread of its own as such applications do."""
    app = """
        import asyncio, os, threading, module
        loop = asyncio.new_event_loop()
        started = []
        def answer():
            if not started:
                started.append(threading.Thread(target=loop.run_forever, daemon=True))
                started[0].start()
            async def work():
                await asyncio.sleep(0)
                return module.VALUE
            return f"{os.getpid()} {asyncio.run_coroutine_threadsafe(work(), loop).result(10)}"
    """
    place = project({**FILES, "app.py": dedent(app) + ANSWER})
    served = runner(place, "app:main", *mode)
    for number in (0, 1):
        edit(place / "module.py", value(number))
        until(served, f" {number}")
        assert set(answers_of_all(served).values()) == {str(number)}
    assert "the import left an event loop open" in served.output


def test_a_log_daemon_may_be_shared(project: Project, runner: Runner, tmp_path: Path) -> None:
    """A datagram socket that is left open does no harm and keeps nothing from being forked."""
    module = "import socket\nS = socket.socket(type=socket.SOCK_DGRAM)\nS.connect(('127.0.0.1', 9))\nVALUE = 0"
    served = runner(project({**FILES, "module.py": module}), "app:main")
    assert ask(served).text == "0"
    assert "the import left" not in served.output


def test_random_numbers_differ(project: Project, runner: Runner) -> None:
    """The generator was in use before the fork; two workers still never give the same numbers."""
    app = "import os, random, uuid, secrets\nfirst = random.random()\n" + ANSWER + (
        "def answer():\n    return f'{os.getpid()} {random.getrandbits(64)} {uuid.uuid4()} {secrets.token_hex(8)}'\n"
    )
    served = runner(project({"app.py": app}), "app:main", "--workers", "3")
    drawn = [text.split() for text in answers_of_all(served, 3).values()]
    for column in zip(*drawn, strict=True):
        assert len(set(column)) == 3


@in_turn()
def test_what_is_to_be_done_at_the_end(project: Project, runner: Runner, mode: Mode) -> None:
    """What was registered by atexit at import is done once by each worker, at a reload and at the end of everything."""
    app = """
        import atexit, os, module
        def note():
            with open("ended", "a") as file:
                file.write(f"{module.VALUE} {os.getpid()}\\n")
        atexit.register(note)
        def answer():
            return module.VALUE
    """
    place = project({**FILES, "app.py": dedent(app) + ANSWER})
    served = runner(place, "app:main", *mode)
    awaited("two workers", lambda: len(ready_pids(served)) == 2, live=served)
    first = {f"0 {pid}" for pid in ready_pids(served).values()}
    edit(place / "module.py", value(1))
    until(served, "1")
    awaited("the first two are gone", lambda: (place / "ended").exists()
            and first <= set((place / "ended").read_text().splitlines()), live=served)  # fmt: skip
    awaited("two workers", lambda: set(ready_pids(served)) == {0, 1}, live=served)
    second = {f"1 {pid}" for pid in ready_pids(served).values()}
    served.stop()
    ended = (place / "ended").read_text().splitlines()
    assert sorted(line for line in ended if line in first | second) == sorted(first | second)
    # Who was a worker only because the machine had no time for its first answer has ended as one, too.
    assert [line[:2] for line in ended if line not in first | second] == ["1 "] * remade(served)


FORKS = {
    "the child ends": "child = os.fork()\nif not child: os._exit(0)\nos.waitpid(child, 0)\n",
    "the child goes on importing": "child = os.fork()\n",
    "the child fails": "child = os.fork()\nif not child: 1/0\n",
    "the child stays": "child = os.fork()\nif not child:\n    import time\n    time.sleep(3600)\n"
    "open('../child', 'w').write(str(child))\n",
    "the parent ends": "if os.fork(): os._exit(0)\n",
}


@in_turn("kind", FORKS)
def test_a_fork_at_import(project: Project, runner: Runner, kind: str, mode: Mode) -> None:
    """There is one generation, whatever the child does; the next save is answered; only who stays is left."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, "--debug")
    edit(place / "module.py", "import os\n" + FORKS[kind] + value(1))
    answer = ask(served)
    if kind == "the parent ends":
        assert (answer.status, "ended with exit code 0" in answer.text) == (500, True)
    else:
        assert (answer.status, answer.text) == (200, "1")
    edit(place / "module.py", value(2))
    assert agree(served, place).text == "2"
    awaited("all is as before", lambda: len(report(served)["workers"]) == 2, live=served)
    # Supervisor's children: the generation; its: two workers. A child that stays is the application's own affair.
    most = 4 if kind == "the child stays" else 3
    awaited("nobody is left", lambda: at_work(served) == most, live=served)
    try:
        served.process.terminate()
        assert served.process.wait(PATIENCE) == 0, "whoever stays holds nobody up"
    finally:
        if kind == "the child stays":
            os.kill(int((place.parent / "child").read_text()), signal.SIGKILL)


@in_turn()
def test_variables_that_were_kept_at_import(project: Project, runner: Runner, mode: Mode) -> None:
    """os.environ copied at import is the present one after an edit of --env-file, also where a name was dropped."""
    module = "import os\nKEPT = dict(os.environ)\nVALUE = KEPT.get('ONE'), KEPT.get('TWO')"
    place = project({**FILES, "module.py": module, "env": "ONE=1\n"})
    served = runner(place, "app:main", *mode, "--env-file", "env")
    assert ask(served).text == "('1', None)"
    edit(place / "env", "TWO=2\n")
    assert agree(served, place, env={"TWO": "2"}).text == "(None, '2')"
