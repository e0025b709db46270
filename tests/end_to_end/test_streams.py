"""Answers that go on for long while the code is edited: a reload waits for none, and cuts none for that it takes long.

The application sends events until a file is there; each names the code that sends it.
"""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.edited import Edited
from tests.support import nginx
from tests.support.client import Conversation, Truncated, fetch
from tests.support.places import Address
from tests.support.runner_process import Served
from tests.support.trouble import report, until

APP = """
    import asyncio, os, time
    from runner.streaming import delayed
    import module

    HEADERS = [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")]
    GATE = os.environ["GATE"]
    EVENT = b"data: %d\\n\\n" % module.VALUE
    kept = set()

    def main(environ, start_response):
        match environ["PATH_INFO"]:
            case "/stream":
                start_response("200 OK", HEADERS)
                return stream()
            case "/later":
                return delayed(lambda respond: kept.add(asyncio.get_running_loop().create_task(later(respond))))
            case "/never":
                return delayed(lambda respond: open(GATE + ".called", "w").close())
        start_response("200 OK", HEADERS[:1])
        return [b"%d" % module.VALUE]

    def stream():
        while not os.path.exists(GATE):
            yield EVENT
            time.sleep(0.01)
        yield b"over"

    async def later(respond):
        writer = respond("200 OK", HEADERS)
        while not (os.path.exists(GATE) or writer.closed):
            writer.write(EVENT)
            await asyncio.sleep(0.01)
        writer.write(b"over")
        writer.close()

    async def live(scope, receive, send):
        assert scope["type"] == "http"
        headers = [tuple(text.encode() for text in header) for header in HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["path"] == "/":
            await send({"type": "http.response.body", "body": b"%d" % module.VALUE})
            return
        while not os.path.exists(GATE):
            await send({"type": "http.response.body", "body": EVENT, "more_body": True})
            await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"over"})
        # Background work is ended at a reload, and keeps no stream of others, nor the reload, from anything.
        await asyncio.sleep(600)
"""
FILES = {"app.py": APP, "module.py": "VALUE = 0\n"}
KINDS = {
    "inline": ("/stream", ("app:main",)),
    "threads": ("/stream", ("app:main", "--threads", "2")),
    "delayed": ("/later", ("app:main",)),
    "asgi": ("/stream", ("app:live",)),
}
GRACE = 2.0
"""Seconds of --graceful-timeout."""
kinds = pytest.mark.parametrize("kind", KINDS)


class Stream(Conversation):
    """A long answer; *data*: what has come of it."""

    def __init__(self, address: Address, path: str) -> None:
        super().__init__(address)
        self.request("GET", path, {"Connection": "close"})
        self.data = b""
        self.more()

    def more(self, events: int = 3) -> None:
        """So many further events at least have come."""
        wanted = self.data.count(b"data:") + events
        while self.data.count(b"data:") < wanted:
            new = self.socket.recv(65536)
            assert new, f"it has ended: {self.data[-80:]!r}"
            self.data += new

    def rest(self) -> None:
        """Read to the end. Raises Truncated if it looks cut; one that does not was sent to its end."""
        while new := self.socket.recv(65536):
            self.data += new
        if not self.data.endswith(b"\r\n0\r\n\r\n"):
            raise Truncated(f"it ends with {self.data[-80:]!r}")
        assert b"over" in self.data, "a part was taken for the whole"


class Theatre(Edited):
    """A run with one worker, and who edits its code."""

    def __init__(self, project: Project, runner: Runner, kind: str, tmp_path: Path, *options: str) -> None:
        self.path, command = KINDS[kind]
        self.place = project(FILES)
        self.gate = tmp_path / "gate"
        self.served: Served = runner(
            self.place, *command, "--workers", "1", "--graceful-timeout", f"{GRACE:g}s", *options,
            env={"GATE": str(self.gate)},
        )  # fmt: skip

    def until_over_time(self) -> None:
        """Until everybody who leaves does so for longer than --graceful-timeout, and by far."""

        def late() -> bool:
            told = report(self.served)
            since = [told["uptime"] - each["since"] for each in told["finishing"]]
            return bool(since) and min(since) > GRACE + 1

        until("the grace is over", late, live=self.served)

    def check_nobody_was_killed(self) -> None:
        """Nor has anybody crashed."""
        counters = report(self.served)["counters"]
        assert (counters["kills"], counters["crashes"]) == (0, 0), self.served.output


