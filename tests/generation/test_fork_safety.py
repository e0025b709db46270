"""What keeps a process from being copied."""

import os
import select
import socket
import subprocess
import sys
import threading

import pytest

from runner.generation import fork_safety


@pytest.mark.parametrize(("kind", "found"), [
    (socket.SOCK_STREAM, True), (socket.SOCK_DGRAM, False), (socket.SOCK_SEQPACKET, False),
])
def test_a_connection(kind: socket.SocketKind, found: bool) -> None:
    """Of the kinds that two processes would read apart from each other."""
    before = fork_safety.streams()
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours, theirs:
        assert bool(fork_safety.culprit(before)) is found
    assert fork_safety.culprit(before) == ""


def test_what_was_open_before_is_nobody_s_fault() -> None:
    """It belongs to the runner."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert fork_safety.culprit(fork_safety.streams()) == ""


def test_an_event_loop() -> None:
    """By its epoll."""
    before = fork_safety.streams()
    with select.epoll():
        assert fork_safety.culprit(before) == "the import left an event loop open"


def test_a_thread_is_named() -> None:
    """With the module whose function it runs."""
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="poller")
    thread.start()
    try:
        assert fork_safety.culprit(fork_safety.streams()).startswith("the import left thread 'poller' of ")
    finally:
        go_on.set()
        thread.join()


def test_children_are_known_until_they_are_collected() -> None:
    """Also one that has ended."""
    before = fork_safety.children()
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert fork_safety.children() - before == {child.pid}
    child.wait()
    assert fork_safety.children() == before
