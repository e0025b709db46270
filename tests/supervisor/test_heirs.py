"""Who of those that leave has heirs, and who is told so when."""

import pytest

from runner.supervisor.heirs import news
from runner.supervisor.life import Worker
from runner.supervisor.transit import Taker


def worker(
    key: int, generation: int = 1, *, leaving: bool = True, killed: bool = False, hurried: str = ""
) -> Worker:
    """One that leaves."""
    return Worker(key, 0, generation, 0.0, ready=True, leaving=leaving, killed=killed, hurried=hurried)


def taker(generation: int = 2, *, answers: bool = True, hosts: bool = True) -> Taker:
    """One that accepts."""
    return Taker(9, 0, generation, answers, 0.0, hosts=hosts)


@pytest.mark.parametrize(("one", "able", "told"), [
    (worker(1), [taker()], {1: True}),
    (worker(1), [taker(1)], {1: True}),
    (worker(1), [taker(1, answers=False), taker(2)], {1: True}),
    (worker(1), [taker(3, hosts=False), taker(2)], {1: True}),
    (worker(1), [], {}),
    (worker(1), [taker(hosts=False)], {}),
    (worker(1), [taker(answers=False)], {}),
    (worker(3), [taker(0, hosts=False)], {}),
    (worker(1, 3), [taker(2)], {}),
    (worker(1, leaving=False), [taker()], {}),
    (worker(1, killed=True), [taker()], {}),
    (worker(1, hurried="too many"), [taker(answers=False)], {1: True}),
    (worker(1, hurried="too many"), [taker(1)], {1: True}),
    (worker(1, hurried="too many"), [taker(1, answers=False)], {}),
    (worker(1, hurried="too many"), [taker(answers=False, hosts=False)], {}),
])  # fmt: skip
def test_heirs_are_fresh_and_have_an_application(one: Worker, able: list[Taker], told: dict[int, bool]) -> None:
    """They are not older than who leaves, and he does leave: neither by a kill nor not yet. Who has no time left need
    not wait until they are fresh; but newer than he is there must be something."""
    promised: set[int] = set()
    assert news([one], able, promised) == told
    assert promised == set(told)


def test_each_is_told_only_what_is_news() -> None:
    """One after the other; who is gone is forgotten."""
    promised: set[int] = set()
    first, second = worker(1), worker(2)
    assert news([first], [taker()], promised) == {1: True}
    assert news([first, second], [taker()], promised) == {2: True}
    assert news([first, second], [taker()], promised) == {}
    assert news([first, second], [taker(hosts=False)], promised) == {1: False, 2: False}
    assert news([first, second], [taker()], promised) == {1: True, 2: True}
    assert news([second], [], promised) == {2: False}
    assert promised == set()