@kinds
def test_a_stream_outlives_the_grace_of_a_reload(
    project: Project, runner: Runner, tmp_path: Path, kind: str
) -> None:
    """It is listed, goes on by the code that began it, and ends whole; then its generation is gone."""
    theatre = Theatre(project, runner, kind, tmp_path)
    with Stream(theatre.served.http, theatre.path) as stream:
        theatre.edit(1)
        until("it is listed", lambda: theatre.finishing() == {1: (1, 1)}, live=theatre.served)
        theatre.until_over_time()
        assert fetch(theatre.served.http).text == "1"
        stream.more()
        theatre.gate.touch()
        stream.rest()
        assert b"data: 1" not in stream.data
    until("nobody finishes anything", lambda: theatre.finishing() == {}, live=theatre.served)
    theatre.check_nobody_was_killed()


@kinds
def test_of_too_many_generations_the_oldest_is_cut(
    project: Project, runner: Runner, tmp_path: Path, kind: str
) -> None:
    """Visibly, behind nginx too; four others go on, and end whole."""
    theatre = Theatre(project, runner, kind, tmp_path)
    with nginx.nginx(theatre.served.fastcgi) as site, ExitStack() as opened:
        streams = []
        for number in range(5):
            streams.append(opened.enter_context(Stream(site.address, theatre.path)))
            theatre.edit(number + 1)
        with pytest.raises(Truncated):
            streams[0].rest()
        until("four are listed", lambda: [*theatre.finishing().values()] == [(1, 1)] * 4, live=theatre.served)
        assert 1 not in theatre.finishing()
        theatre.until_over_time()
        for stream in streams[1:]:
            stream.more()
        theatre.gate.touch()
        for number, stream in enumerate(streams[1:], 1):
            stream.rest()
            assert {event.split()[0] for event in stream.data.split(b"data: ")[1:]} == {b"%d" % number}
    assert "and were cut: 1; 4 younger generations" in theatre.served.output
    theatre.check_nobody_was_killed()


@kinds
def test_a_stop_does_not_wait_for_streams(project: Project, runner: Runner, tmp_path: Path, kind: str) -> None:
    """They have the grace that all have, those of older generations too, and then are cut visibly, behind nginx too."""
    theatre = Theatre(project, runner, kind, tmp_path)
    with nginx.nginx(theatre.served.fastcgi) as site, Stream(site.address, theatre.path) as older:
        theatre.edit(1)
        with Stream(site.address, theatre.path) as newer:
            theatre.until_over_time()
            assert theatre.served.stop() == 0
            assert f"stopping; requests under way: 2, which have up to {GRACE:g} s" in theatre.served.output
            for stream in (older, newer):
                with pytest.raises(Truncated):
                    stream.rest()
    assert "is killed" not in theatre.served.output
    assert theatre.served.output.count("and were cut: 1; it is still busy") == 2


def test_beside_a_call_a_stream_has_no_more_time(project: Project, runner: Runner, tmp_path: Path) -> None:
    """Who has not begun his answer is given the grace; the stream of that worker then looks cut, behind nginx too."""
    theatre = Theatre(project, runner, "delayed", tmp_path)
    with nginx.nginx(theatre.served.fastcgi) as site, Stream(site.address, theatre.path) as stream:
        with Conversation(site.address) as call:
            call.request("GET", "/never")
            until("it has been called", (tmp_path / "gate.called").exists, live=theatre.served)
            theatre.edit(1)
            with pytest.raises(Truncated):
                stream.rest()
            assert call.reply().status == 502
    assert report(theatre.served)["counters"]["kills"] == 1


def test_a_stream_outlives_the_recycling_of_its_worker(project: Project, runner: Runner, tmp_path: Path) -> None:
    """--max-requests is as a reload."""
    theatre = Theatre(project, runner, "delayed", tmp_path, "--max-requests", "2")
    with Stream(theatre.served.http, theatre.path) as stream:
        for _ in range(2):
            assert fetch(theatre.served.http).text == "0"
        until("it has a successor", lambda: len(report(theatre.served)["workers"]) == 2, live=theatre.served)
        retired = report(theatre.served)["uptime"]
        until("the grace is over", lambda: report(theatre.served)["uptime"] > retired + GRACE + 1, live=theatre.served)
        stream.more()
        theatre.gate.touch()
        stream.rest()
    theatre.check_nobody_was_killed()
