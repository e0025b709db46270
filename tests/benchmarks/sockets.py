"""How long WebSockets take to move to newer code, and how long one of them is not answered meanwhile.

So many are open; TALKERS of them say a word every STEP seconds, and in the end each is asked whether it is answered by
the newest code. All have moved when `runner status` says that nobody has anything to finish. Start at run.
"""

import asyncio
import resource
import statistics
import time
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks import report
from tests.benchmarks.load import Pace
from tests.support.project import project
from tests.support.runner_process import Served, serve
from tests.support.trouble import report as status

SIZES = (100, 1000, 5000)
EDITS = 5
TALKERS = 10
STEP = 0.02
LOOK = 0.05
FILES = {"module.py": "VALUE = 0\n", "app.py": """
    import module

    MOVE = "runner.websocket.move"

    async def app(scope, receive, send):
        count = int(scope["extensions"][MOVE]["state"] or 0)
        await receive()
        await send({"type": "websocket.accept", MOVE: True})
        while (event := await receive())["type"] == "websocket.receive":
            count += 1
            await send({"type": "websocket.send", "text": f"{module.VALUE} {count}"})
        if event["type"] == MOVE:
            await send({"type": MOVE, "state": str(count)})
"""}


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        rows = [_row(directory / str(size), size) for size in SIZES]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return report.table(
        "From save to the last socket in the newer code, s; 2 workers",
        ["sockets", "median", "longest", "longest wait of one that talks, ms"], rows,
    )  # fmt: skip


def _row(directory: Path, size: int) -> list[str]:
    directory.mkdir()
    with serve(project(directory, FILES), "app:app", "--workers", "2") as served:
        moved, silences = asyncio.run(_edits(served, directory / "module.py", size))
    return [f"{size:,}", f"{statistics.median(moved):.2f}", f"{max(moved):.2f}", f"{1000 * max(silences):.0f}"]


async def _edits(served: Served, module: Path, size: int) -> tuple[list[float], list[float]]:
    """Of each edit the seconds that it took, and the longest that one of those who talk waited for an answer."""
    clients: list[ClientConnection] = []
    for _ in range(0, size, 50):
        url = f"ws://{served.http[0]}:{served.http[1]}/"
        clients += await asyncio.gather(*(connect(url, compression=None, ping_interval=None) for _ in range(50)))
    moved, silences = [], []
    for value in range(1, EDITS + 1):
        over = asyncio.Event()
        talkers = [asyncio.create_task(_talk(client, over)) for client in clients[:TALKERS]]
        await asyncio.sleep(10 * STEP)
        began = time.monotonic()
        module.write_text(f"VALUE = {value}\n", encoding="utf-8")
        while not await asyncio.to_thread(_settled, served, value + 1):
            await asyncio.sleep(LOOK)
        moved.append(time.monotonic() - began)
        over.set()
        silences += await asyncio.gather(*talkers)
        for client in clients:
            await client.send("who")
            answer = str(await client.recv())
            assert answer.startswith(f"{value} "), answer
    await asyncio.gather(*(client.close() for client in clients))
    return moved, silences


async def _talk(client: ClientConnection, over: asyncio.Event) -> float:
    """The longest that it waited for an answer."""
    longest = 0.0
    while not over.is_set():
        began = time.monotonic()
        await client.send("x")
        await client.recv()
        longest = max(longest, time.monotonic() - began)
        await asyncio.sleep(STEP)
    return longest


def _settled(served: Served, generation: int) -> bool:
    told = status(served)
    ready = [each for each in told["workers"] if each["generation"] == generation and each["state"] == "ready"]
    return len(ready) == 2 and not told["finishing"]
