"""What a person sees: the example in a real browser, signed, edited, reloaded; and another one looking on."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import Runner
from tests.support import nginx, redis
from tests.support.chromium import Page, open_page
from tests.support.client import fetch
from tests.support.places import Address, free_port
from tests.support.project import edit
from tests.support.runner_process import ROOT
from tests.support.trouble import until

SIGN = """
    document.querySelector("[name=name]").value = "Ada";
    document.querySelector("[name=message]").value = "Hello from a browser";
    document.querySelector("form button").click()
"""

LIVE = ("--mount", "/live=runner.channels:endpoint")


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """One tab of one browser."""
    with open_page() as page:
        yield page


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the example."""
    directory = tmp_path / "app_example"
    shutil.copytree(ROOT / "app_example", directory, ignore=shutil.ignore_patterns("*.sqlite3*", "__pycache__"))
    return directory


def shows(page: Page, text: str) -> bool:
    """Among the entries. A page that is just being loaded shows nothing."""
    try:
        return text in page.evaluate("document.querySelector('ul').innerText")
    except AssertionError:
        return False


def sign(address: Address, message: str) -> None:
    """As somebody else does, somewhere."""
    form = urlencode({"name": "Grace", "message": message}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert fetch(address, "/sign", method="POST", headers=kind, body=form).status == 303


def change_title(directory: Path, before: str, after: str) -> None:
    """In the editor."""
    file = directory / "app.py"
    edit(file, file.read_text(encoding="utf-8").replace(f'"{before}"', f'"{after}"'))


def test_a_visitor_signs_and_an_edit_shows_on_reload(runner: Runner, directory: Path, page: Page) -> None:
    """Sign the guest book, change its title in the editor, press F5: the new title, and the entry still there."""
    host, port = runner(directory, "app:main").http
    page.go(f"http://{host}:{port}/")
    assert page.evaluate("document.title") == "Guest book"
    page.click(SIGN)
    assert page.evaluate("location.pathname") == "/"
    assert "Hello from a browser" in page.evaluate("document.querySelector('ul').innerText")

    change_title(directory, "Guest book", "Visitors")
    page.reload()
    assert page.evaluate("document.querySelector('h1').innerText") == "Visitors"
    assert "Hello from a browser" in page.evaluate("document.querySelector('ul').innerText")
    if picture := os.environ.get("SCREENSHOT"):
        page.photograph(Path(picture))


def test_an_open_page_shows_what_others_sign(runner: Runner, directory: Path, sockets: Path, page: Page) -> None:
    """Without being reloaded, while the code is edited; and after a restart, for which nobody presses a key either.

    One page has a WebSocket; the other is behind a web server that lets none through, and uses server-sent events. The
    channels are kept in a Redis, which is killed in the end.
    """
    address, fastcgi = ("127.0.0.1", free_port()), sockets / "fastcgi"
    with ExitStack() as stack:
        store = stack.enter_context(redis.run("appendonly", "yes", "appendfsync", "always"))
        options = ("app:main", *LIVE, "--http", f"127.0.0.1:{address[1]}", "--fastcgi", f"unix:{fastcgi}",
                   "--socket-mode", "666", "--graceful-timeout", "1s", "--channels", store.url)  # fmt: skip
        served = runner(directory, *options)
        onlooker = stack.enter_context(closing(page.open_another()))
        server = stack.enter_context(nginx.nginx(fastcgi))
        page.go(f"http://{address[0]}:{address[1]}/")
        onlooker.go(f"http://{server.address[0]}:{server.address[1]}/")
        page.click(SIGN)
        for each in (page, onlooker):
            until("the entry is shown", partial(shows, each, "Hello from a browser"), live=served)
            each.evaluate("window.untouched = true")
        for number, (before, after) in enumerate([("Guest book", "Visitors"), ("Visitors", "Guests")]):
            change_title(directory, before, after)
            sign(address, f"After edit {number}")
            for each in (page, onlooker):
                until("the next one, too", partial(shows, each, f"After edit {number}"), live=served)
        for each in (page, onlooker):
            assert each.evaluate("window.untouched && document.title") == "Guest book"
            assert each.evaluate("document.querySelectorAll('li').length") == 3

        assert served.stop() == 0
        served = runner(directory, *options)
        sign(address, "After the restart")
        for each in (page, onlooker):
            until("and that one", partial(shows, each, "After the restart"), live=served)
            assert each.evaluate("document.querySelectorAll('li').length") == 4

        store.kill()
        store.start()
        sign(address, "After the Redis")
        for each in (page, onlooker):
            until("and the last one", partial(shows, each, "After the Redis"), live=served)
            assert each.evaluate("window.untouched && document.querySelectorAll('li').length") == 5


def test_who_comes_back_to_a_page_finds_it_up_to_date(runner: Runner, directory: Path, page: Page) -> None:
    """With the browser's "back", which shows a page as it was left."""
    served = runner(directory, "app:main", *LIVE)
    page.go(f"http://{served.http[0]}:{served.http[1]}/")
    page.evaluate("window.same = true")
    page.go("about:blank")
    sign(served.http, "Meanwhile")
    page.evaluate("setTimeout(() => history.back())")  # not at once, or the page may be gone before it has said so
    until("it is shown", lambda: shows(page, "Meanwhile"), live=served)
    sign(served.http, "Afterwards")
    until("it listens again", lambda: shows(page, "Afterwards"), live=served)
    assert page.evaluate("document.querySelectorAll('li').length") == 2
    assert page.evaluate("window.same") is True
