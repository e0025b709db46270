"""What is said when it is up, where standard error is no terminal; the terminal's four lines are a live test."""

from types import SimpleNamespace
from typing import cast

import pytest

from runner.log import Log
from runner.settings import resolve
from runner.supervisor import banner as module
from runner.supervisor.banner import Banner
from runner.supervisor.report import Ledger

ADDRESSES = ["http://127.0.0.1:8000/", "unix:/run/shop.sock (fastcgi)"]


def said(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, kind: str = "WSGI", **flags: str) -> list[str]:
    """The lines."""
    lines: list[str] = []
    stderr = SimpleNamespace(isatty=lambda: terminal, write=lambda text: lines.extend(text.split("\n")))
    monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=stderr))
    settings = resolve({"target": "shop:app", **flags}, {}, "/").settings
    ledger = Ledger(settings, ADDRESSES)
    ledger.kind, ledger.files = kind, 12
    log = cast(Log, SimpleNamespace(info=lines.append))
    banner = Banner(settings, ADDRESSES, log)
    banner.say(ledger, 163.4)
    assert banner.said
    return [line for line in lines if line]


def test_in_a_log_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all addresses."""
    assert said(monkeypatch, terminal=False) == [f"ready in 163 ms: shop:app (WSGI) on {', '.join(ADDRESSES)}"]


def test_broken_code_is_not_called_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is up, and says that the import failed."""
    assert "shop:app (failed to import)" in said(monkeypatch, terminal=False, kind="")[0]


@pytest.mark.parametrize(("reload", "words"), [
    ("eager", "edits are live at the next request (12 files known)"),
    ("request", "edits are noticed at the next request (12 files known)"),
    ("off", "edits are not looked for (--reload off)"),
])
def test_it_says_what_an_edit_does(monkeypatch: pytest.MonkeyPatch, reload: str, words: str) -> None:
    """In the last of four lines."""
    lines = said(monkeypatch, terminal=True, reload=reload, workers="1", threads="4")
    assert len(lines) == 4 and lines[3] == f"  → {words}"
    assert lines[2].startswith("  → 1 worker x 4 threads, process ")
