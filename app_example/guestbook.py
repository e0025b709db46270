"""The book itself: entries in one SQLite file. It knows nothing of the web.

The file is named by the environment variable GUESTBOOK_DB, else it is guestbook.sqlite3 beside this module.
Each function opens the file for itself and closes it again, so nothing has to be remembered between two
requests or two processes.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

SCHEMA = """
    CREATE TABLE IF NOT EXISTS entry (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        message TEXT NOT NULL,
        signed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    )
"""


class Entry(NamedTuple):
    """What one visitor left; *signed_at* is UTC, `2025-01-31 12:00:00`."""

    name: str
    message: str
    signed_at: str


def sign(name: str, message: str) -> None:
    """Add an entry; when this returns, it is on the disk."""
    with closing(_open()) as book, book:
        book.execute("INSERT INTO entry (name, message) VALUES (?, ?)", (name, message))


def latest(count: int) -> list[Entry]:
    """Return the last *count* entries, the newest first."""
    with closing(_open()) as book:
        rows = book.execute("SELECT name, message, signed_at FROM entry ORDER BY id DESC LIMIT ?", (count,))
        return [Entry(*row) for row in rows]


def everything() -> Iterator[Entry]:
    """Yield every entry, the oldest first.

    The file stays open until the last one, or until the generator is closed: a server does that when its
    client leaves.
    """
    with closing(_open()) as book:
        for row in book.execute("SELECT name, message, signed_at FROM entry ORDER BY id"):
            yield Entry(*row)


def _open() -> sqlite3.Connection:
    file = os.environ.get("GUESTBOOK_DB") or Path(__file__).with_name("guestbook.sqlite3")
    # A server may take the steps of one generator in different threads, though never two at a time.
    book = sqlite3.connect(file, check_same_thread=False)
    # With a write-ahead log, a long export does not keep others from signing.
    book.execute("PRAGMA journal_mode = WAL")
    book.execute(SCHEMA)
    return book
