"""What processes are called in `ps`."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner.process.titles import set_title

ASK = "from runner.process.titles import set_title; set_title('worker 1 generation 4', 'app:main');"
SHOW = "print(open('/proc/self/cmdline', 'rb').read().split(b'\\0')[0].decode())"


def test_a_process_says_what_it_is() -> None:
    """With the extra installed, `ps` shows role and target."""
    shown = subprocess.run([sys.executable, "-c", ASK + SHOW], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("runner: worker 1 generation 4 [app:main]")


def test_without_the_extra_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """setproctitle is not required: where it cannot be imported the name stays."""
    monkeypatch.setitem(sys.modules, "setproctitle", None)
    before = Path("/proc/self/cmdline").read_bytes()
    set_title("worker 1", "app:main")
    assert Path("/proc/self/cmdline").read_bytes() == before
