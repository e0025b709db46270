"""A call that does not come back holds up nobody while another worker is idle: two workers, kept connections.

Nothing is measured here: a call waits for a file, and what must not wait for it is answered before the file is made.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.support.guests import FastCGIGuest, Guest, HTTPGuest
from tests.support.runner_process import Served, serve
from tests.support.trouble import SOURCE, until

GUESTS = 3
"""Connections to two workers: two of them have the same one."""


def pid(guest: Guest) -> int:
    """Who answers it."""
    guest.send("/pid")
    return int(guest.text().split()[1])


def same(guests: list[Guest]) -> tuple[Guest, Guest, int]:
    """Two that are with the same worker, and its process."""
    owners: dict[int, Guest] = {}
    for guest in guests:
        owner = pid(guest)
        if owner in owners:
            return owners[owner], guest, owner
        owners[owner] = guest
    raise AssertionError(f"{len(guests)} connections, and each with another worker: {sorted(owners)}")


@pytest.fixture
def served(project: Project) -> Iterator[Served]:
    """Two workers."""
    with serve(project({"app.py": SOURCE}), "app:main", "--workers", "2", "--slow", "50ms") as served:
        yield served


@pytest.mark.parametrize("kind", [HTTPGuest, FastCGIGuest])
def test_a_request_behind_a_slow_call_is_answered_by_an_idle_worker(
    served: Served, tmp_path: Path, kind: Callable[[Served, ExitStack], Guest]
) -> None:
    """On a connection that the blocked worker had; and again on the same one, which is now the other's."""
    with ExitStack() as stack:
        slow, fast, owner = same([kind(served, stack) for _ in range(GUESTS)])
        slow.send(f"/wait?began={tmp_path / 'began'}&until={tmp_path / 'go'}")
        until("the call has begun", (tmp_path / "began").exists, live=served)
        first, second = pid(fast), pid(fast)
        assert first == second != owner
        (tmp_path / "go").touch()
        assert slow.text().split()[1] == str(owner)
        assert pid(slow), "the slow one goes on, too"


def test_the_whole_crowd_behind_a_slow_call_is_answered(served: Served, tmp_path: Path) -> None:
    """Each is given away by itself, and keeps its order: what it asks next is answered next."""
    with ExitStack() as stack:
        guests: list[Guest] = [HTTPGuest(served, stack) for _ in range(20)]
        slow, *others = guests
        owner = pid(slow)
        slow.send(f"/wait?began={tmp_path / 'began'}&until={tmp_path / 'go'}")
        until("the call has begun", (tmp_path / "began").exists, live=served)
        for _ in range(3):
            for guest in others:
                guest.send("/pid")
            assert owner not in {int(guest.text().split()[1]) for guest in others}
        (tmp_path / "go").touch()
        assert slow.text().split()[1] == str(owner)


def test_what_waits_while_everybody_is_busy_is_answered_by_who_is_free_first(served: Served, tmp_path: Path) -> None:
    """Also by the worker that had given it away before."""
    with ExitStack() as stack:
        slow, fast, _ = same([HTTPGuest(served, stack) for _ in range(GUESTS)])
        other = HTTPGuest(served, stack)
        slow.send(f"/wait?began={tmp_path / 'began1'}&until={tmp_path / 'go1'}")
        until("the first call has begun", (tmp_path / "began1").exists, live=served)
        keeper = pid(fast)
        other.send(f"/wait?began={tmp_path / 'began2'}&until={tmp_path / 'go2'}")
        until("the second call has begun", (tmp_path / "began2").exists, live=served)
        fast.send("/pid")
        (tmp_path / "go1").touch()
        owner = int(slow.text().split()[1])
        assert int(fast.text().split()[1]) == owner != keeper
        (tmp_path / "go2").touch()
        assert int(other.text().split()[1]) == keeper


def test_a_slow_call_is_logged_once_with_where_it_stands(served: Served, tmp_path: Path) -> None:
    """Method, path, the place in the code; nothing of the query."""
    with ExitStack() as stack:
        slow = HTTPGuest(served, stack)
        slow.send(f"/wait?began={tmp_path / 'began'}&until={tmp_path / 'go'}")
        served.wait_for(r"slow: GET /wait has taken .*app\.py:\d+ in wait < at .*app\.py:\d+ in main")
        (tmp_path / "go").touch()
        slow.text()
        assert served.output.count("slow: ") == 1
        assert "began=" not in served.output


def test_with_threads_a_slow_call_is_logged_too(project: Project, tmp_path: Path) -> None:
    """With the place where its own thread stands."""
    options = ("--workers", "1", "--threads", "3", "--slow", "50ms")
    with serve(project({"app.py": SOURCE}), "app:main", *options) as served, ExitStack() as stack:
        slow = HTTPGuest(served, stack)
        slow.send(f"/wait?began={tmp_path / 'began'}&until={tmp_path / 'go'}")
        served.wait_for(r"slow: GET /wait has taken .*app\.py:\d+ in wait < at .*app\.py:\d+ in main$")
        (tmp_path / "go").touch()
        slow.text()
        assert served.output.count("slow: ") == 1
