"""Who reloads the page after a save is answered by the process that has just imported it, before that is forked.

Each application here tells which process answers and which one made that: the first to answer after an edit is the one
that all later ones are children of. What must not wait for it, waits for nothing but an answer.

Nobody is waited for there for more than some hundredths of a second, and a busy machine may take longer: so what is
asked for is that it comes to pass in one of several saves, and that each of them is answered rightly.
"""

import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.reloading import SPENT, ask
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.runner_process import CHECKPOINTS, Served
from tests.support.trouble import alive, descendants, ready_pids, report, until

APP = """
import os, sys, threading, time
import view
{at_import}
kept = []

def main(environ, start_response):
    global multithread
    multithread = environ["wsgi.multithread"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    body = f"{{view.VALUE}} {{os.getpid()}} {{os.getppid()}}".encode()
    return getattr(sys.modules[__name__], environ["PATH_INFO"].strip("/") or "plain")(body)

def plain(body):
    return [body]

def where(body):
    return [body + f" end {{threading.current_thread().name}} {{multithread}}".encode()]

def thread(body):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return [body]

def file(body):
    kept.append(open(__file__))
    return [body]

def child(body):
    if not os.fork():
        time.sleep(3)
        os._exit(0)
    return [body]

def slow(body):
    open("began", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.005)
    return [body]

def stream(body):
    yield body
    yield from slow(b" end")
"""
SAVES = 40
"""At most. When the machine has no time for a first answer the next eight are forked first."""


class Site:
    """The application of `view`, which is saved again and again."""

    def __init__(self, served: Served, place: Path) -> None:
        self.served, self.place = served, place
        self.workers = len(report(served)["workers"])
        self.value = 0
        self.save()  # from here on there is a checkpoint before it
        self.forked()

    def save(self) -> None:
        """One more version, whose import takes so long that who asks after the save waits for it."""
        self.value += 1
        edit(self.place / "view.py", f"import time\nVALUE = {self.value}\ntime.sleep(0.2)\n")

    def ask(self, target: str = "/", method: str = "GET", body: bytes = b"") -> tuple[int, int]:
        """Who answers, and who made that process; the answer is that of the last version."""
        return self.read(fetch(self.served.http, target, method=method, body=body).text)

    def read(self, text: str) -> tuple[int, int]:
        """The same of an answer."""
        value, pid, parent, *_ = map(int, text.split(" end")[0].split())
        assert value == self.value, self.served.output
        return pid, parent

    def forked(self) -> tuple[int, int]:
        """Who answers once all workers are of the newest code: one that came up after a save takes what waits."""
        ask(self.served)
        until("all workers are new", self._all_new, live=self.served)
        return self.ask()

    @contextmanager
    def slow(self, target: str = "/slow") -> Iterator[Conversation]:
        """Somebody who has asked for what takes until `go`, and is being answered."""
        began, over = self.place / "began", self.place / "go"
        began.unlink(missing_ok=True)
        over.unlink(missing_ok=True)
        with Conversation(self.served.http) as conversation:
            conversation.request("GET", target)
            until("the call has begun", began.exists, live=self.served)
            yield conversation

    def go(self) -> None:
        """Enough."""
        (self.place / "go").touch()

    def first(self, ask: Callable[[], tuple[int, int]] | None = None) -> int:
        """Save until who imported it answers *ask*, a plain look if nothing is given; which process that is."""
        for _ in range(SAVES):
            self.save()
            pid, _ = ask() if ask is not None else self.ask()
            if self.forked()[1] == pid:
                return pid
        raise AssertionError(f"{SAVES} times a worker has answered first\n{self.served.output}")

    def spent(self, ask: Callable[[], object], why: str = "too long") -> None:
        """Save until who answers *ask* cannot be forked any more, for that reason."""
        for _ in range(SAVES):
            self.save()
            ask()
            self.forked()
            if any(why in reason for reason in re.findall(SPENT, self.served.output)):
                return
        raise AssertionError(f"{SAVES} times nobody was spent\n{self.served.output}")

    def _all_new(self) -> bool:
        told = report(self.served)
        found = [each["generation"] for each in told["workers"] if each["state"] in ("ready", "busy")]
        return found == [told["generation"]] * self.workers and len(told["workers"]) == self.workers


@pytest.fixture
def at_import() -> str:
    """What the application does besides when it is imported."""
    return ""


@pytest.fixture
def options() -> tuple[str, ...]:
    """Those of the runner."""
    return ("--on-change", "hold")


@pytest.fixture
def site(project: Project, runner: Runner, at_import: str, options: tuple[str, ...]) -> Site:
    """With two workers."""
    place = project({"app.py": APP.format(at_import=at_import), "view.py": "VALUE = 0\n"})
    return Site(runner(place, "app:main", *CHECKPOINTS, *options), place)


