"""Signals are taken in order, and however many come, the ones that matter are not lost."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from runner.supervisor.signals import HEARD, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    """Handlers of this test; the former ones come back after it."""
    before = {number: signal.getsignal(number) for number in HEARD}
    with Signals() as opened:
        yield opened
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: signal.Signals) -> None:
    """To this process."""
    os.kill(os.getpid(), number)


def test_they_are_taken_in_their_order(signals: Signals) -> None:
    """And only once."""
    order = [signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP]
    for number in order:
        send(number)
    assert signals.take() == order
    assert signals.take() == []


def test_whoever_waits_is_woken(signals: Signals) -> None:
    """By one that came before the waiting began, too."""
    assert select.select([signals], [], [], 0)[0] == []
    send(signal.SIGTTIN)
    assert select.select([signals], [], [], 5)[0] == [signals]
    signals.take()
    assert select.select([signals], [], [], 0)[0] == []


def test_a_flood_drowns_none(signals: Signals) -> None:
    """20,000 HUPs that nobody takes fill every buffer; the TERM after them is there all the same."""
    for _ in range(20_000):
        send(signal.SIGHUP)
    send(signal.SIGTERM)
    taken = signals.take()
    assert taken[-1] is signal.SIGTERM and len(taken) == 20_001
    assert select.select([signals], [], [], 0)[0] == []
