"""The load's own parts: its editor, its command line, the table that tells what came of it."""

import math

import pytest

from tests.support.edit_load import ROUTES, Editor, Load, Report, arguments, describe
from tests.support.verdict import Record, Save, judge


def test_the_editor_notes_when() -> None:
    """Versions follow each other, by renaming and in place in turn, each between its own two moments."""
    done: list[tuple[int, bool]] = []
    editor = Editor(lambda version, by_renaming: done.append((version, by_renaming)), 4)
    first, second = editor.save(), editor.save()
    assert done == [(4, False), (5, True)]
    assert editor.saves == [first, second]
    assert first.began <= first.completed <= second.began <= second.completed


def test_the_command_line() -> None:
    """What is not said is as the project demands it; routes are named with commas."""
    assert arguments(["--seed", "0"]) == Load()
    some = arguments(["--mode", "hold", "--seconds", "10", "--connections", "60", "--routes", "http,nginx-fastcgi"])
    assert (some.mode, some.seconds, some.connections, some.routes) == ("hold", 10, 60, ("http", "nginx-fastcgi"))


def test_a_route_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused, and those that there are are named."""
    with pytest.raises(SystemExit) as error:
        arguments(["--routes", "http,lighttpd"])
    assert error.value.code == 2
    told = capsys.readouterr().err
    assert "'lighttpd'" in told
    assert all(name in told for name in ROUTES)


def test_the_table_tells_each_fault() -> None:
    """A route's line counts what happened on it; below, each fault is told with its request."""
    load = Load(routes=("http", "nginx-http"), seconds=1)
    old = Record(0, "http", "GET", "000-00001", True, True, 3.0, 3.0, 3.25, [], 1, 7)
    cut = Record(1, "nginx-http", "POST", "001-00001", False, True, 3.0, 3.0, 4.0, [], fault="cut", words="half")
    outcome = judge([old, cut], [Save(2, 1.0, 2.0)], ["001-00001"], "hold")
    text = describe(Report(outcome, [old, cut], math.inf, {}), load)
    heading, *lines = (line.split("  ") for line in text.splitlines()[:4])
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    columns = [name.strip() for name in heading if name.strip()]
    figures = {name: dict(zip(columns, values, strict=True)) for name, *values in cells}
    assert [figures["http"][name] for name in ("requests", "stale", "cut", "longest ms")] == ["1", "1", "0", "250"]
    assert [figures["nginx-http"][name] for name in ("requests", "stale", "cut")] == ["1", "0", "1"]
    assert [figures["all"][name] for name in ("requests", "stale", "cut")] == ["2", "1", "1"]
    assert "cut: POST 001-00001 by nginx-http, new connection: half" in text
    assert "stale: GET 000-00001 by http, kept connection: version 1 of process 7 after save 2" in text
    assert "the last never" in text
    assert "faults: 3 of 2 requests" in text