@pytest.mark.parametrize("options", [
    ("--on-change", "hold"), ("--on-change", "redirect"), ("--workers", "1"), ("--threads", "2"),
])  # fmt: skip
def test_who_imported_the_save_answers_and_is_forked_then(site: Site) -> None:
    """The workers are its children, and answer what comes later."""
    assert site.first() != site.first()


@pytest.mark.parametrize("options", [("--threads", "2")])
def test_with_threads_it_has_none_and_its_children_do(site: Site) -> None:
    """It is called where it can be forked after that; to the application that is a worker like the others."""
    told: list[str] = []

    def ask() -> tuple[int, int]:
        told.append(fetch(site.served.http, "/where").text)
        return site.read(told[-1])

    site.first(ask)
    assert told[-1].split()[4:] == ["MainThread", "True"]
    ask()
    thread, concurrent = told[-1].split()[4:]
    assert (thread != "MainThread", concurrent) == (True, "True")


def test_over_fastcgi_as_well(site: Site) -> None:
    """As behind a web server."""

    def ask() -> tuple[int, int]:
        with FastCGI(site.served.fastcgi) as connection:
            return site.read(connection.request(parameters()).reply.text)

    site.first(ask)


@pytest.mark.parametrize("kept", [True, False])
def test_all_who_wait_are_answered_before_it_is_forked(site: Site, kept: bool) -> None:
    """One after the other: those on connections that older workers had, and those who have just connected."""
    for _ in range(SAVES):
        with ExitStack() as stack:
            waiting = [stack.enter_context(Conversation(site.served.http)) for _ in range(4 if kept else 0)]
            for each in waiting:
                each.request("GET", "/")
                each.reply()
            site.save()
            waiting += [stack.enter_context(Conversation(site.served.http)) for _ in range(0 if kept else 4)]
            for each in waiting:
                each.request("GET", "/")
            found = {site.read(each.reply().text)[0] for each in waiting}
        if found == {site.forked()[1]}:
            return
    raise AssertionError(f"{SAVES} times others have answered, too\n{site.served.output}")


@pytest.mark.parametrize(("method", "body"), [("POST", b""), ("POST", b"x=1"), ("GET", b"x")])
def test_on_a_kept_connection_too_what_is_more_than_a_look_is_for_a_worker(
    site: Site, method: str, body: bytes
) -> None:
    """The process that has imported gives it away again."""
    for _ in range(3):
        with Conversation(site.served.http) as kept:
            kept.request("GET", "/")
            kept.reply()
            site.save()
            kept.request(method, "/", body=body)
            answered_by, maker = site.read(kept.reply().text)
            assert site.forked()[1] == maker != answered_by


@pytest.mark.parametrize(("method", "body"), [("POST", b"x=1"), ("POST", b""), ("GET", b"x"), ("DELETE", b"")])
def test_what_is_more_than_a_look_is_for_a_worker(site: Site, method: str, body: bytes) -> None:
    """It is not among the children's past; and it is answered by the new code all the same."""
    for _ in range(3):
        site.save()
        answered_by, maker = site.ask(method=method, body=body)
        assert site.forked()[1] == maker != answered_by


@pytest.mark.parametrize(("target", "left"), [
    ("/thread", "thread"), ("/file", "app.py open"), ("/child", "a child process"),
])  # fmt: skip
def test_who_cannot_be_forked_after_its_answer_is_replaced_by_one_that_can(site: Site, target: str, left: str) -> None:
    """Another one imports and is forked; and from then on none answers before that."""
    site.spent(lambda: site.ask(target), left)
    known = len(re.findall(SPENT, site.served.output))
    for _ in range(10):
        site.save()
        answered_by, maker = site.ask()
        assert site.forked()[1] == maker != answered_by
    assert len(re.findall(SPENT, site.served.output)) == known


def test_nobody_waits_for_a_first_answer_that_takes_long(site: Site) -> None:
    """It is given in the end, by the process that began it, which then leaves."""
    gone = set()

    def ask() -> None:
        with site.slow() as slow:
            answered_by, maker = site.ask()
            site.go()
            first, _ = site.read(slow.reply().text)
            assert first != answered_by
            gone.update({first} - {maker})

    site.spent(ask)
    until("they have left", lambda: not alive(gone) - set(ready_pids(site.served).values()), live=site.served)


def test_a_first_answer_that_is_a_stream_comes_whole(site: Site) -> None:
    """Others are answered meanwhile."""

    def ask() -> None:
        with site.slow("/stream") as slow:
            site.ask()
            site.go()
            assert slow.reply().text.endswith(" end")

    site.spent(ask)


