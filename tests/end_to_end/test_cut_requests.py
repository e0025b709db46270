"""Whatever clients do and whatever is saved meanwhile, what requests open is closed once, the last one first."""

import random
import time
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.cut_requests import ASGI, TASKS, WSGI, Book, crowd
from tests.support import apache, nginx
from tests.support.sites import Direct, Site, open_site, title
from tests.support.trouble import report, until

CALLS = {"inline": (WSGI, ()), "threads": (WSGI, ("--threads", "4")), "asgi": (ASGI, ()), "tasks": (TASKS, ())}
SITES: list[Site] = [Direct(), nginx.Site(), apache.Site(keep_connections=True)]


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("site", SITES, ids=title)
@pytest.mark.parametrize("number", [150, pytest.param(10_000, marks=[pytest.mark.stress, pytest.mark.timeout(600)])])
def test_whatever_clients_do(
    project: Project, runner: Runner, tmp_path: Path, site: Site, calls: str, number: int
) -> None:
    """One in five leaves in the middle, the code changes meanwhile: nothing stays open, nothing is closed twice."""
    seed = random.SystemRandom().randrange(1 << 32)
    book, (source, options) = Book(tmp_path / "book"), CALLS[calls]
    place = project({"app.py": source, "module.py": "VALUE = 0\n"})
    served = runner(place, "app:main", *options, env={"BOOK": str(book.path)})
    began = time.monotonic()
    with open_site(served, site) as address:
        left = crowd(place, address, number, seed)

    def rests() -> bool:
        told = report(served)
        return not told["finishing"] and {each["state"] for each in told["workers"]} == {"ready"}

    until("all is closed", lambda: rests() and book.balance() == 0, live=served)
    reloads = until("it has reloaded", lambda: report(served)["generation"] - 1, live=served)
    requests = len(book.requests())
    print(f"seed {seed}: {number} requests in {time.monotonic() - began:.1f} s, {left} cut, {reloads} reloads; "
          f"{requests} opened {book.path.read_text().count('open')} resources")  # fmt: skip
    assert requests >= number * 0.7
    book.check()
