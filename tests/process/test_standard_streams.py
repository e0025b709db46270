"""Descriptors 0 to 2: never missing, and told from sockets that listen."""

import os
import socket
import subprocess
import sys

from runner.process.standard_streams import is_listening
from tests.support.runner_process import environment

FILL = """
import os, sys
os.closerange(0, 3)
sys.stdin = sys.stdout = sys.stderr = None
from runner.process import standard_streams
standard_streams.fill()
print("nobody reads this", file=sys.stderr)
os._exit(0 if os.open(".", os.O_RDONLY) > 2 and os.get_inheritable(2) and sys.stdin.read() == "" else 1)
"""


def test_what_is_missing_is_there_again() -> None:
    """The next descriptor gets another number, what is started has them too, print() goes nowhere."""
    done = subprocess.run([sys.executable, "-c", FILL], env=environment(), check=False, timeout=30)
    assert done.returncode == 0


def test_a_socket_that_listens_is_told_from_others() -> None:
    """From one that does not, from a file, from nothing."""
    with socket.create_server(("127.0.0.1", 0)) as queue, socket.socket() as other, open(os.devnull) as file:
        assert is_listening(queue.fileno())
        assert not is_listening(other.fileno()) and not is_listening(file.fileno())
    assert not is_listening(-1)
