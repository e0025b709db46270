"""Figures as Markdown that can be put into the README, with the machine they were measured on.

Law: what is printed names no path and no user of the machine. Start at table.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support import web_server

_DEBIANS = "/usr/bin/python3"
_LOOP = """
import timeit
def loop():
    found = {}
    for number in range(50):
        found["k%d" % number] = b"abcdefghij"[2:5].decode("latin-1").upper()
    return "".join(found)
print(min(timeit.repeat(loop, number=2000, repeat=5)))
"""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a heading and a table; the first column is text, the others are figures."""
    rule = ["---", *("---:" for _ in columns[1:])]
    return "\n".join([f"### {title}", "", *(f"| {' | '.join(row)} |" for row in (columns, rule, *rows)), ""])


def met(goal: bool) -> str:
    """How a table says whether a goal is met."""
    return "yes" if goal else "**no**"


def machine() -> str:
    """Return one line: cores, processor, kernel, versions."""
    return "; ".join(
        [
            f"{os.cpu_count()} cores, {_processor()}", f"Linux {platform.release()}",
            f"Python {platform.python_version()}{_pace()}", f"nginx {_nginx()}", *_uwsgi(),
        ]
    )  # fmt: skip


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="ascii"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _nginx() -> str:
    return _said(web_server.program("nginx", "nginx"), "-v").rpartition("/")[2]


def _uwsgi() -> list[str]:
    """Debian's uWSGI brings Debian's Python; a comparison has to say so."""
    if not shutil.which("uwsgi"):
        return []
    python = _said("uwsgi", "--plugins", "python3", "--python-version").splitlines()[-1]
    return [f"uWSGI {_said('uwsgi', '--version')} with Python {python}"]


def _pace() -> str:
    """How this interpreter compares with Debian's, which uWSGI embeds; one built without optimisation is far slower."""
    if not shutil.which("uwsgi") or not os.access(_DEBIANS, os.X_OK):
        return ""
    ours, theirs = (min(float(_said(python, "-c", _LOOP)) for _ in range(3)) for python in (sys.executable, _DEBIANS))
    return f" (a fixed loop takes {ours / theirs:.1f} times as long as under Debian's)"


def _said(*command: str) -> str:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()
