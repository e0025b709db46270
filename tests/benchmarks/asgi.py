"""How many requests a second an asynchronous application answers, beside uvicorn and granian behind the same nginx.

Goal: over FastCGI at least 1.1 of uvicorn (httptools, uvloop), which is measured twice: behind the lines for nginx that
its documentation gives, and with connections kept, which those do not do. Start at run.
"""

import sys
from pathlib import Path

from tests.benchmarks import load, peers, report
from tests.benchmarks.load import Pace
from tests.benchmarks.peers import WORKERS, Peer

APP = """
async def main(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"hello, world\\n"})
"""


def _uvicorn(socket: str) -> list[str]:
    return [
        *(sys.executable, "-m", "uvicorn", "--workers", WORKERS, "--loop", "uvloop", "--http", "httptools"),
        *("--no-access-log", "--log-level", "error", "--uds", socket, "app:main"),
    ]


def _granian(socket: str) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--workers", WORKERS, "--no-ws"),
        *("--loop", "uvloop", "--log-level", "error", "--uds", socket, "app:main"),
    ]


UVICORN = Peer("uvicorn, HTTP, a connection each (as it documents nginx)", "http", False, _uvicorn, "uvicorn")
ALL = (
    peers.OURS,
    peers.runner("runner, HTTP, connections kept", protocol="http"),
    UVICORN,
    Peer("uvicorn, HTTP, connections kept", "http", True, _uvicorn, "uvicorn"),
    Peer("granian, HTTP", "http", True, _granian, "granian"),
)


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the table. *directory* is empty and stays the caller's."""
    (directory / "app.py").write_text(APP)
    chosen = peers.available(ALL)
    with peers.serving([(peer, directory) for peer in chosen]) as lanes:
        everybody = load.measure(lanes, pace)
    base = next((each for each in everybody if each.name == UVICORN.name), None)
    rows = [
        [each.name, f"{each.median:,.0f}", each.span, each.ratio(base) if base else "", each.cost,
         str(sum(each.failed))]
        for each in everybody
    ]  # fmt: skip
    columns = ["median", "slowest–fastest", "× uvicorn, a connection each", "server, CPU µs each", "failed"]
    title = f"Requests a second, asynchronous, {load.CONNECTIONS} connections, 2 workers"
    return report.table(title, ["", *columns], rows)
