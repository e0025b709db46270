"""What requests under saves have come to: every fault by its name, from times and versions alone.

    refused    no connection            cut         half an answer, another's answer, or half a body received
    reset      ended before an answer   status      not 200 (a redirected POST is one, too)
    late       no answer in PATIENCE    given up    503 with Retry-After: held too long, as the runner itself says
    stale      see below                repeated    a POST that the application was called for twice
    sent on    redirected twice for     lost        a POST that was answered, and was never executed
               one save; in hold        unseen      the last save, if nobody was answered by it
               mode: at all

A request is *stale* if its version is lower than the newest one whose save had returned before the request began. It
began with its first byte; where a connection was opened for it, with the attempt to connect.

In redirect mode the request that *finds* a change is finished by the code that has read it if it is a POST. Nobody
can see on the wire who found it, but this much is sure: a worker looks at the code when it has read a request's head,
so of the POSTs that began after a save returned, one at most can be the first that this worker reads afterwards; and a
connection that was opened after the save is taken by no worker that has not looked. So an old POST is *finished*, and
is no fault, if mode is redirect, it came to the runner on a connection that may have been open before, and it is the
first one for its process and the newest save before its beginning. A second one is stale. So is every GET.

A redirect is *for* the save that was the newest at some moment between the attempt and its answer. A visitor has been
sent on twice for one save if there is no way to find a newer one for each of his redirects in turn.

Laws: pure; times are of the machine's one monotonic clock, whichever process has read it. Start at judge.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Mode = Literal["redirect", "hold"]
ON_THE_WIRE = ("refused", "reset", "cut", "status", "late", "given up")
"""What a visitor notices by himself; the other kinds take knowledge of the saves, or of the application's log."""
KINDS = (*ON_THE_WIRE, "stale", "repeated", "lost", "sent on", "unseen")


class Record(NamedTuple):
    """One request, its redirects followed.

    *kept*: the visitor's own connection was open before; *reused*: that to the runner may have been. *began* and
    *ended* are of the last attempt, *redirects* the moments at which the others were sent on. Of an answer: *version*
    and *pid*. Otherwise *fault*, one of ON_THE_WIRE, and *words*.
    """

    visitor: int
    route: str
    method: str
    token: str
    kept: bool
    reused: bool
    first: float
    began: float
    ended: float
    redirects: list[float]
    version: int = -1
    pid: int = 0
    fault: str = ""
    words: str = ""

    def __str__(self) -> str:
        connection = "kept" if self.kept else "new"
        return f"{self.method} {self.token} by {self.route}, {connection} connection"


class Save(NamedTuple):
    """One save: the moments before its first and after its last system call."""

    version: int
    began: float
    completed: float


class Fault(NamedTuple):
    """One thing that must not be; *about* is None for what is about no single request."""

    kind: str
    about: Record | None
    words: str = ""

    @property
    def route(self) -> str:
        """That of its request."""
        return self.about.route if self.about else ""

    def __str__(self) -> str:
        return ": ".join(str(each) for each in (self.kind, self.about, self.words) if each)


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    finished    POSTs that the finder of a change was allowed to answer
    unanswered  POSTs that were executed, and whose visitor got no whole answer (a fault of his already)
    most        redirects of one visitor between one save and the next
    """

    requests: int
    answers: int
    saves: int
    versions: int
    redirects: int
    most: int
    unanswered: int
    finished: tuple[Fault, ...]
    faults: tuple[Fault, ...]

    def count(self, kind: str, route: str = "") -> int:
        """How many faults of that kind there were, on that route if one is named."""
        return sum(each.kind == kind and route in ("", each.route) for each in self.faults)


class _Saves:
    """The saves in the order of their versions, which is that of their moments."""

    def __init__(self, saves: Iterable[Save]) -> None:
        self.all = sorted(saves)
        self._began = [each.began for each in self.all]
        self._completed = [each.completed for each in self.all]

    def floor(self, moment: float) -> int:
        """The newest version whose save had returned then; -1 for none."""
        count = self.completed(moment)
        return self.all[count - 1].version if count else -1

    def completed(self, moment: float) -> int:
        """How many had returned then."""
        return bisect_right(self._completed, moment)

    def begun(self, moment: float) -> int:
        """How many had begun before then."""
        return bisect_left(self._began, moment)


def judge(records: Sequence[Record], saves: Sequence[Save], executed: Iterable[str], mode: Mode) -> Outcome:
    """Compare what visitors noticed with the saves, and with the tokens of the POSTs the application was called for."""
    known = _Saves(saves)
    calls = Counter(executed)
    old = sorted((each for each in records if not each.fault and each.version < known.floor(each.began)), key=_began)
    finished, stale = _apart(old, known, mode)
    posts = [each for each in records if each.method == "POST"]
    faults = [
        *(Fault(each.fault, each, each.words) for each in records if each.fault),
        *stale,
        *(Fault("repeated", each) for each in posts if calls[each.token] > 1),
        *(Fault("lost", each) for each in posts if not each.fault and not calls[each.token]),
        *_sent_on(records, known, mode),
        *_unseen(records, known),
    ]
    return Outcome(
        requests=len(records),
        answers=sum(not each.fault for each in records),
        saves=len(saves),
        versions=len({each.version for each in records if not each.fault}),
        redirects=sum(len(each.redirects) for each in records),
        most=_most(records, known),
        unanswered=sum(bool(each.fault and calls[each.token]) for each in posts),
        finished=tuple(finished),
        faults=tuple(faults),
    )


def _began(record: Record) -> float:
    return record.began


def _apart(old: Iterable[Record], saves: _Saves, mode: Mode) -> tuple[list[Fault], list[Fault]]:
    """Of the answers by old code, in the order of their beginning: those of finders, and the stale ones."""
    finished: list[Fault] = []
    stale: list[Fault] = []
    found: set[tuple[int, int]] = set()
    for each in old:
        floor = saves.floor(each.began)
        words = f"version {each.version} of process {each.pid} after save {floor}"
        finder = mode == "redirect" and each.method == "POST" and each.reused and (each.pid, floor) not in found
        if finder:
            found.add((each.pid, floor))
        (finished if finder else stale).append(Fault("finished" if finder else "stale", each, words))
    return finished, stale


def _most(records: Iterable[Record], saves: _Saves) -> int:
    """The most redirects of one visitor between the beginnings of two saves."""
    told = Counter((each.visitor, saves.begun(moment)) for each in records for moment in each.redirects)
    return max(told.values(), default=0)


def _sent_on(records: Iterable[Record], saves: _Saves, mode: Mode) -> Iterator[Fault]:
    last: dict[int, int] = defaultdict(int)   # by visitor: the save, as a number from 1, that his last redirect was for
    for each in sorted(records, key=_began):
        for number, moment in enumerate(each.redirects, 1):
            attempt = each.first if number == 1 else each.redirects[number - 2]
            found = max(saves.completed(attempt), last[each.visitor] + 1)
            if mode == "hold":
                yield Fault("sent on", each, "in hold mode")
            elif found > saves.begun(moment):
                yield Fault("sent on", each, f"redirect {number} of this request, and no newer save")
            else:
                last[each.visitor] = found


def _unseen(records: Iterable[Record], saves: _Saves) -> Iterator[Fault]:
    last = saves.all[-1].version if saves.all else -1
    if saves.all and all(each.fault or each.version != last for each in records):
        yield Fault("unseen", None, f"nobody was answered by version {last}, the last")
