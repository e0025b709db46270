"""The event loops that a worker may have: tests about a loop are about each of them."""

import asyncio

import pytest
import uvloop

each_loop = pytest.mark.parametrize(
    "factory", [pytest.param(asyncio.new_event_loop, id="asyncio"), pytest.param(uvloop.new_event_loop, id="uvloop")]
)
"""For a test that is given *factory*, for asyncio.Runner."""
