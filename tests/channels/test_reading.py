"""What comes after a position is the same for the history in a process and for the store in memory.

Those of a Redis are held to the same table in tests/channels/redis.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runner.channels.history import History
from runner.channels.memory.sync_store import MemorySyncStore
from runner.channels.message import Message, Position
from tests.channels.reading import CASES, MOST, Case, check
from tests.support.hub import hub


@pytest.fixture(scope="module")
def store() -> Iterator[MemorySyncStore]:
    """Of one hub; each case has its own channel."""
    with hub(f"memory:?history={MOST}") as house:
        found = MemorySyncStore(house.door)
        yield found
        found.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_a_process(case: Case) -> None:
    """Wherever its offsets begin, and with tags."""
    positions = [Position("e", 17, 3)]
    history = History(positions[0], most=MOST, weight=10**6)
    for number in range(1, case.published + 1):
        positions.append(Position("e", 17 + number, 1000 + number))
        history.add(Message("news", str(number), positions[-1]), 0.0)
    check(case, positions, history.page(case.place.among(positions), case.limit))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_memory(store: MemorySyncStore, case: Case) -> None:
    """Of this machine."""
    channel = case.name.replace(" ", ".")
    positions = [store.read(channel, None, 0).position]
    positions += [store.publish(channel, str(number), f"id {number}") for number in range(1, case.published + 1)]
    check(case, positions, store.read(channel, case.place.among(positions), case.limit))
