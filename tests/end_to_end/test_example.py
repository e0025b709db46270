"""The example application as visitors and its author know it: behind each web server, at / and below /app, edited live.

It is served from a copy, whose book lies beside its code, where signing writes to it and must not look like a save.
"""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from runner.supervisor.control import ask
from tests.end_to_end.reloading import until_settled
from tests.support import apache, nginx
from tests.support.client import Reply, fetch
from tests.support.places import Address
from tests.support.project import edit, replace, restored
from tests.support.runner_process import ROOT, Served, serve
from tests.support.sites import Direct, Site, open_site, title
from tests.support.trouble import until
from tests.support.visitor import Visitor

BATCH = ("--mount", "/jsonrpc/batch=app:batch")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ROOT_SITE, BELOW = nginx.Site(keep_connections=False), nginx.Site(mount="/app", keep_connections=False)
DOORS: list[Site] = [Direct(mount="/app"), ROOT_SITE, BELOW, apache.Site(), apache.Site(mount="/app")]


class Example(NamedTuple):
    """The example being served: its folder, its runner, where it is asked, and its mount without a slash at the end."""

    directory: Path
    served: Served
    address: Address
    mount: str


@pytest.fixture(scope="module")
def served_below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Path, Served]]]:
    """By mount, a copy of the example that is served there."""
    with ExitStack() as stack:
        found = {}
        for mount in ("/", "/app"):
            directory = tmp_path_factory.mktemp("example") / "app_example"
            ignored = shutil.ignore_patterns("*.sqlite3*", "__pycache__")
            shutil.copytree(ROOT / "app_example", directory, ignore=ignored)
            served = stack.enter_context(serve(directory, "app:main", "--root-path", mount.rstrip("/"), *BATCH))
            found[mount] = directory, served
        yield found
        for _, served in found.values():
            served.stop()
            print(served.output)


@pytest.fixture(params=DOORS, ids=title)
def example(
    request: pytest.FixtureRequest, served_below: dict[str, tuple[Path, Served]]
) -> Iterator[Example]:
    """The example behind each web server and at each mount; its code is the same for each test."""
    site: Site = request.param
    directory, served = served_below[site.mount]
    mount = site.mount.rstrip("/")
    with open_site(served, site) as address:
        with restored(directory):
            yield Example(directory, served, address, mount)
        with Visitor(address, most=3) as visitor:   # one for each file that was edited
            assert "<h1>Guest book</h1>" in visitor.ask(f"{mount}/").text


def sign(example: Example, visitor: Visitor, name: str) -> Reply:
    """Fill in the form."""
    body = urlencode({"name": name, "message": f"{name} was here"}).encode()
    return visitor.ask(f"{example.mount}/sign", "POST", body, FORM)


def books(example: Example) -> int:
    """How many connections to the book are open."""
    number: int = ask(str(example.served.control), {"command": "status", "resources": True})["open"]
    return number


def generation(example: Example) -> int:
    """Which import of the application is serving."""
    number: int = ask(str(example.served.control), {"command": "status"})["generation"]
    return number


def test_the_book_is_signed_and_edited_while_it_runs(example: Example) -> None:
    """Signing leads back right below the mount, the entry is shown, and an edit of each file shows at once."""
    with Visitor(example.address) as visitor:
        reply = sign(example, visitor, "Ada")
        assert (reply.status, reply.header("location")) == (303, f"{example.mount}/")
        page = visitor.ask(f"{example.mount}/").text
        assert "<h1>Guest book</h1>" in page
        assert "Ada was here" in page
        assert f'action="{example.mount}/sign"' in page

        _change(example.directory / "app.py", '"Guest book"', '"Visitors"')
        assert "<h1>Visitors</h1>" in visitor.ask(f"{example.mount}/").text
        _change(example.directory / "page.html", "All entries as CSV", "Take them home")
        assert ">Take them home</a>" in visitor.ask(f"{example.mount}/").text
        _change(example.directory / "guestbook.py", "ORDER BY id DESC", "WHERE name != 'Ada' ORDER BY id DESC")
        assert "Ada was here" not in visitor.ask(f"{example.mount}/").text
        assert "Ada was here" in visitor.ask(f"{example.mount}/export.csv").text


@pytest.mark.parametrize("example", [BELOW, Direct()], ids=title, indirect=True)
def test_signing_is_no_save(example: Example) -> None:
    """The book beside the code is written by the application itself: twenty entries later the same import serves."""
    with Visitor(example.address, most=0) as visitor:
        until_settled(example.served)
        before = generation(example)
        for number in range(20):
            assert sign(example, visitor, f"Visitor {number}").status == 303
            assert f"Visitor {number} was here" in visitor.ask(f"{example.mount}/").text
        assert generation(example) == before
    assert list(example.directory.glob("guestbook.sqlite3*"))


def test_a_program_asks_many_things_at_once(example: Example) -> None:
    """Through the gateway before the endpoint, wherever it is mounted."""
    calls = [
        {"jsonrpc": "2.0", "method": "sign", "params": ["Ada", "hello"], "id": 1},
        {"jsonrpc": "2.0", "method": "latest", "params": [1000], "id": 2},
        {"jsonrpc": "2.0", "method": "burn", "id": 3},
    ]
    headers = {"Content-Type": "application/json"}
    with Visitor(example.address) as visitor:
        reply = visitor.ask(f"{example.mount}/jsonrpc/batch", "POST", json.dumps(calls).encode(), headers)
    signed, latest, burnt = json.loads(reply.body)
    assert (signed["result"], type(latest["result"]), burnt["error"]["code"]) == (True, list, -32601)


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    (replace if file.suffix == ".html" else edit)(file, text.replace(before, after))


def test_waiting_for_the_next_entry(example: Example) -> None:
    """Nobody is occupied by it: as many as like wait, while others read and sign."""
    with ThreadPoolExecutor(8) as pool, Visitor(example.address) as visitor:
        waiting = [pool.submit(fetch, example.address, f"{example.mount}/next") for _ in range(8)]
        until("all of them wait", lambda: books(example) == 8)

        def told() -> bool:
            assert sign(example, visitor, "Zoe").status == 303
            return all(done.done() for done in waiting)

        until("all are told", told)
        assert {done.result().text for done in waiting} == {"Zoe: Zoe was here\n"}
    until("all is closed", lambda: not books(example))
