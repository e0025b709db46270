"""A request body while it arrives: in memory when small, in an unlinked temporary file when not.

The application is called with the whole body (its calls would otherwise stop the loop while a slow client types), so
it needs a place that is bounded in memory and leaves nothing behind, not even after kill -9: the file has no name.

Laws: no socket; a body announced longer than it came is told to its reader as ClientGone, never as an early end, for an
early end looks like a whole upload. RFC 3875 section 4.2; FastCGI 1.0 section 6.2.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from typing import IO, TYPE_CHECKING

from runner.errors import ClientGone, RemoteProtocolError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SPOOL = 1 << 20
"""Bytes kept in memory before the body moves to a file."""


class Body:
    """What has arrived so far.

    *announced*: Content-Length in bytes, None if unknown (chunked). *limit*: bytes; 0 for none.
    Raises RemoteProtocolError: 413 as soon as either shows that the body is too large, 507 if the disk has no room.
    """

    __slots__ = ("_file", "_limit", "announced", "received")

    def __init__(self, announced: int | None, limit: int) -> None:
        self.announced = announced
        self.received = 0
        self._limit = limit
        self._file: IO[bytes] | None = None
        if limit and announced is not None and announced > limit:
            raise _too_large(limit)

    def write(self, data: bytes) -> None:
        """Keep *data*; bytes beyond the announced length are not part of this request and are dropped."""
        if self.announced is not None:
            data = data[: self.announced - self.received]
        self.received += len(data)
        if self._limit and self.received > self._limit:
            raise _too_large(self._limit)
        if self._file is None:
            self._file = io.BytesIO()
        try:
            if type(self._file) is io.BytesIO and self.received > SPOOL:
                small, self._file = self._file, tempfile.TemporaryFile(prefix="runner-")  # noqa: SIM115 - closed by its reader
                self._file.write(small.getbuffer())
            self._file.write(data)
            # A full disk shows here, and not to the reader of a body that was said to be whole.
            self._file.flush()
        except OSError as error:
            message = f"the request body could not be kept ({error.strerror}); make room where TMPDIR points"
            raise RemoteProtocolError(message, 507) from error

    def open(self) -> IO[bytes] | ShortBody:
        """The body from its first byte, to be read by the application and closed by whoever called this."""
        if self.announced is not None and self.received < self.announced:
            self.close()
            return ShortBody(self.received, self.announced)
        if self._file is None:
            return io.BytesIO()
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Forget what arrived; harmless after `open`'s file was closed."""
        if self._file is not None:
            with contextlib.suppress(OSError):  # what a full disk did not take is tried once more
                self._file.close()


class ShortBody(io.RawIOBase):
    """Stands for a body that never became whole: every read raises ClientGone."""

    def __init__(self, received: int, announced: int) -> None:
        super().__init__()
        self._message = f"the request body ended after {received} of {announced} bytes; treat it as not sent"

    def readable(self) -> bool:
        """As files say it."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Raises ClientGone."""
        raise ClientGone(self._message)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Raises ClientGone."""
        raise ClientGone(self._message)

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """Raises ClientGone."""
        raise ClientGone(self._message)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Raises ClientGone."""
        raise ClientGone(self._message)

    def readall(self) -> bytes:
        """Raises ClientGone."""
        raise ClientGone(self._message)

    def __next__(self) -> bytes:
        raise ClientGone(self._message)


def _too_large(limit: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"the request body is larger than {limit} bytes; raise --max-body to allow it", 413)
