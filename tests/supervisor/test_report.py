"""What the supervisor answers to `runner status`."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from runner.process.scoreboard import Counter, Scoreboard
from runner.settings import resolve
from runner.status import render
from runner.supervisor.life import ALONE
from runner.supervisor.report import Ledger
from tests.supervisor.roster_play import Play


def report(play: Play, board: Scoreboard) -> dict[str, Any]:
    """What `runner status --json` would print."""
    ledger = Ledger(resolve({"target": "app:main"}, {}, "/srv").settings, [])
    return ledger.report(play.roster, board, {key: 1000 + key for key in play.roster.workers})


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    """An empty scoreboard."""
    board = Scoreboard()
    yield board
    os.close(board.descriptor)


def test_the_states_have_names(board: Scoreboard) -> None:
    """From the start to the end, and what `runner status` makes of each is text."""
    play = Play(keep=True)
    states = [report(play, board)["state"]]
    play.live()
    states.append(report(play, board)["state"])
    play.roster.note_stale(1)
    play.go()
    states.append(report(play, board)["state"])
    play.roster.note_broken(2, solo=False)
    play.settle()
    states.append(report(play, board)["state"])
    play.roster.note_stop(play.now, fast=False)
    states.append(report(play, board)["state"])
    assert states == ["starting", "running", "reloading", "kept", "stopping"]
    assert "kept" not in render(report(play, board)).splitlines()[0]


def test_broken_code_is_a_state(board: Scoreboard) -> None:
    """It answers, with the error."""
    play = Play()
    play.go()
    play.roster.note_broken(1, solo=False)
    play.settle()
    assert report(play, board)["state"] == "broken"


def test_an_import_that_takes_long_is_a_state(board: Scoreboard) -> None:
    """With a note, which goes with the page that says so."""
    play = Play(hold=30.0)
    ledger = Ledger(resolve({"target": "app:main"}, {}, "/srv").settings, [])
    play.go()
    play.go(later=30.0)
    play.roster.note_page(2)
    play.settle()
    ledger.importing = "still being imported"
    seen = ledger.report(play.roster, board, {})
    assert (seen["state"], seen["notes"]) == ("importing", ["still being imported"])
    play.roster.note_loaded(1, solo=False)
    play.settle()
    seen = ledger.report(play.roster, board, {})
    assert (seen["state"], seen["notes"], seen["generation"]) == ("running", [], 1)


def test_workers_without_their_generation_are_no_start(board: Scoreboard) -> None:
    """They serve on until the next one is there."""
    play = Play()
    play.live()
    play.roster.note_generation_gone(1, play.now)
    assert report(play, board)["state"] == "reloading"


def test_counters_never_go_backwards(board: Scoreboard) -> None:
    """What the workers of a third slot have answered is counted also when it is not wanted any more."""
    play = Play()
    play.live()
    requests = [report(play, board)["counters"]["requests"]]
    play.roster.note_scale(1)
    play.settle()
    for slot in play.workers(1):
        board.row(slot).set(Counter.GENERATION, 1)
        board.row(slot).count(Counter.REQUESTS, 4)
    requests.append(report(play, board)["counters"]["requests"])
    play.roster.note_scale(-1)
    play.settle()
    requests.append(report(play, board)["counters"]["requests"])
    assert (requests, len(play.workers(1))) == ([0, 12, 12], 2)


def test_older_generations_that_finish_answers_are_listed(board: Scoreboard) -> None:
    """How many workers, how many streams, since when on the clock of the workers; and it is text."""
    play = Play()
    play.superseded()
    assert report(play, board)["finishing"] == []
    first, second = play.workers(1).values()
    for slot in range(2):
        play.go(later=ALONE)
        play.roster.note_ready(play.workers(2)[slot])
    play.go()
    assert all(play.roster.workers[key].leaving for key in (first, second))
    play.roster.note_streaming(second, 3, play.now)
    seen = report(play, board)
    (older,) = seen["finishing"]
    assert (older["generation"], older["workers"], older["streams"]) == (1, 2, 3)
    began = next(each["since"] for each in seen["workers"] if each["generation"] == 1)
    assert older["since"] == pytest.approx(began + 2 * ALONE)
    assert "\n\nfinishing   generation 1: 2 workers, 3 streams, for " in render(seen)
    play.roster.note_worker_gone(first, play.now)
    assert "generation 1: 1 worker, 3 streams, for" in render(report(play, board))


def test_each_worker_has_a_row(board: Scoreboard) -> None:
    """Slot, process, generation, state, requests."""
    play = Play()
    play.live()
    board.row(1).count(Counter.REQUESTS, 5)
    board.row(1).set(Counter.INFLIGHT, 1)
    first, second = report(play, board)["workers"]
    assert (first["slot"], first["pid"], first["generation"]) == (0, 1001, 1)
    assert (first["state"], first["requests"]) == ("ready", 0)
    assert (second["state"], second["requests"]) == ("busy", 5)
    assert "sockets" not in render(report(play, board))


def test_open_sockets_have_a_column(board: Scoreboard) -> None:
    """A worker that has nothing else is ready."""
    play = Play()
    play.live()
    board.row(1).set(Counter.SOCKETS, 3)
    seen = report(play, board)
    assert [(each["state"], each["sockets"]) for each in seen["workers"]] == [("ready", 0), ("ready", 3)]
    assert "  requests  sockets  " in render(seen)
