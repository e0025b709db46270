"""What a person sees: the example in a real browser, signed, edited, reloaded."""

import os
import shutil
from pathlib import Path

from tests.conftest import Runner
from tests.support.chromium import open_page
from tests.support.project import edit
from tests.support.runner_process import ROOT

SIGN = """
    document.querySelector("[name=name]").value = "Ada";
    document.querySelector("[name=message]").value = "Hello from a browser";
    document.querySelector("form button").click()
"""


def test_a_visitor_signs_and_an_edit_shows_on_reload(runner: Runner, tmp_path: Path) -> None:
    """Sign the guest book, change its title in the editor, press F5: the new title, and the entry still there."""
    directory = tmp_path / "app_example"
    shutil.copytree(ROOT / "app_example", directory, ignore=shutil.ignore_patterns("*.sqlite3*", "__pycache__"))
    host, port = runner(directory, "app:main").http
    with open_page() as page:
        page.go(f"http://{host}:{port}/")
        assert page.evaluate("document.title") == "Guest book"
        page.click(SIGN)
        assert page.evaluate("location.pathname") == "/"
        assert "Hello from a browser" in page.evaluate("document.querySelector('ul').innerText")

        file = directory / "app.py"
        edit(file, file.read_text(encoding="utf-8").replace('"Guest book"', '"Visitors"'))
        page.reload()
        assert page.evaluate("document.querySelector('h1').innerText") == "Visitors"
        assert "Hello from a browser" in page.evaluate("document.querySelector('ul').innerText")
        if picture := os.environ.get("SCREENSHOT"):
            page.photograph(Path(picture))
