"""Which of the workers that leave could have their WebSockets moved: there is somebody who may have them now.

Only a worker of the newest code that accepts, fresh and with an application, is an heir; a page that says what is wrong
with the newest code is none. Until there is one, sockets stay where they are, for their clients have no better place.

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
    newest = max((each.generation for each in takers if each.hosts and each.answers), default=0)
    heirs = {worker.key: worker.generation <= newest for worker in workers if worker.leaving and not worker.killed}
    told = {key: there for key, there in heirs.items() if there is not (key in promised)}
    promised.clear()
    promised.update(key for key, there in heirs.items() if there)
    return told
