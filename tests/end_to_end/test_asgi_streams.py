"""What stays open: clients that leave, event streams, work behind the answer, and a loop that is blocked.

The wrong ways stand beside it: a handler that blocks the loop makes everybody wait.
"""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.asgi_stage import Stage, read_until
from tests.end_to_end.reloading import ask, value
from tests.support import apache, nginx
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.sites import Direct, Site, open_site, title
from tests.support.trouble import alive, ready_pids, report, until

FRONTS: list[Site] = [Direct(), nginx.Site(), nginx.Site(response_buffering=False)]
WSGI_EVENTS = """
import os, time

def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    return events()

def events():
    yield f"data: {time.monotonic()}\\n\\n".encode()
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    yield b"data: last\\n\\n"
"""


# ---- clients that leave ------------------------------------------------------------------------------------

@pytest.mark.parametrize("site", FRONTS, ids=title)
def test_an_idle_handler_is_told_that_its_client_has_left(stage: Stage, site: Site) -> None:
    """It would wait for ever; what it has open is closed, the access log says 499, the worker is free again."""
    served = stage.serve("--access-log", "-")
    with open_site(served, site) as address, Conversation(address) as leaving:
        leaving.request("GET", "/idle")
        stage.until("waits", served)
        leaving.close()
        left = time.monotonic()
        print(f"told after {1000 * (float(stage.until('told', served)) - left):.1f} ms")
        served.wait_for(r'"GET /idle HTTP/1\.[01]" 499')
    assert [note.split()[0] for note in stage.notes] == ["startup", "open", "waits", "told", "close"]
    until("nothing is under way", lambda: report(served)["workers"][0]["state"] == "ready", live=served)


@pytest.mark.parametrize("site", FRONTS[:2], ids=title)
def test_who_does_not_listen_is_cancelled_after_the_grace(stage: Stage, site: Site) -> None:
    """It would sleep for ten minutes."""
    served = stage.serve("--graceful-timeout", "1s", "--access-log", "-")
    with open_site(served, site) as address, Conversation(address) as leaving:
        leaving.request("GET", "/deaf")
        stage.until("waits", served)
        leaving.close()
        stage.until("close", served)
    assert stage.notes == ["startup 0", "open", "waits", "cancelled", "close"]
    assert "error" not in served.output.replace("errors", ""), "it has done nothing wrong"


@pytest.mark.parametrize("site", FRONTS[:2], ids=title)
def test_a_stream_is_told_that_its_client_has_left(stage: Stage, site: Site) -> None:
    """Between two of its parts."""
    served = stage.serve()
    with open_site(served, site) as address, Conversation(address) as leaving:
        leaving.request("GET", "/ticks")
        read_until(leaving.socket, b"tick")
        leaving.close()
        stage.until("close", served)
    assert [note.split()[0] for note in stage.notes] == ["startup", "open", "told", "close"]


@pytest.mark.parametrize("site", FRONTS[:2], ids=title)
def test_a_stream_without_an_end(stage: Stage, site: Site) -> None:
    """A client that does not read holds it back; when he has left it is cancelled. Others are answered all the time."""
    served = stage.serve("--graceful-timeout", "1s")
    with open_site(served, site) as address:
        with Conversation(address) as idle:
            idle.request("GET", "/flood")
            stage.until("sends", served)
            assert {fetch(served.http).text for _ in range(50)} == {"0"}
            taken = stage.notes.count("sends")
            assert {fetch(served.http).text for _ in range(50)} == {"0"}
            assert stage.notes.count("sends") < max(2 * taken, 1000), "it goes on producing for nobody"
        assert {fetch(served.http).text for _ in range(50)} == {"0"}
        stage.until("cancelled", served)
    stage.until("close", served)
    print(f"{64 * taken} KiB were sent to a client that does not read")


