"""Descriptors 0, 1 and 2: there is always something on them, and nothing that somebody else listens on.

Law: before any other descriptor is opened, or that one could be among them. Start at fill.
"""

from __future__ import annotations

import os
import socket
import sys


def fill() -> None:
    """Have something on descriptors 0 to 2, for this process and those it starts.

    FastCGI 1.0 section 2.2 starts an application with 1 and 2 closed. The next socket would get such a number, and
    every print() would then write into somebody's answer.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - as long as we live


def is_listening(descriptor: int) -> bool:
    """It is a socket that listens, as descriptor 0 is where FastCGI 1.0 section 2.2 is followed."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
