"""The faster loop is an extra."""

import subprocess
import sys

import pytest
import uvloop

from runner.worker import event_loop


def test_the_faster_one_is_taken_if_it_is_there() -> None:
    """As it is where the extra is installed."""
    loop = event_loop.factory()
    assert isinstance(loop, uvloop.Loop)
    loop.close()


@pytest.mark.parametrize("name", ["runner.worker.event_loop", "runner.generation.loop"])
def test_without_it_the_usual_one_does(name: str) -> None:
    """A name that is None in sys.modules cannot be imported."""
    code = (
        f"import sys; sys.modules['uvloop'] = None; import {name}, asyncio\n"
        "from runner.worker import event_loop\n"
        "assert event_loop.factory is asyncio.new_event_loop"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
