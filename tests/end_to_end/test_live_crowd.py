"""Many pages at once, while the code is edited, workers are killed, and their Redis is killed and comes back."""

import json
import os
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Project, Runner
from tests.support import redis
from tests.support.process import Live
from tests.support.project import edit
from tests.support.runner_process import ROOT, Served, environment
from tests.support.trouble import ready_pids, until

APP = """
    from runner import channels
    import module

    live = channels.Endpoint(may_publish=lambda scope, channel: True)
"""
CHANNELS = 10
OPTIONS = ("app:live", "--workers", "2", "--graceful-timeout", "2s")


class Plan(NamedTuple):
    """How many of each."""

    clients: int
    messages: int
    edits: int
    kills: int
    restarts: int


def has_published(crowd: Live, share: int) -> bool:
    """So many messages, as far as it is known that the store has them."""
    told = re.findall(r"^published (\d+)", crowd.output, re.MULTILINE)
    return bool(told) and int(told[-1]) >= share


def play(served: Served, place: Path, plan: Plan, server: redis.RedisServer | None) -> dict[str, int]:
    """Spread over the messages; what the crowd has found."""
    url = f"ws://{served.http[0]}:{served.http[1]}/"
    numbers = map(str, (plan.clients, CHANNELS, plan.messages))
    command = [sys.executable, "-m", "tests.support.live_crowd", url, *numbers]
    deeds = ["edit"] * plan.edits + ["kill"] * plan.kills + ["restart"] * plan.restarts
    order = sorted(range(len(deeds)), key=lambda number: (number * 7) % len(deeds))
    with Live(command, cwd=ROOT, env=environment()) as crowd:
        crowd.wait_for("ready", 60)
        for turn, number in enumerate(order):
            share = plan.messages * (turn + 1) // (len(order) + 1)
            until(f"{share} messages", partial(has_published, crowd, share), 300.0)
            if deeds[number] == "edit":
                edit(place / "module.py", f"VALUE = {turn + 1}\n")
            elif deeds[number] == "kill":
                until("a worker is there", lambda: ready_pids(served), live=served)
                os.kill(next(iter(ready_pids(served).values())), signal.SIGTERM if turn % 2 else signal.SIGKILL)
            elif server is not None:
                server.kill()
                server.start()
        found: dict[str, int] = json.loads(crowd.wait_for("^found (.*)", 600)[1])
    print(found)
    return found


def judge(found: dict[str, int], plan: Plan) -> None:
    """Everybody has heard everything, once, in order, or was told that he had not."""
    assert found.get("lost", 0) == found.get("twice", 0) == 0, found
    if not found.get("resyncs"):
        assert found["heard"] == plan.clients * plan.messages // CHANNELS, found


@pytest.mark.parametrize("store", ["memory", "redis"])
def test_a_crowd_hears_everything(project: Project, runner: Runner, store: str) -> None:
    """The short form."""
    plan = Plan(clients=30, messages=3000, edits=3, kills=1, restarts=1)
    _run(project, runner, store, plan)


@pytest.mark.stress
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", ["memory", "redis"])
def test_a_large_crowd_hears_everything(project: Project, runner: Runner, store: str) -> None:
    """200 clients, 20,000 messages, 20 edits, 6 workers that are ended or killed, 5 restarts of the Redis."""
    plan = Plan(clients=200, messages=20_000, edits=20, kills=6, restarts=5)
    _run(project, runner, store, plan)


def _run(project: Project, runner: Runner, store: str, plan: Plan) -> None:
    place = project({"app.py": APP, "module.py": "VALUE = 0\n"})
    if store == "memory":
        judge(play(runner(place, *OPTIONS), place, plan._replace(restarts=0), None), plan)
        return
    with redis.run("appendonly", "yes", "appendfsync", "always") as server:
        judge(play(runner(place, *OPTIONS, "--channels", server.url), place, plan, server), plan)