def test_a_kept_connection_goes_on_after_the_first_answer(site: Site) -> None:
    """With a worker; also with what was sent right behind the first request."""

    def ask() -> tuple[int, int]:
        with Conversation(site.served.http) as kept:
            kept.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
            first = site.read(kept.reply().text)
            for _ in range(2):
                makers.add(site.read(kept.reply().text)[1])
                kept.request("POST", "/", body=b"x")
            makers.add(site.read(kept.reply().text)[1])
        return first

    makers: set[int] = set()
    assert site.first(ask) in makers


def test_a_kept_fastcgi_connection_goes_on_after_the_first_answer(site: Site) -> None:
    """The web server may send the next request on it at once."""

    def ask() -> tuple[int, int]:
        with FastCGI(site.served.fastcgi) as kept:
            found = [site.read(kept.request(parameters(), keep=True).reply.text) for _ in range(4)]
        makers.update(maker for _, maker in found[1:])
        return found[0]

    makers: set[int] = set()
    assert site.first(ask) in makers


def test_who_connects_and_says_nothing_is_not_waited_for(site: Site) -> None:
    """As browsers do in advance; it is served later."""
    for _ in range(3):
        site.save()
        with Conversation(site.served.http) as silent:
            site.forked()
            silent.request("GET", "/")
            site.read(silent.reply().text)


def test_who_sends_half_a_head_is_not_waited_for(site: Site) -> None:
    """What was read of it goes along."""
    for _ in range(3):
        site.save()
        with Conversation(site.served.http) as half:
            half.send(b"GET / HTTP/1.1\r\nHo")
            site.forked()
            half.send(b"st: x\r\n\r\n")
            site.read(half.reply().text)


def test_a_save_during_the_first_answer_is_not_missed(site: Site) -> None:
    """Who asks after it is answered by what was saved last."""

    def ask() -> None:
        with site.slow() as slow:
            before = site.value
            site.save()
            site.ask()
            site.go()
            assert slow.reply().text.split()[0] == str(before)

    site.spent(ask)


@pytest.mark.parametrize("at_import", ["log = open('own.log', 'a')"])
def test_who_writes_a_file_of_its_own_is_forked_first(site: Site) -> None:
    """What is written and not yet in the file would be in every copy, and be written by each."""
    for _ in range(3):
        site.save()
        answered_by, maker = site.ask()
        assert site.forked()[1] == maker != answered_by


LOGGED = """
import logging.handlers
logging.root.addHandler(logging.handlers.RotatingFileHandler("own.log", maxBytes=1 << 20, delay={delay}))

def logged(body):
    logging.error(body.decode())
    return [body]
"""


@pytest.mark.parametrize("at_import", [LOGGED.format(delay=delay) for delay in (False, True)], ids=["open", "later"])
def test_who_writes_a_log_answers_first_all_the_same(site: Site) -> None:
    """Each line stands there once."""

    def ask() -> tuple[int, int]:
        answers.append(fetch(site.served.http, "/logged").text)
        return site.read(answers[-1])

    answers: list[str] = []
    for _ in range(3):
        site.first(ask)
    assert sorted((site.place / "own.log").read_text().splitlines()) == sorted(answers)


@pytest.mark.parametrize("options", [("--graceful-timeout", "1s")])
def test_a_first_answer_that_never_comes_is_ended(site: Site) -> None:
    """Like any call of a worker that leaves."""

    def ask() -> None:
        with site.slow() as slow:
            site.ask()
            site.save()  # also if it was a worker
            site.ask()
            until("it has ended", slow.ended, live=site.served)

    site.spent(ask)
    assert re.search(r"worker \d \(process \d+\) is killed: ", site.served.output)


@pytest.fixture
def orphans(site: Site) -> Iterator[set[int]]:
    """The processes of a run whose supervisor is killed while the first answer after a save is given."""
    site.save()
    with site.slow():
        below = descendants(site.served.pid)
        os.kill(site.served.pid, signal.SIGKILL)
        yield below


def test_a_first_answer_does_not_outlive_the_supervisor(orphans: set[int]) -> None:
    """Nobody would end it."""
    until("all have ended", lambda: not alive(orphans))


def test_stopping_waits_for_the_first_answer(site: Site) -> None:
    """As for that of any worker."""
    site.save()
    with site.slow() as slow:
        os.kill(site.served.pid, signal.SIGTERM)
        site.served.wait_for("SIGTERM: stopping")
        site.go()
        site.read(slow.reply().text)


def test_who_has_left_before_it_was_answered_harms_nobody(site: Site) -> None:
    """Its connection is closed, and that is all."""
    for _ in range(3):
        site.save()
        with socket.create_connection(site.served.http) as gone:
            gone.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        site.forked()
