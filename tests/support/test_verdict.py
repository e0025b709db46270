"""The judge finds each kind of fault in made-up records, and calls nothing a fault that is none."""

from typing import Any

import pytest

from tests.support.verdict import KINDS, ON_THE_WIRE, Mode, Outcome, Record, Save, judge

SAVES = [Save(version, 10.0 * version, 10.0 * version + 1) for version in range(1, 5)]   # 10–11, 20–21, 30–31, 40–41
LAST = Record(99, "http", "GET", "last", False, False, 50.0, 50.0, 51.0, [], 4, 7)


def record(began: float, version: int = -1, **more: Any) -> Record:
    """A GET on a kept connection of the runner's own port, begun then and answered by that version a second later."""
    made = Record(0, "http", "GET", f"t{began}", True, True, began, began, began + 1, [], version, 7)
    return made._replace(**more)


def post(began: float, version: int, **more: Any) -> Record:
    """The same as a POST."""
    return record(began, version, **{"method": "POST", **more})


def verdict(*records: Record, mode: Mode = "redirect", executed: list[str] | None = None) -> Outcome:
    """The judge's, for *records* and one that has seen the last save; by default each POST was executed once."""
    tokens = [each.token for each in records if each.method == "POST"] if executed is None else executed
    return judge([*records, LAST], SAVES, tokens, mode)


def kinds(outcome: Outcome) -> list[str]:
    """The faults that were found, each by its kind."""
    return [each.kind for each in outcome.faults]


@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_all_is_well(mode: Mode) -> None:
    """Requests that were answered by the newest save, or began before it, are no faults."""
    well = [record(12, 1), record(20.5, 1), record(20.9, 2), record(21, 2), post(22, 2), post(30.5, 2), record(29, 3)]
    outcome = verdict(*well, mode=mode)
    assert kinds(outcome) == []
    assert (outcome.requests, outcome.answers, outcome.saves, outcome.versions) == (8, 8, 4, 4)


@pytest.mark.parametrize("fault", ON_THE_WIRE)
def test_what_a_visitor_has_noticed_is_a_fault(fault: str) -> None:
    """Each kind is counted under its own name, on its route, and not as old code."""
    outcome = verdict(record(25, fault=fault, words="why", route="nginx"))
    assert kinds(outcome) == [fault]
    assert [outcome.count(kind, "nginx") for kind in KINDS] == [int(kind == fault) for kind in KINDS]
    assert outcome.count(fault, "http") == 0
    assert outcome.count(fault) == 1


@pytest.mark.parametrize(
    ("request_", "mode", "stale", "finished"),
    [
        (record(21, 1), "redirect", 1, 0),
        (record(21, 1), "hold", 1, 0),
        (record(45, 0), "hold", 1, 0),
        (post(21, 1), "hold", 1, 0),
        (post(21, 1), "redirect", 0, 1),
        (post(21, 1, reused=False, kept=False), "redirect", 1, 0),
        (record(21, 1, method="PUT"), "redirect", 1, 0),
        (post(20.999, 1), "redirect", 0, 0),
        (record(20.999, 1), "hold", 0, 0),
    ],
)  # fmt: skip
def test_old_code(request_: Record, mode: Mode, stale: int, finished: int) -> None:
    """Old code after a completed save is stale, but for one POST in redirect mode on a connection that was there."""
    outcome = verdict(request_, mode=mode)
    assert (outcome.count("stale"), len(outcome.finished), len(outcome.faults)) == (stale, finished, stale)


@pytest.mark.parametrize(
    ("second", "stale"),
    [
        (post(22, 1), 1),                     # the same worker has found that save already
        (post(22, 1, route="nginx"), 1),
        (post(22, 1, pid=8), 0),              # another worker reads its own first one
        (post(32, 1), 0),                     # another save
        (record(22, 1), 1),                   # no POST
        (post(22, 2), 0),                     # not old
    ],
)  # fmt: skip
def test_a_worker_finds_a_save_once(second: Record, stale: int) -> None:
    """Of old POSTs, the first for a process and a save is its finder's; in whatever order they were written down."""
    outcome = verdict(second, post(21.5, 1))
    assert kinds(outcome) == ["stale"] * stale


