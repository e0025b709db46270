"""One message to a thousand subscribers, beside uvicorn that does it in a loop; and a thousand who come back.

Goals: at least as many deliveries a second as uvicorn with `websockets`, which sends in one loop in one process; after
a restart of everything 95 % of a thousand clients are back within 20 s, never more than 200 in a second.
Start at run.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import report
from tests.benchmarks.ears import Ears
from tests.benchmarks.load import Pace
from tests.benchmarks.peers import WORKERS
from tests.support.frames import CLOSE, TEXT, Reader, frame, handshake
from tests.support.places import short_directory, wait_until_listening
from tests.support.process import Live
from tests.support.runner_process import READY, environment
from tests.support.trouble import descendants

SUBSCRIBERS = 1000
MESSAGES = 20
"""In a round, one after the other: each when everybody has had the one before."""
TEXT_SENT = "x" * 100
OURS = """
from runner.channels import Endpoint
live = Endpoint(may_publish=lambda scope, channel: True)
"""
THEIRS = """
import json
sockets = set()

async def live(scope, receive, send):
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    sockets.add(send)
    while (event := await receive())["type"] == "websocket.receive":
        message = json.loads(event["text"])
        if "publish" in message:
            text = json.dumps({"channel": message["publish"], "data": message["data"]})
            for each in list(sockets):
                await each({"type": "websocket.send", "text": text})
    sockets.discard(send)
"""
BACK, LEAST, MOST = 0.95, 0.2, 15.0
"""How many are to be back; seconds between which the clients wait, as client.js does."""
TOGETHER = 50
"""Clients that connect at the same time, at first."""


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the tables. *directory* is empty and stays the caller's."""
    return "\n".join([_fan_out(directory, pace), _restart(directory)])


def _runner(socket: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "runner", "serve", "app:live", "--workers", WORKERS),
        *("--http", f"unix:{socket}", "--control", f"{socket}.control"),
    ]


def _uvicorn(socket: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "--workers", "1", "--loop", "uvloop", "--ws", "websockets"),
        *("--no-access-log", "--log-level", "error", "--uds", str(socket), "app:live"),
    ]


def _fan_out(directory: Path, pace: Pace) -> str:
    wholes: dict[str, list[float]] = {}
    tails: dict[str, list[float]] = {}
    with ExitStack() as stack:
        sockets = stack.enter_context(short_directory())
        ears: dict[str, Ears] = {}
        for name, text, command in (("runner", OURS, _runner), ("uvicorn", THEIRS, _uvicorn)):
            folder = directory / name
            folder.mkdir()
            (folder / "app.py").write_text(text)
            live = stack.enter_context(Live(command(sockets / name), cwd=folder, env=environment()))
            if name == "runner":
                live.wait_for(READY, 60)
            wait_until_listening(sockets / name, live)
            hello = json.dumps({"subscribe": "public.room"}) if name == "runner" else ""
            ears[name] = stack.enter_context(Ears(sockets / name, "/", SUBSCRIBERS, hello, answers=bool(hello)))
        for number in range(pace.rounds * MESSAGES):
            for name, each in ears.items():
                said = {"publish": "public.room", "data": TEXT_SENT, "id": f"bench-{number}"}
                began = time.monotonic()
                each.say(json.dumps(said))
                moments = [moment - began for moment in each.hear()]
                wholes.setdefault(name, []).append(moments[-1])
                tails.setdefault(name, []).append(moments[int(len(moments) * 0.99) - 1])
    rows = []
    theirs = statistics.median(wholes["uvicorn"])
    for name, title in (("runner", f"runner, {WORKERS} workers"), ("uvicorn", "uvicorn and websockets, one process")):
        whole = statistics.median(wholes[name])
        goal = report.met(theirs >= whole) if name == "runner" else ""
        tail = statistics.median(tails[name])
        rates = f"{SUBSCRIBERS / whole:,.0f}", f"{theirs / whole:.2f}"
        rows.append((title, f"{whole * 1000:.1f} ms", f"{tail * 1000:.1f} ms", *rates, goal))
    columns = ("one message", "all have it", "99 % have it", "deliveries a second", "x uvicorn", ">= 1.0")
    return report.table(f"One message to {SUBSCRIBERS:,} subscribers of a channel", columns, rows)


def _restart(directory: Path) -> str:
    rows = [_row(directory / "runner", "stopped and started", kill=False), _row(directory / "runner", "killed (-9) and "
                                                                               "started", kill=True)]  # fmt: skip
    columns = ("a restart of everything", "95 % are back after", "most in a second", "<= 20 s", "<= 200")
    return report.table(f"{SUBSCRIBERS:,} clients", columns, rows)


def _row(folder: Path, title: str, *, kill: bool) -> tuple[str, ...]:
    with short_directory() as sockets:
        back, most = asyncio.run(_come_back(folder, sockets / "http", kill=kill))
    return title, f"{back:.1f} s", str(most), report.met(back <= 20), report.met(most <= 200)


async def _come_back(folder: Path, place: Path, *, kill: bool) -> tuple[float, int]:
    """Seconds until enough of them are subscribed again, and the most connects in any second."""
    moments: list[float] = []
    missing: set[int] = set()
    live = Live(_runner(place), cwd=folder, env=environment())
    live.wait_for(READY, 60)
    everybody: list[asyncio.Task[None]] = []
    try:
        while missing or len(moments) < SUBSCRIBERS:
            if len(missing) < TOGETHER and len(everybody) < SUBSCRIBERS:
                everybody.append(asyncio.create_task(_client(place, len(everybody), moments, missing)))
            await asyncio.sleep(0)
        moments.clear()
        if kill:
            for pid in [live.pid, *descendants(live.pid)]:
                os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(live.stop)
        began = time.monotonic()
        live = Live(_runner(place), cwd=folder, env=environment())
        while len(missing) > SUBSCRIBERS * (1 - BACK):
            assert time.monotonic() < began + 120
            await asyncio.sleep(0.05)
        back = time.monotonic() - began
        while missing:
            await asyncio.sleep(0.05)
        seconds = Counter(int(moment) for moment in moments)
        return back, max(seconds.values())
    finally:
        for each in everybody:
            each.cancel()
        await asyncio.gather(*everybody, return_exceptions=True)
        await asyncio.to_thread(live.stop)


async def _client(place: Path, number: int, moments: list[float], missing: set[int]) -> None:
    """As client.js: it comes back, each time later, by chance; *moments*: when it was subscribed."""
    attempt = 0
    missing.add(number)
    while True:
        try:
            await _visit(place, number, moments, missing)
            attempt = 0
        except (OSError, EOFError):
            attempt += 1
        missing.add(number)
        await asyncio.sleep(random.uniform(0.0, min(MOST, LEAST * 2**attempt)))


async def _visit(place: Path, number: int, moments: list[float], missing: set[int]) -> None:
    reader, writer = await asyncio.open_unix_connection(place)
    try:
        writer.write(handshake("/"))
        if b" 101 " not in (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]:
            raise ConnectionError
        writer.write(frame(TEXT, json.dumps({"subscribe": "public.room"}).encode()))
        frames = Reader()
        while data := await reader.read(65536):
            for heard in frames.feed(data):
                if heard.opcode == TEXT and number in missing:
                    missing.discard(number)
                    moments.append(time.monotonic())
                elif heard.opcode == CLOSE:
                    writer.write(frame(CLOSE, heard.data))
    finally:
        writer.close()
