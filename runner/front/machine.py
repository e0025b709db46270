"""What a connection expects of whoever speaks over it.

Law: called on the loop's thread only, by the connection. Start at Machine.
"""

from __future__ import annotations

from typing import Protocol


class Machine(Protocol):
    """What speaks over a connection: the FastCGI or the HTTP front, or a WebSocket after it."""

    def received(self, data: bytes) -> None:
        """Bytes arrived."""

    def ended(self) -> None:
        """The peer will send no more; it may still be reading."""

    def drained(self) -> None:
        """What was written has left, nearly: producers may go on."""

    def overdue(self) -> None:
        """The connection's deadline has passed."""

    def lost(self) -> None:
        """The connection is gone; called once, whoever closed it."""

    def rest(self) -> None:
        """This connection comes from another process, where it was idle: the peer need say nothing for a while."""

    def unread(self) -> bytes | None:
        """What was read of a request that is not yet under way, mostly nothing; None: one is under way."""


class _Nobody:
    """The machine of a closed connection: hears nothing more."""

    def received(self, data: bytes) -> None:
        """See Machine."""

    def _hear(self) -> None:
        """See Machine."""

    ended = drained = overdue = lost = rest = _hear

    def unread(self) -> bytes | None:
        """See Machine."""
        return None


NOBODY = _Nobody()
"""Speaks over what is closed."""