def test_the_beginning_that_counts_is_the_last_attempts() -> None:
    """Who was redirected after a save must be answered by that save, though he first asked before it."""
    sent_on = {"first": 19.0, "redirects": [21.5]}
    assert kinds(verdict(record(22, 1, **sent_on))) == ["stale"]
    assert kinds(verdict(record(22, 2, **sent_on))) == []


@pytest.mark.parametrize(
    ("calls", "found"), [(0, ["lost"]), (1, []), (2, ["repeated"]), (3, ["repeated"])]
)  # fmt: skip
def test_a_post_is_executed_once(calls: int, found: list[str]) -> None:
    """An answered POST that nobody was called for is lost, one that somebody was called for twice is repeated."""
    one = post(25, 2)
    assert kinds(verdict(one, executed=[one.token] * calls)) == found


def test_a_post_without_an_answer_may_be_executed() -> None:
    """Its visitor's fault is counted, and once more for the tale that it was executed; never as lost."""
    one = post(25, -1, fault="reset")
    assert (kinds(verdict(one)), verdict(one).unanswered) == (["reset"], 1)
    assert (kinds(verdict(one, executed=[])), verdict(one, executed=[]).unanswered) == (["reset"], 0)
    assert sorted(kinds(verdict(one, executed=[one.token] * 2))) == ["repeated", "reset"]


def test_a_get_may_be_executed_again() -> None:
    """A web server may send a GET twice, so the log of executions says nothing about it."""
    one = record(25, 2)
    assert kinds(verdict(one, executed=[one.token] * 2)) == []


@pytest.mark.parametrize(
    ("legs", "most", "found"),
    [
        ([(22, [22.5])], 1, 0),
        ([(22, [22.5, 22.6])], 2, 1),                  # twice for save 2
        ([(22, [22.5, 22.6, 22.7])], 3, 2),
        ([(19, [19.5, 20.5])], 1, 0),                  # for save 1, then for save 2, which was under way
        ([(22, [22.5]), (24, [24.5])], 2, 1),          # two requests, one save
        ([(22, [22.5]), (29, [30.5])], 1, 0),
        ([(5, [9.5])], 1, 1),                          # for nothing
        ([(22, [22.5, 30.5]), (32, [32.5])], 2, 1),    # save 3 is taken
        ([(22, [32.5, 32.6])], 2, 0),                  # the first may have been for save 2, told late
    ],
)  # fmt: skip
def test_a_redirect_needs_a_newer_save(legs: list[tuple[float, list[float]]], most: int, found: int) -> None:
    """In redirect mode one for a visitor and a save, in hold mode none."""
    records = [record(told[-1], 4, first=first, redirects=told) for first, told in legs]
    outcome = verdict(*records)
    assert (outcome.count("sent on"), len(outcome.faults)) == (found, found)
    assert (outcome.redirects, outcome.most) == (sum(len(told) for _, told in legs), most)
    assert verdict(*records, mode="hold").count("sent on") == outcome.redirects


def test_redirects_of_two_visitors_are_apart() -> None:
    """Each visitor may be sent on once for the same save."""
    both = [record(22.5, 2, first=22, redirects=[22.5]), record(22.5, 2, first=22, redirects=[22.5], visitor=1)]
    assert kinds(verdict(*both)) == []


def test_the_last_save_must_be_seen() -> None:
    """A run at whose end nobody was answered by the last version has failed, whatever else was well."""
    assert kinds(judge([record(41, -1, fault="late")], SAVES, [], "hold")) == ["late", "unseen"]
    assert kinds(judge([], SAVES, [], "hold")) == ["unseen"]
    assert kinds(judge([record(5, 0)], [], [], "hold")) == []
