"""JSON-RPC batches: how close to parallel, how fast, and how considerate.

Goals: 10 items over 10 workers take at most 1.15 of one; 200 over 4 at most 1.1 of the ideal; batches of 20 trivial
items through nginx at least 1.0 of lua-resty-jsonrpc-batch in the same nginx with uWSGI behind it, and at most 0.3 of
the time of twenty requests on a kept connection; beside batches of 1,000, the p99 of single requests is at most 3 of
theirs.

The Lua gateway is where LUA_BATCH_DIR says, the directory that has resty/jsonrpc/batch.lua; without it, or without
nginx's Lua, its lane is left out. Start at run.
"""

import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks import load, peers, report
from tests.benchmarks.front import Backend, open_front
from tests.benchmarks.load import Lane, Pace
from tests.support.client import Conversation
from tests.support.places import Address, short_directory, wait_until_listening
from tests.support.process import Live
from tests.support.project import project
from tests.support.runner_process import Served, environment, serve

ENDPOINT = """
import json, time

def main(environ, start_response):
    call = json.loads(environ["wsgi.input"].read())
    if call["method"] == "add":
        result = sum(call["params"])
    else:
        result = time.sleep(*call["params"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"jsonrpc": "2.0", "result": result, "id": call["id"]}).encode()]
"""
SCRIPT = Path(__file__).with_name("batch.lua")
MOUNT = ("--mount", "/jsonrpc/batch=gateway:batch")
FILES = {"app.py": ENDPOINT, "gateway.py": "from runner.batch import JSONRPCBatch\n"
         "batch = JSONRPCBatch('/jsonrpc', max_items=1000)\n"}  # fmt: skip
LUA_MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
"""Of Debian's libnginx-mod-http-lua; it needs lua-cjson, too."""
PLACE = Path("/usr/lib/nginx/modules")
SINGLES = 50


def run(directory: Path, pace: Pace) -> str:
    """Measure, and return the tables. *directory* is empty and stays the caller's."""
    project(directory, FILES)
    rows = [*_parallel(directory, pace.rounds), _separate(directory, pace.rounds), _beside(directory, pace.rounds)]
    columns = ["", "ratio", "slowest–fastest round", "goal", "met"]
    return f"{report.table('JSON-RPC batches', columns, rows)}\n{_throughput(directory, pace)}"


class Client:
    """One kept connection; each call tells how many seconds it took."""

    def __init__(self, address: Address) -> None:
        self._conversation = Conversation(address, 120.0)

    def post(self, path: str, body: bytes) -> float:
        """One request, which must be answered in full."""
        began = time.perf_counter()
        self._conversation.request("POST", path, {"Content-Type": "application/json"}, body)
        reply = self._conversation.reply()
        took = time.perf_counter() - began
        assert reply.status == 200 and b'"error"' not in reply.body, reply
        return took

    def batch(self, method: str, params: list[float], count: int) -> float:
        """So many calls in one."""
        return self.post("/jsonrpc/batch", _batch(method, params, count))

    def single(self, method: str, params: list[float]) -> float:
        """One call."""
        return self.post("/jsonrpc", json.dumps(_call(method, params, 0)).encode())


def _call(method: str, params: list[float], id: int) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": id}


def _batch(method: str, params: list[float], count: int) -> bytes:
    return json.dumps([_call(method, params, number) for number in range(count)]).encode()


def _row(name: str, ratios: list[float], goal: float) -> list[str]:
    median = statistics.median(ratios)
    span = f"{max(ratios):.2f}–{min(ratios):.2f}"
    return [name, f"{median:.2f}", span, f"≤ {goal:g}", report.met(median <= goal)]


def _parallel(directory: Path, rounds: int) -> Iterator[list[str]]:
    """The items sleep, so that it is not the processor they wait for."""
    with serve(directory, "app:main", *MOUNT, "--workers", "10") as served:
        client = Client(served.http)
        ratios = [client.batch("sleep", [0.1], 10) / client.batch("sleep", [0.1], 1) for _ in range(rounds)]
        yield _row("10 items of 100 ms over 10 workers, × one item", ratios, 1.15)
    with serve(directory, "app:main", *MOUNT, "--workers", "4") as served:
        client = Client(served.http)
        ratios = [client.batch("sleep", [0.05], 200) / (200 * 0.05 / 4) for _ in range(rounds)]
        yield _row("200 items of 50 ms over 4 workers, × the ideal", ratios, 1.1)


