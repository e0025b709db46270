"""One line a request: forged by nobody, torn by nothing, lost only with a word about it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.log import Log
from runner.request import Request
from runner.settings import resolve
from runner.worker.access_log import AccessLog
from tests.support.memory import open_files

VARIABLES = {
    "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/x y", "REQUEST_URI": "/x%20y?q=1",
    "REMOTE_ADDR": "10.0.0.7", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_USER_AGENT": "agent", "HTTP_REFERER": "from",
}
QUOTED = r'"((?:[^"\\]|\\.)*)"'
LINE = re.compile(rf"(\S+) - (\S+) \[([^\]]+)\] {QUOTED} (\d+) (\d+) {QUOTED} {QUOTED} (\d+\.\d+)")
"""The combined format with the seconds at its end, as a strict reader sees it."""


class Told(Log):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__("worker 0")
        self.lines: list[str] = []

    def once_a_minute(self, kind: str, message: str) -> None:
        """As Log.once_a_minute, without a clock."""
        self.lines.append(message)


def opened(path: Path | str, log: Log | None = None, **flags: Any) -> AccessLog:
    """An access log at *path*."""
    settings = resolve({"access_log": str(path), **flags}, {}, "/").settings
    return AccessLog(settings, 3, log or Told())


def request(**variables: str) -> Request:
    """A request with these variables instead of the usual ones."""
    return Request(VARIABLES | variables, "http", 0.0)


def test_a_line_has_the_usual_fields(tmp_path: Path) -> None:
    """Client, user, time, first line, status, bytes, referer, agent, seconds."""
    opened(tmp_path / "log").write(request(REMOTE_USER="ann"), 404, 17, 1)
    found = LINE.fullmatch((tmp_path / "log").read_text().rstrip("\n"))
    assert found is not None
    assert found.group(1, 2, 4) == ("10.0.0.7", "ann", "GET /x%20y?q=1 HTTP/1.1")
    assert found.group(5, 6, 7, 8) == ("404", "17", "from", "agent")


def test_json_has_names(tmp_path: Path) -> None:
    """And types."""
    opened(tmp_path / "log", log_format="json").write(request(), 200, 5, 1)
    line = json.loads((tmp_path / "log").read_text())
    assert (line["target"], line["status"], line["bytes"]) == ("/x%20y?q=1", 200, 5)
    assert (line["worker"], line["generation"]) == (1, 3)


EVIL = st.text(max_size=60) | st.sampled_from([
    'a" 200 5 "b', '\\', '\\"', 'a\\" 500 1 "x" "y', "\r\nforged", "\x1b[31m", "\x00", "\u202e", "\x85", '"', "[x]",
    "a b",
])


@given(method=EVIL, uri=EVIL, user=EVIL, agent=EVIL, referer=EVIL, client=EVIL)
def test_nothing_a_client_sends_makes_a_field(
    tmp_path_factory: pytest.TempPathFactory, method: str, uri: str, user: str, agent: str, referer: str, client: str
) -> None:
    """One line, and a strict reader finds the true status in it, in both formats."""
    folder = tmp_path_factory.mktemp("log")
    forged = request(REQUEST_METHOD=method, REQUEST_URI=uri or "/", REMOTE_USER=user, HTTP_USER_AGENT=agent,
                     HTTP_REFERER=referer, REMOTE_ADDR=client)
    opened(folder / "text").write(forged, 299, 31, 0)
    opened(folder / "json", log_format="json").write(forged, 299, 31, 0)
    data = (folder / "text").read_bytes()
    assert data.count(b"\n") == 1 and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)
    found = LINE.fullmatch(data.decode().rstrip("\n"))
    assert found is not None and found.group(5, 6) == ("299", "31"), data
    assert json.loads((folder / "json").read_bytes())["status"] == 299


def test_a_moved_file_is_left_alone_after_reopening(tmp_path: Path) -> None:
    """Until then lines follow it; none is lost."""
    log = opened(tmp_path / "log")
    log.write(request(), 200, 1, 0)
    (tmp_path / "log").rename(tmp_path / "old")
    log.write(request(), 200, 2, 0)
    before = open_files()
    log.reopen()
    assert open_files() == before
    log.write(request(), 200, 3, 0)
    assert len((tmp_path / "old").read_text().splitlines()) == 2
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_a_path_that_cannot_be_opened_again_keeps_the_old_file(tmp_path: Path) -> None:
    """Lines go where they went, and the log says why."""
    told = Told()
    (tmp_path / "folder").mkdir()
    log = opened(tmp_path / "folder" / "log", told)
    (tmp_path / "folder").rename(tmp_path / "moved")
    log.reopen()
    log.write(request(), 200, 1, 0)
    assert len((tmp_path / "moved" / "log").read_text().splitlines()) == 1
    assert "No such file or directory" in told.lines[0]


def test_a_full_disk_costs_lines_and_says_so() -> None:
    """The request is not concerned."""
    told = Told()
    log = opened("/dev/full", told)
    for _ in range(3):
        log.write(request(), 200, 1, 0)
    assert log.lost == 3
    assert told.lines[-1] == "--access-log /dev/full: No space left on device; 3 lines lost so far"


def test_after_a_torn_line_the_next_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills in the middle of a line cuts that one only."""
    told, write = Told(), os.write
    log = opened(tmp_path / "log", told)
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
    log.write(request(), 200, 1, 0)
    monkeypatch.undo()
    log.write(request(), 201, 1, 0)
    torn, whole = (tmp_path / "log").read_text().splitlines()
    assert len(torn) == 20 and LINE.fullmatch(whole)
    assert log.lost == 1 and "no room for a whole line" in told.lines[0]


def test_without_a_path_nothing_is_opened() -> None:
    """And whoever asks first is told that nothing is wanted."""
    assert not AccessLog(resolve({}, {}, "/").settings, 1, Told()).wanted


def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    """Mode 0640: addresses are personal."""
    before = os.umask(0)
    try:
        opened(tmp_path / "log")
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o640


def test_closed_it_leaves_nothing_open(tmp_path: Path) -> None:
    """The process may have others to fork."""
    before = open_files()
    log = opened(tmp_path / "log")
    assert open_files() == before + 1
    log.close()
    log.close()
    assert open_files() == before
