"""Which of the workers that leave could have their WebSockets moved: there is somebody who may have them now.

Only a worker of the newest code that accepts, fresh and with an application, is an heir; a page that says what is wrong
with the newest code is none. Until there is one, sockets stay where they are, for their clients have no better place.
But those of a worker whose time is nearly over, for there are too many generations, need not be cut if there is newer
code at all: they wait on their way (transit.py) until some is fresh, as requests do.

Law: pure; each is told only what is news to it. Start at news.
"""

from __future__ import annotations

from collections.abc import Iterable

from runner.supervisor.life import Worker
from runner.supervisor.transit import Taker


def news(workers: Iterable[Worker], takers: Iterable[Taker], promised: set[int]) -> dict[int, bool]:
    """Whom to tell by key that there are heirs, or that there are none any more.

    *promised*: the keys of those who think that there are; it is brought up to date. *takers*: see Transit.decide.
    """
    hosts = [each for each in takers if each.hosts]
    fresh = max((each.generation for each in hosts if each.answers), default=0)
    newest = max((each.generation - 1 for each in hosts), default=0)
    heirs = {
        worker.key: worker.generation <= (max(fresh, newest) if worker.hurried else fresh)
        for worker in workers if worker.leaving and not worker.killed
    }  # fmt: skip
    told = {key: there for key, there in heirs.items() if there is not (key in promised)}
    promised.clear()
    promised.update(key for key, there in heirs.items() if there)
    return told