def test_a_head_request_ends_a_stream_without_an_end(stage: Stage) -> None:
    """Its answer is complete with its head; what goes on producing parts is cancelled, and stalls nobody until then."""
    served = stage.serve("--graceful-timeout", "1s")
    assert fetch(served.http, "/flood", method="HEAD").status == 200
    assert {fetch(served.http).text for _ in range(50)} == {"0"}
    stage.until("cancelled", served)
    assert stage.notes.count("close") == 1


def test_a_client_that_has_asked_for_more_is_missed_as_well(stage: Stage) -> None:
    """Its next request waits behind the idle one when it leaves; that one is nobody's then."""
    served = stage.serve()
    with Conversation(served.http) as leaving:
        leaving.request("GET", "/idle")
        leaving.request("GET", "/stream")
        stage.until("waits", served)
    stage.until("told", served)
    stage.until("close", served)
    until("nothing is under way", lambda: report(served)["workers"][0]["state"] == "ready", live=served)
    assert "streams" not in stage.notes


@pytest.mark.parametrize("flush", [True, False], ids=["flushpackets", "default"])
def test_apache_says_less(stage: Stage, flush: bool) -> None:
    """Of a client that leaves it tells us only when it fails to write to him: a stream is told, an idle handler never.

    That one goes on to its end; meanwhile others are answered.
    """
    served = stage.serve()
    with apache.apache(served.fastcgi, apache.Site(flush=flush)) as server:
        with Conversation(server.address) as leaving:
            leaving.request("GET", "/gate")
            stage.until("waits", served)
        if flush:
            with Conversation(server.address) as leaving:
                leaving.request("GET", "/ticks")
                read_until(leaving.socket, b"tick")
            stage.until("told", served)
        assert fetch(server.address).text == "0"
        assert report(served)["workers"][0]["state"] == "busy", "the one behind the gate has been told nothing"
        stage.gate.touch()
        until("it has ended", lambda: report(served)["workers"][0]["state"] == "ready", live=served)


# ---- event streams -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_an_event_arrives_while_the_stream_is_open(project: Project, runner: Runner, kind: str) -> None:
    """Through an nginx that buffers whatever it is not told to pass on."""
    stage = Stage(project, runner)
    if kind == "wsgi":
        (stage.place / "app.py").write_text(WSGI_EVENTS)
    served = stage.serve()
    with nginx.nginx(served.fastcgi) as server, Conversation(server.address) as reading:
        reading.request("GET", "/events")
        got = read_until(reading.socket, b"\n\n")
        while b"data: " not in got:
            got += read_until(reading.socket, b"\n\n")
        sent = float(got.partition(b"data: ")[2].split()[0])
        print(f"the first event took {1000 * (time.monotonic() - sent):.1f} ms")
        stage.gate.touch()


@pytest.mark.parametrize("site", FRONTS[:2], ids=title)
def test_the_head_arrives_before_the_first_event(stage: Stage, site: Site) -> None:
    """An empty part is the application's word that the answer begins: a browser then knows that the stream is open."""
    served = stage.serve()
    with open_site(served, site) as address, Conversation(address) as reading:
        reading.request("GET", "/headed")
        assert b"text/event-stream" in read_until(reading.socket, b"\r\n\r\n")
        stage.gate.touch()
        read_until(reading.socket, b"data: first")


# ---- reloads -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_neither_streams_nor_background_work_delay_a_reload(stage: Stage, mode: str) -> None:
    """The next request is answered by the new code while they go on; they end by the code that they began with."""
    served = stage.serve("--on-change", mode)
    with FastCGI(served.fastcgi) as streaming:
        streaming.ask(parameters("/stream"))
        stage.until("streams", served)
        assert fetch(served.http, "/background").text == "0"
        stage.until("waits", served)
        for version in range(1, 4):
            edit(stage.module, value(version))
            assert ask(served).text == str(version)
        stage.until("shutdown 1", served)
        assert "done" not in stage.notes
        assert "shutdown 0" not in stage.notes
        stage.gate.touch()
        assert streaming.reply().body == b"0 0 /stream"
    stage.until("shutdown 0", served)
    assert stage.notes.index("done") < stage.notes.index("shutdown 0")
    assert "cancelled" not in stage.notes


