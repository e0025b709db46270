"""An open connection, and the machine that it tells what happens; a test that wants others makes its own."""

from collections.abc import Iterator

import pytest

from tests.front.rig import Recorder, Rig


@pytest.fixture
def machine() -> Recorder:
    """The machine of the connection under test."""
    return Recorder()


@pytest.fixture
def rig(machine: Recorder) -> Iterator[Rig]:
    """An open connection with a small kernel buffer, so that writes are partial."""
    with Rig(buffer=4096) as rig:
        rig.connection.machine = machine
        rig.connection.open()
        yield rig
