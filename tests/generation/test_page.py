"""What is shown while an import takes long."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from runner.generation import page
from runner.process import interpreter
from runner.process.messages import PAGE, Begin
from runner.settings import Settings, resolve


@pytest.fixture
def journal() -> Iterator[int]:
    """Of an import that is in the middle of shop.slow."""
    descriptor = os.memfd_create("journal")
    os.write(descriptor, b"[]\tshop\n[]\tshop.slow\n")
    yield descriptor
    os.close(descriptor)


def begin(settings: Settings, journal: int) -> Begin:
    """What a page is told; the import began 31 s ago."""
    return Begin(settings.to_json(), 2, PAGE, [], -1, journal, "", 0, time.monotonic() - 31.0)


def test_the_summary_says_how_long_and_where(journal: int) -> None:
    """The latter only if it is known and wanted."""
    told = begin(resolve({}, {}, "/").settings, journal)
    assert page.summary(told) == "the application is still being imported, since 31 s, now at module shop.slow"
    assert page.summary(told, whole=False) == "the application is still being imported, since 31 s"
    os.ftruncate(journal, 0)
    assert page.summary(told) == "the application is still being imported, since 31 s"


@pytest.mark.parametrize(("debug", "host", "named"), [
    (True, "localhost:8000", True), (True, "shop.example", False), (False, "localhost:8000", False),
])
def test_the_page_is_a_503(
    journal: int, monkeypatch: pytest.MonkeyPatch, debug: bool, host: str, named: bool
) -> None:
    """Ask again soon. The module's name is shown to whom a traceback would be."""
    monkeypatch.setattr(interpreter, "furnish", lambda settings: None)
    settings = resolve({"debug": debug}, {}, "/").settings
    target = page.load(settings, begin(settings, journal)).mounts[0].target
    started: list[Any] = []
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": host}
    text = b"".join(target.application(environ, lambda *given: started.extend(given))).decode()
    assert started[0] == "503 Service Unavailable"
    assert dict(started[1])["Retry-After"] == "5"
    assert text.startswith("the application is still being imported, since 31 s")
    assert ("shop.slow" in text) is named
