"""What a person sees: the example in a real browser, signed, edited, reloaded; and another one looking on."""

import os
import shutil
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import Runner
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


def test_a_visitor_signs_and_an_edit_shows_on_reload(runner: Runner, directory: Path) -> None:
    """Sign the guest book, change its title in the editor, press F5: the new title, and the entry still there."""
    host, port = runner(directory, "app:main").http
    with open_page() as page:
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


def test_an_open_page_shows_what_others_sign(runner: Runner, directory: Path) -> None:
    """Without being reloaded, while the code is edited; and after a restart, for which nobody presses a key either."""
    address = ("127.0.0.1", free_port())
    options = ("app:main", *LIVE, "--http", f"{address[0]}:{address[1]}")
    served = runner(directory, *options)
    with open_page() as visitor, open_page() as onlooker:
        for page in (visitor, onlooker):
            page.go(f"http://{address[0]}:{address[1]}/")
        onlooker.evaluate("window.untouched = true")
        visitor.click(SIGN)
        until("the entry is shown", lambda: shows(onlooker, "Hello from a browser"), live=served)
        for number, (before, after) in enumerate([("Guest book", "Visitors"), ("Visitors", "Guests")]):
            change_title(directory, before, after)
            sign(address, f"After edit {number}")
            until("the next one, too", partial(shows, onlooker, f"After edit {number}"), live=served)
        assert onlooker.evaluate("window.untouched && document.title") == "Guest book"
        assert onlooker.evaluate("document.querySelectorAll('li').length") == 3

        assert served.stop() == 0
        served = runner(directory, *options)
        sign(address, "After the restart")
        until("and that one", lambda: shows(onlooker, "After the restart"), live=served)
        assert onlooker.evaluate("document.querySelectorAll('li').length") == 4


def test_who_comes_back_to_a_page_finds_it_up_to_date(runner: Runner, directory: Path) -> None:
    """With the browser's "back", which shows a page as it was left."""
    served = runner(directory, "app:main", *LIVE)
    with open_page() as page:
        page.go(f"http://{served.http[0]}:{served.http[1]}/")
        page.evaluate("window.same = true")
        page.go("about:blank")
        sign(served.http, "Meanwhile")
        page.evaluate("history.back()")
        until("it is shown", lambda: shows(page, "Meanwhile"), live=served)
        sign(served.http, "Afterwards")
        until("it listens again", lambda: shows(page, "Afterwards"), live=served)
        assert page.evaluate("document.querySelectorAll('li').length") == 2
        assert page.evaluate("window.same") is True
