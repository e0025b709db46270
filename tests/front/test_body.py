"""A request body while it arrives: bounded in memory, nameless on disk, never short without saying so."""

import errno
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import ClientGone, RemoteProtocolError
from runner.front.body import SPOOL, Body, ShortBody


@given(st.lists(st.binary(max_size=50)), st.one_of(st.none(), st.integers(0, 200)))
def test_a_body_is_what_was_written_up_to_its_announced_length(parts: list[bytes], announced: int | None) -> None:
    """However it was cut; bytes beyond the length are nobody's."""
    body = Body(announced, 0)
    for part in parts:
        body.write(part)
    whole = b"".join(parts)
    file = body.open()
    if announced is not None and len(whole) < announced:
        assert isinstance(file, ShortBody)
    else:
        assert file.read() == whole[:announced]
        assert body.received == len(whole[:announced])
    file.close()


@pytest.mark.parametrize(("size", "on_disk"), [(SPOOL, False), (SPOOL + 1, True)])
def test_a_body_above_the_limit_moves_to_a_file_without_a_name(
    size: int, on_disk: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left behind, not even by kill -9."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = Body(None, 0)
    for start in range(0, size, 65536):
        body.write(bytes(min(65536, size - start)))
    file = body.open()
    assert (type(file) is not io.BytesIO) is on_disk
    assert list(tmp_path.iterdir()) == []
    if on_disk:
        assert os.fstat(file.fileno()).st_nlink == 0
    assert len(file.read()) == size
    file.close()


@pytest.mark.parametrize(
    "make",
    [lambda: Body(11, 10), lambda: Body(None, 10).write(b"x" * 11), lambda: Body(None, SPOOL).write(bytes(SPOOL + 1))],
    ids=["announced", "unannounced", "unannounced and large"],
)
def test_a_body_above_the_configured_limit_is_413(make: Callable[[], object]) -> None:
    """As soon as it is known, and with the option that allows more."""
    with pytest.raises(RemoteProtocolError, match="--max-body") as caught:
        make()
    assert caught.value.status == 413


def test_a_limit_of_zero_is_none() -> None:
    """Off is off."""
    Body(10**17, 0).write(b"x")


def test_a_full_disk_is_507_at_once_and_never_a_short_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk did not take is found while writing, not by the application."""

    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            io.BytesIO.close(self)
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda prefix: Full())
    body = Body(None, 0)
    with pytest.raises(RemoteProtocolError, match="No space left") as caught:
        body.write(bytes(SPOOL + 1))
    assert caught.value.status == 507
    body.close()


def test_a_body_that_was_never_written_is_empty() -> None:
    """A GET reads nothing, at once."""
    file = Body(None, 0).open()
    assert file.read() == b""
    Body(5, 0).close()


READS: dict[str, Callable[[Any], object]] = {
    "read": lambda file: file.read(),
    "read n": lambda file: file.read(1),
    "readline": lambda file: file.readline(),
    "readlines": lambda file: file.readlines(),
    "readall": lambda file: file.readall(),
    "readinto": lambda file: file.readinto(bytearray(1)),
    "for": lambda file: list(file),
    "buffered": lambda file: io.BufferedReader(file).read(),
    "text": lambda file: io.TextIOWrapper(io.BufferedReader(file)).read(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_way_to_read_a_short_body_tells_that_the_client_is_gone(read: Callable[[Any], object]) -> None:
    """An early end would look like a whole upload."""
    body = Body(5, 0)
    body.write(b"abc")
    with pytest.raises(ClientGone, match="3 of 5 bytes"):
        read(body.open())
