"""What keeps a process from being copied, each in a process of its own: here others may have left threads."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.generation import fork_safety

CODE = """
import asyncio, select, socket, threading
from runner.generation import fork_safety
early = socket.socketpair()
before = fork_safety.streams()
{left}
print(fork_safety.culprit(before))
"""


def culprit(left: str) -> str:
    """What is said of a fresh interpreter that has done this."""
    command = [sys.executable, "-c", CODE.format(left=left)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("kind", "reason"), [
    ("STREAM", "the import left a connection to an unnamed socket open"), ("DGRAM", ""), ("SEQPACKET", ""),
])
def test_a_connection(kind: str, reason: str) -> None:
    """Of the kinds that two processes would read apart from each other."""
    assert culprit(f"pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_{kind})") == reason


def test_a_connection_that_is_closed_again() -> None:
    """Nothing is left of it; what was open before belongs to the runner."""
    assert culprit("for each in socket.socketpair(): each.close()") == ""


def test_an_event_loop() -> None:
    """By its epoll."""
    assert culprit("poll = select.epoll()") == "the import left an event loop open"


def test_a_thread_is_named() -> None:
    """With the module whose function it runs."""
    start = "threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()"
    assert culprit(start).startswith("the import left thread 'poller' of ")


SINCE = """
import logging, select, socket, subprocess, sys, threading
from runner.generation import fork_safety
early = subprocess.Popen(["sleep", "60"])
before = fork_safety.opened()
{left}
print(fork_safety.culprit_since(before, {{early.pid}}, 0))
early.kill()
"""


@pytest.mark.parametrize(("left", "reason"), [
    ("", ""),
    ("open(sys.executable).close()", ""),
    ("kept = open('/dev/null')", "the answer left /dev/null open"),
    ("kept = socket.socketpair()", "the answer left a connection to an unnamed socket open"),
    ("kept = select.epoll()", "the answer left an event loop open"),
    ("logging.root.addHandler(logging.FileHandler('/dev/null'))", ""),
    ("late = subprocess.Popen(['sleep', '1'])", "the answer left a child process running"),
    ("threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()",
     "the answer left thread 'poller' of threading running"),
])  # fmt: skip
def test_who_has_answered_is_looked_at_more_closely(left: str, reason: str) -> None:
    """Whatever it has open since would be one for all."""
    done = subprocess.run([sys.executable, "-c", SINCE.format(left=left)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == reason


@pytest.mark.parametrize(("mode", "written"), [("r", False), ("w", True), ("a", True), ("r+", True)])
def test_files_that_are_written(tmp_path: Path, mode: str, written: bool) -> None:
    """Not those that are read; and no device is one."""
    path = tmp_path / "file"
    path.touch()
    with open(path, mode) as file, open("/dev/null", "w") as device:
        opened = frozenset({(file.fileno(), str(path)), (device.fileno(), "/dev/null")})
        assert fork_safety.files_written(opened) == [str(path)] * written


@pytest.mark.parametrize("name", ["", "shop.orders"])
@pytest.mark.parametrize("delay", [False, True])
def test_the_log_of_a_logger_is_no_file_of_ones_own(tmp_path: Path, name: str, delay: bool) -> None:
    """It is complete after each record; whether it was open before that or not."""
    before, others = fork_safety.opened(), fork_safety.logs()  # the test runner has one, too
    handler = logging.FileHandler(tmp_path / "log", delay=delay)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        assert (fork_safety.opened() == before) is delay
        logger.error("x")
        assert (tmp_path / "log").read_text() == "x\n"
        ours = fork_safety.opened() - before
        assert {number for number, _ in ours} == fork_safety.logs() - others != set()
        assert fork_safety.files_written(ours) == []
    finally:
        logger.removeHandler(handler)
        handler.close()
    assert fork_safety.logs() == others


def test_what_is_closed_meanwhile_is_written_by_nobody() -> None:
    """It was there when somebody looked."""
    assert fork_safety.files_written(frozenset({(999_999, "/srv/log")})) == []


def test_children_are_known_until_they_are_collected() -> None:
    """Also one that has ended."""
    before = fork_safety.children()
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert fork_safety.children() - before == {child.pid}
    child.wait()
    assert fork_safety.children() == before
