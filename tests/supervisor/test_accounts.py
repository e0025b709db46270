"""Questions that every worker has to answer."""

from typing import Any

import pytest

from runner.process.channel import pair
from runner.process.messages import Account, Accounted
from runner.supervisor.accounts import PATIENCE, Accounts
from runner.supervisor.members import Hand


class Office:
    """Accounts, three workers, and what was ordered and answered."""

    def __init__(self) -> None:
        self.ordered: list[tuple[int, Account]] = []
        self.answers: list[dict[str, Any]] = []
        self.accounts = Accounts(lambda hand, message: self.ordered.append((hand.key, message)))
        self.hands = []
        for slot in range(3):
            channel, theirs = pair()
            theirs.close()
            channel.close()
            self.hands.append(Hand(10 + slot, slot, channel, pid=100 + slot))

    def ask(self, now: float = 5.0) -> None:
        """Ask all of them."""
        self.accounts.ask(self.answers.append, self.hands, now)

    def tell(self, slot: int, *rows: list[Any], number: int = 1) -> None:
        """One answers."""
        self.accounts.hear(self.hands[slot], Accounted(number, len(rows), list(rows)))


@pytest.fixture
def office() -> Office:
    """See Office."""
    return Office()


def test_all_are_asked_and_then_it_is_answered(office: Office) -> None:
    """Once, with whose each resource is."""
    office.ask()
    assert office.ordered == [(10, Account(1)), (11, Account(1)), (12, Account(1))]
    office.tell(1, ["db", "shop.py:31", 2.5, "GET /x"])
    office.tell(0)
    assert office.answers == []
    office.tell(2)
    row = {"slot": 1, "pid": 101, "resource": "db", "place": "shop.py:31", "seconds": 2.5, "request": "GET /x"}
    assert office.answers == [{"open": 1, "resources": [row], "silent": []}]
    assert office.accounts.next_deadline() is None


def test_nobody_is_waited_for_for_long(office: Office) -> None:
    """Who was silent is said."""
    office.ask(now=5.0)
    office.tell(1)
    assert office.accounts.next_deadline() == 5.0 + PATIENCE
    office.accounts.look(5.0 + PATIENCE / 2)
    assert office.answers == []
    office.accounts.look(5.0 + PATIENCE)
    assert office.answers == [{"open": 0, "resources": [], "silent": [0, 2]}]


def test_an_answer_that_comes_too_late(office: Office) -> None:
    """Is nobody's any more; nor is one to another question."""
    office.ask()
    office.accounts.look(100.0)
    office.ask()
    office.tell(0, ["db", "", 0.0, ""], number=1)
    office.tell(0, number=2)
    office.tell(0, ["db", "", 0.0, ""], number=2)
    office.accounts.look(200.0)
    assert office.answers[1] == {"open": 0, "resources": [], "silent": [1, 2]}


def test_a_worker_that_ends_has_nothing_open(office: Office) -> None:
    """It is not waited for, and not silent."""
    office.ask()
    office.tell(0)
    office.tell(1)
    office.accounts.gone(12)
    assert office.answers == [{"open": 0, "resources": [], "silent": []}]
    office.accounts.gone(12)


def test_without_workers(office: Office) -> None:
    """It is answered at once."""
    office.hands.clear()
    office.ask()
    assert office.answers == [{"open": 0, "resources": [], "silent": []}]


def test_more_than_can_be_told(office: Office) -> None:
    """The number is right all the same."""
    office.ask()
    office.accounts.hear(office.hands[0], Accounted(1, 500, [["db", "", 0.0, ""]]))
    office.accounts.look(100.0)
    assert (office.answers[0]["open"], len(office.answers[0]["resources"])) == (500, 1)
