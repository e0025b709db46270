"""The report as text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.status import duration, render, render_reload, render_resources

REPORT: dict[str, Any] = {
    "generation": 15, "state": "ready", "target": "app:main", "kind": "wsgi", "pid": 4711,
    "since": 1000.0, "uptime": 8000, "files": 1312,
    "addresses": ["http 127.0.0.1:8000", "fastcgi unix:/run/shop.sock"],
    "last_reload": {"changed": ["app.py", "models.py"], "generation": 15, "milliseconds": 38.2, "error": ""},
    "workers": [
        {"slot": 0, "pid": 4712, "generation": 15, "state": "idle", "requests": 1204, "since": 8900.0},
        {"slot": 1, "pid": 4713, "generation": 15, "state": "retiring", "requests": 33, "since": 8999.0},
    ],
    "finishing": [
        {"generation": 12, "workers": 1, "streams": 2, "since": 8400.0},
        {"generation": 14, "workers": 2, "streams": 0, "since": 8999.0},
    ],
    "counters": {
        "requests": 1237, "redirects": 3, "held": 2, "moved": 5, "expired": 0, "refused": 0,
        "crashes": 0, "reloads": 14,
    },
    "channels": {"store": "memory", "pid": 4720, "channels": 3, "messages": 1204, "bytes": 90000, "clients": 4},
    "notes": ["numpy.core cannot be watched"],
}

TEXT = """\
ready       app:main, wsgi, generation 15, pid 4711, up 2h 13m
listening   http 127.0.0.1:8000
listening   fastcgi unix:/run/shop.sock
watching    1,312 files
channels    in memory, process 4720: 3 channels, 1,204 messages, 4 clients
reloaded    app.py, models.py -> generation 15 in 38 ms

slot   pid  generation  state     requests     for
   0  4712          15  idle         1,204  1m 40s
   1  4713          15  retiring        33      1s

finishing   generation 12: 1 worker, 2 streams, for 10m 00s
finishing   generation 14: 2 workers, for 1s

1,237 requests, 3 redirects, 2 held, 5 moved, 0 expired, 0 refused, 0 crashes, 14 reloads

note: numpy.core cannot be watched
"""


def test_a_whole_report_reads_like_this() -> None:
    """One look tells what runs, since when, and what the last save did."""
    assert render(REPORT) == TEXT


def test_one_of_a_kind_is_not_many() -> None:
    """Of channels, as of all else that is counted so."""
    channels = {"store": "memory", "pid": 4720, "channels": 1, "messages": 0, "clients": 1}
    assert "process 4720: 1 channel, 0 messages, 1 client\n" in render(REPORT | {"channels": channels})


def test_an_empty_report_is_still_text() -> None:
    """A run that knows nothing yet is not an error."""
    assert render({}) == "unknown\n"


@given(st.dictionaries(st.sampled_from(sorted(REPORT)), st.none()).map(lambda gone: {**REPORT, **gone}))
def test_any_part_may_be_empty(report: dict[str, Any]) -> None:
    """Each key may be None, in any combination."""
    assert render(report).endswith("\n")


@given(st.sets(st.sampled_from(sorted(REPORT["workers"][0]))))
def test_a_worker_may_lack_anything(gone: set[str]) -> None:
    """What one worker does not know is an empty cell, not a crash."""
    partial = {name: value for name, value in REPORT["workers"][0].items() if name not in gone}
    assert "4713" in render(REPORT | {"workers": [partial, REPORT["workers"][1]]})


def test_a_column_that_nobody_knows_is_left_out() -> None:
    """Without the start of the run, nobody can say for how long a worker is in its state."""
    assert "for" not in render({name: value for name, value in REPORT.items() if name != "since"})


def test_a_counter_of_a_newer_supervisor_is_shown_too() -> None:
    """After those that are known."""
    assert "1 requests, 2 hand-overs" in render({"counters": {"hand-overs": 2, "requests": 1}})


def test_files_may_be_a_list() -> None:
    """Then its length is what matters."""
    assert "watching    2 files" in render({"files": ["a.py", "b.py"]})


@pytest.mark.parametrize(("number", "line"), [
    (1, "waiting     1 request, for newer code"), (1200, "waiting     1,200 requests, for newer code"),
])
def test_who_waits_for_newer_code_is_counted(number: int, line: str) -> None:
    """Below the last reload."""
    lines = render(REPORT | {"waiting": number}).splitlines()
    assert lines[6] == line and lines[5].startswith("reloaded")


@pytest.mark.parametrize("number", [0, None])
def test_nobody_is_not_mentioned(number: int | None) -> None:
    """As most of the time, or before it is known."""
    assert render(REPORT | {"waiting": number}) == TEXT


def test_a_failed_reload_says_why_in_one_line() -> None:
    """The error may be long and have several lines."""
    failed = {"changed": ["app.py"], "generation": 16, "error": "SyntaxError:\n  app.py:12"}
    assert render_reload(failed) == "app.py -> generation 16 failed: SyntaxError: app.py:12"


def test_a_reload_that_was_asked_for_names_no_file() -> None:
    """Nothing changed, somebody wanted it."""
    asked = {"changed": [], "generation": 2, "milliseconds": 7}
    assert render_reload(asked) == "asked for -> generation 2 in 7 ms"
    resumed = {"changed": ["view.py"], "generation": 3, "milliseconds": 14.4, "origin": "resumed before view"}
    assert render_reload(resumed) == "view.py -> generation 3 in 14 ms (resumed before view)"


def test_many_changed_files_are_counted() -> None:
    """A switch of branches touches hundreds."""
    assert render_reload({"changed": [f"{n}.py" for n in range(9)], "generation": 2}).startswith(
        "0.py, 1.py, 2.py and 6 more ->")


@pytest.mark.parametrize(("seconds", "text"), [
    (0, "0s"), (59.9, "59s"), (60, "1m 00s"), (3599, "59m 59s"), (3600, "1h 00m"), (90000, "1d 01h"),
    (-1, "0s"),
])
def test_a_duration_has_at_most_two_units(seconds: float, text: str) -> None:
    """Nobody needs the seconds of a day."""
    assert duration(seconds) == text


# ---- resources ----------------------------------------------------------------------------------------------------

ROW = {"slot": 0, "pid": 812, "resource": "db", "place": "shop.py:31", "seconds": 250.4, "request": "GET /export"}


def test_what_is_open_reads_like_this() -> None:
    """The oldest first, in columns."""
    report = {"open": 2, "silent": [], "resources": [{**ROW, "seconds": 3.0, "resource": "cache"}, ROW]}
    assert render_resources(report) == (
        "db     shop.py:31  for 4m 10s  GET /export  worker 0, process 812\n"
        "cache  shop.py:31  for 3s      GET /export  worker 0, process 812\n"
    )


def test_nothing_is_open() -> None:
    """That is said."""
    assert render_resources({}) == render_resources({"open": 0, "resources": [], "silent": []}) == "nothing is open\n"


def test_what_could_not_be_told_is_said() -> None:
    """There were more, and somebody was silent."""
    text = render_resources({"open": 5, "resources": [{}], "silent": [1]})
    assert "and 4 more" in text and "worker 1 did not answer" in text
