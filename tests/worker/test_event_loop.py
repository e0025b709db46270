"""The faster loop is an extra."""

import asyncio
import sys

import pytest
import uvloop

from runner.worker.event_loop import factory


def test_the_faster_one_is_taken_if_it_is_there() -> None:
    """As it is where the extra is installed."""
    loop = factory()()
    assert isinstance(loop, uvloop.Loop)
    loop.close()


def test_without_it_the_usual_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is None in sys.modules cannot be imported."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert factory() is asyncio.new_event_loop
