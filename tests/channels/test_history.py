"""The last messages of a channel: bounded by number, bytes and age, and never silent about what is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.channels.history import History, weigh
from runner.channels.message import OLDEST, Message, Page, Position, Reason


def at(offset: int, epoch: str = "e", tag: int = 0) -> Position:
    """A place."""
    return Position(epoch, offset, tag)


def message(offset: int, text: str = "1") -> Message:
    """The message there."""
    return Message("c", text, at(offset))


def filled(count: int, *, most: int = 5, weight: int = 10**6, age: float = 10.0) -> History:
    """One message a second, the first at second 1."""
    history = History(at(0), most=most, weight=weight, age=age)
    for offset in range(1, count + 1):
        history.add(message(offset), float(offset))
    return history


def offsets(page: Page) -> list[int]:
    """Of the messages in it."""
    return [each.position.offset for each in page.messages]


@pytest.mark.parametrize(("after", "found", "more"), [
    (OLDEST, [4, 5, 6], True), (at(3), [4, 5, 6], True), (at(4), [5, 6, 7], True), (at(5), [6, 7, 8], False),
    (at(7), [8], False), (at(8), [], False),
])  # fmt: skip
def test_a_page_begins_after_its_position(after: Position, found: list[int], more: bool) -> None:
    """Oldest first; the place to go on is that of the last one."""
    page = filled(8).page(after, 3)
    assert (offsets(page), page.more, page.resync) == (found, more, None)
    assert page.position == at(found[-1] if found else 8)


@pytest.mark.parametrize(("after", "reason"), [
    (at(2), Reason.GAP), (at(0), Reason.GAP), (at(9), Reason.UNKNOWN), (at(5, tag=7), Reason.UNKNOWN),
    (at(8, tag=7), Reason.UNKNOWN), (at(5, "other"), Reason.EPOCH), (at(0, "other"), Reason.EPOCH),
])  # fmt: skip
def test_what_is_missing_is_said(after: Position, reason: Reason) -> None:
    """With the reason, no messages, and the place to go on."""
    assert filled(8).page(after, 3) == Page([], at(8), reason)


def test_who_has_seen_all_has_missed_nothing() -> None:
    """Also when all of it is too old by now."""
    history = filled(3)
    history.expire(1000.0)
    assert len(history) == history.weighs == 0
    assert history.page(at(3), 9) == Page([], at(3))
    assert history.page(OLDEST, 9) == Page([], at(3))
    assert history.page(at(2), 9).resync is Reason.GAP


def test_the_heaviest_is_still_kept() -> None:
    """A message alone may weigh more than all may together."""
    history = filled(3, weight=2 * weigh(message(1)))
    assert len(history) == 2
    history.add(message(4, "é" * 1000), 4.0)
    assert offsets(history.page(OLDEST, 9)) == [4]
    assert history.weighs > 4000


def test_forgetting_leaves_the_rest_in_place() -> None:
    """The oldest goes, and a position before it is a gap."""
    history = filled(3)
    history.forget()
    assert offsets(history.page(at(1), 9)) == [2, 3]
    assert history.page(at(0), 9).resync is Reason.GAP


@given(st.lists(st.tuples(st.floats(0, 5), st.text(max_size=50)), max_size=40), st.integers(0, 45))
def test_it_is_a_list_that_forgets_its_beginning(steps: list[tuple[float, str]], after: int) -> None:
    """Compared with one that remembers all: what is there is its end, within all bounds."""
    history, told, now = History(at(0), most=7, weight=4000, age=9.0), [], 0.0
    for offset, (wait, text) in enumerate(steps, 1):
        now += wait
        history.add(message(offset, text), now)
        told.append((now, message(offset, text)))
    page = history.page(OLDEST, 99)
    assert page.messages == [each for _, each in told[len(told) - len(history) :]]
    assert len(history) <= 7
    assert all(when > now - 9.0 for when, _ in told[len(told) - len(history) :])
    assert history.weighs == sum(map(weigh, page.messages))
    assert history.weighs <= 4000 or len(history) == 1
    page = history.page(at(after), 99)
    if page.resync is None:
        assert page.messages == [each for _, each in told[after:]]
    else:
        assert after > len(told) or after < len(told) - len(history)