def test_background_work_has_the_graceful_timeout(stage: Stage) -> None:
    """Then it is cancelled, and the worker ends well: with its lifespan."""
    served = stage.serve("--graceful-timeout", "3s")
    assert fetch(served.http, "/background").text == "0"
    stage.until("waits", served)
    edit(stage.module, value(1))
    assert ask(served).text == "1"
    stage.until("shutdown 0", served)
    assert stage.notes.index("cancelled") < stage.notes.index("shutdown 0")


def test_at_the_end_of_the_service_everything_is_cancelled(stage: Stage) -> None:
    """Streams too; what they had open is closed, the lifespan is told, and nobody is killed."""
    served = stage.serve("--graceful-timeout", "3s")
    with Conversation(served.http) as streaming:
        streaming.request("GET", "/ticks")
        read_until(streaming.socket, b"tick")
        with Conversation(served.http) as sleeping:
            sleeping.request("GET", "/deaf")
            stage.until("waits", served)
            served.signal(signal.SIGTERM)
            assert sleeping.reply().status == 503
        rest = b""
        while data := streaming.socket.recv(65536):
            rest += data
    assert not rest.endswith(b"0\r\n\r\n"), "nobody must take it for a whole one"
    assert served.wait() == 0
    assert stage.notes.count("open") == stage.notes.count("close") == 2
    assert "shutdown 0" in stage.notes
    assert "killed" not in served.output


# ---- a loop that is blocked --------------------------------------------------------------------------------

def test_who_blocks_the_loop_is_named(stage: Stage) -> None:
    """Once, with the place in the code; the others of this worker wait meanwhile, which is the wrong way shown."""
    served = stage.serve()
    with ThreadPoolExecutor(2) as pool:
        blocked = pool.submit(fetch, served.http, "/block?secret")
        stage.until("waits", served)
        waiting = pool.submit(fetch, served.http)
        served.wait_for(r"blocked: GET /block has kept the event loop for .* and is at .*app\.py:\d+ in block")
        assert not waiting.done()
        stage.gate.touch()
        assert (blocked.result().text, waiting.result().text) == ("blocked", "0")
    assert served.output.count("blocked: ") == 1
    assert "secret" not in served.output


def test_a_loop_that_hangs_is_ended_with_its_worker(stage: Stage) -> None:
    """By --timeout, with the stacks in the log; the other worker goes on, and there are two again."""
    served = stage.serve("--workers", "2", "--timeout", "500ms")
    before = set(ready_pids(served).values())
    with Conversation(served.http) as hanging:
        hanging.request("GET", "/block")
        stage.until("waits", served)
        served.wait_for("longer than --timeout 0.5s")
        assert hanging.ended()
    served.wait_for(r"app\.py.* in block")
    until("there are two again", lambda: len(set(ready_pids(served).values()) & alive(before)) == 1
          and len(ready_pids(served)) == 2, live=served)  # fmt: skip
    assert {fetch(served.http).text for _ in range(10)} == {"0"}


def test_awaiting_is_no_hanging(stage: Stage) -> None:
    """--timeout is one step without yielding, never the length of an answer."""
    served = stage.serve("--timeout", "1s")
    pid = ready_pids(served)
    with FastCGI(served.fastcgi) as waiting:
        waiting.ask(parameters("/gate"))
        stage.until("waits", served)
        began = time.monotonic()
        until("three times as long has passed", lambda: time.monotonic() - began > 3)
        stage.gate.touch()
        assert waiting.reply().body == b"0 "
    assert ready_pids(served) == pid
    assert os.path.exists(f"/proc/{pid[0]}")