def _separate(directory: Path, rounds: int) -> list[str]:
    """One client, through nginx."""
    with serve(directory, "app:main", *MOUNT, "--workers", "2") as served, _front(served) as address:
        client = Client(address)
        ratios = []
        for _ in range(rounds * 40):
            batch = client.batch("add", [1, 1], 20)
            ratios.append(batch / sum(client.single("add", [1, 1]) for _ in range(20)))
        shares = [statistics.median(ratios[place::rounds]) for place in range(rounds)]
        return _row("a batch of 20, × 20 requests on a kept connection", shares, 0.3)


def _beside(directory: Path, rounds: int) -> list[str]:
    """Another client has batches of 1,000 answered without a pause, of trivial items."""
    with serve(directory, "app:main", *MOUNT, "--workers", "2") as served, _front(served) as address:
        client, ratios = Client(address), []
        for _ in range(rounds):
            alone = _p99(client)
            with _batches(address):
                ratios.append(_p99(client) / alone)
        return _row(f"p99 of {SINGLES} × 4 single requests beside batches of 1,000, × alone", ratios, 3.0)


@contextmanager
def _front(served: Served) -> Iterator[Address]:
    with open_front([Backend("fastcgi", served.fastcgi, keep=True)]) as (address,):
        yield address


def _p99(client: Client) -> float:
    return statistics.quantiles((client.single("add", [1, 1]) for _ in range(SINGLES * 4)), n=100)[98]


@contextmanager
def _batches(address: Address) -> Iterator[None]:
    over = threading.Event()

    def ask() -> None:
        client, body = Client(address), _batch("add", [1, 1], 1000)
        while not over.is_set():
            client.post("/jsonrpc/batch", body)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


# ---- beside the Lua gateway -----------------------------------------------------------------------------------------


def _throughput(directory: Path, pace: Pace) -> str:
    chosen = {"runner": (peers.runner("runner", *MOUNT), "")}
    lua = _lua()
    if lua is not None and peers.UWSGI[0].installed:
        chosen["lua-resty-jsonrpc-batch, uWSGI"] = (peers.UWSGI[0], _gateway())
    with ExitStack() as stack:
        sockets = stack.enter_context(short_directory())
        backends, sessions = [], []
        for number, (peer, more) in enumerate(chosen.values()):
            socket = sockets / str(number)
            live = stack.enter_context(Live(peer.command(str(socket)), cwd=directory, env=environment()))
            if peer.ready:
                live.wait_for(peer.ready, 60)
            wait_until_listening(socket, live)
            backends.append(Backend(peer.protocol, socket, peer.keep, more))
            sessions.append(live.pid)
        modules = "".join(f"load_module {PLACE / name};" for name in LUA_MODULES) if lua is not None else ""
        settings = f'lua_package_path "{lua}/?.lua;;";' if lua is not None else ""
        addresses = stack.enter_context(open_front(backends, modules=modules, settings=settings))
        lanes = [Lane(*each) for each in zip(chosen, addresses, sessions, strict=True)]
        everybody = load.measure(lanes, pace, SCRIPT)
    base = everybody[1] if len(everybody) > 1 else None
    rows = [
        [each.name, f"{each.median:,.0f}", each.span, each.ratio(base) if base else "", each.cost,
         str(sum(each.failed))]
        for each in everybody
    ]  # fmt: skip
    columns = ["", "median", "slowest–fastest", "× Lua (goal: 1.0)", "application, CPU µs each", "failed"]
    return report.table("Batches of 20 trivial items a second, through nginx, 32 connections, 2 workers", columns, rows)


def _lua() -> Path | None:
    """Where the gateway is, if it can be run here; says so if not."""
    given = os.environ.get("LUA_BATCH_DIR")
    missing = [str(PLACE / name) for name in LUA_MODULES if not (PLACE / name).exists()]
    if not given:
        missing.insert(0, "LUA_BATCH_DIR")
    elif not (Path(given) / "resty/jsonrpc/batch.lua").exists():
        missing.insert(0, f"{given}/resty/jsonrpc/batch.lua")
    if missing or given is None:
        print(f"left out: lua-resty-jsonrpc-batch; there is no {', no '.join(missing)}", file=sys.stderr)
        return None
    return Path(given)


def _gateway() -> str:
    """A location as the module's own documentation has it, before the endpoint."""
    return """
        location = /jsonrpc/batch {
            lua_need_request_body on;
            content_by_lua_block {
                local gateway = require("resty.jsonrpc.batch"):new()
                local answer, failed = gateway:batch_request({ path = "/jsonrpc", request = ngx.var.request_body })
                if failed then
                    return ngx.exit(500)
                end
                ngx.header["Content-Type"] = "application/json"
                ngx.print(answer)
            }
        }"""
