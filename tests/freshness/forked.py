"""A child of the test's own process, which waits at a line until it is told to go on."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def forked(answer: Callable[[], str]) -> Iterator[Callable[[], str]]:
    """Fork now; what is given has the child call *answer*, and returns what that gave."""
    ordered, order = os.pipe()
    heard, tell = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(order)
            if os.read(ordered, 1):
                os.write(tell, answer().encode())
        finally:
            os._exit(0)
    os.close(ordered)
    os.close(tell)

    def ask() -> str:
        os.write(order, b".")
        with open(heard, "rb", closefd=False) as file:
            return file.read().decode()

    try:
        yield ask
    finally:
        os.close(order)
        os.waitpid(pid, 0)
        os.close(heard)
