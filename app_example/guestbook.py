"""The book itself: entries in one SQLite file, and who looks is told of each new one. It knows nothing of the web.

The file is named by the environment variable GUESTBOOK_DB, else it is guestbook.sqlite3 beside this module.
It is opened once for each request that needs it, and closed when that request ends: also at the end of a long
export, or when a client leaves in the middle of one. Nothing has to be remembered between two requests.
"""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from runner import channels, resources

CHANNEL = "public.guestbook"
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

    number: int
    name: str
    message: str
    signed_at: str


def sign(name: str, message: str) -> None:
    """Add an entry; when this returns, it is on the disk, and on its way to all open pages."""
    with _book() as book:
        statement = "INSERT INTO entry (name, message) VALUES (?, ?) RETURNING id, name, message, signed_at"
        entry = Entry(*book.execute(statement, (name, message)).fetchone())
    try:
        channels.publish_sync(CHANNEL, entry._asdict())
    except channels.ChannelsUnavailable:
        pass   # it is in the book, and shown by the next page


def position() -> str:
    """Return where the channel stands; ask before `latest`, so that nothing falls between the two."""
    try:
        return str(channels.position_sync(CHANNEL))
    except channels.ChannelsUnavailable:
        return ""


def latest(count: int) -> list[Entry]:
    """Return the last *count* entries, the newest first."""
    rows = _book().execute("SELECT id, name, message, signed_at FROM entry ORDER BY id DESC LIMIT ?", (count,))
    return [Entry(*row) for row in rows]


def last() -> int:
    """Return the number of the newest entry, 0 if there is none."""
    number: int = _book().execute("SELECT COALESCE(MAX(id), 0) FROM entry").fetchone()[0]
    return number


def everything() -> Iterator[Entry]:
    """Yield every entry, the oldest first."""
    for row in _book().execute("SELECT id, name, message, signed_at FROM entry ORDER BY id"):
        yield Entry(*row)


def _open() -> sqlite3.Connection:
    book = sqlite3.connect(os.environ.get("GUESTBOOK_DB") or Path(__file__).with_name("guestbook.sqlite3"))
    # With a write-ahead log, a long export does not keep others from signing.
    book.execute("PRAGMA journal_mode = WAL")
    book.execute(SCHEMA)
    return book


def _book() -> sqlite3.Connection:
    """The one connection of the present request."""
    book: sqlite3.Connection = resources.open_singleton("book")
    return book


resources.register("book", _open, sqlite3.Connection.close)
