"""What the processes say to each other: one NamedTuple a message, one datagram each, descriptors alongside.

Law: a message that is not in MESSAGES is an error, never ignored. How they travel: channel.py.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from runner.errors import RunnerError
from runner.process import packets

_TEXT, _ITEMS = 500, 20
"""To what a text (in characters) and a list are cut in a message that would otherwise be too large to be read."""

DUMP_SIGNAL = signal.SIGXCPU
"""supervisor -> worker, where no message would be read: write the stacks of all threads to standard error. Needs no
interpreter lock."""

PACE = 200
"""WebSockets that are told to come back (1012) in a second, by all workers together."""

FORKING = -1
"""The slot of a generation that forks its workers."""
ZYGOTE = -4
"""The slot of one that only leaves a zygote behind."""
LOOKOUT = -2
"""The slot of a process that is to look out, neither to fork workers nor to be one."""
PAGE = -3
"""The slot of one that imports nothing: its workers say how long the import takes that it has the journal of."""


class Begin(NamedTuple):
    """supervisor -> generation: what to import, and how. Descriptors come along, see `descriptors`.

    *slot*: FORKING, ZYGOTE, LOOKOUT, PAGE, else this process is itself the slot's worker.
    *aftermath*: "" or why the previous attempt's process died; then nothing is imported and this is the error shown.
    *voids*: attempts in a row before this one that files changed under; after the first one it may be late, see Loaded.
    *since*: for a PAGE, when that import began (CLOCK_MONOTONIC). *hot* and *step*: see Resume.
    *lifeline*: see process/lifeline.py; -1: none, and no checkpoints. *preload*: what was learned may be used.
    *door*: of the channels in memory, see process/private.py; -1: there are none.
    """

    settings: str
    number: int
    slot: int
    listeners: list[list[Any]]
    scoreboard: int
    journal: int
    aftermath: str
    voids: int
    since: float
    hot: Sequence[str] = ()
    step: float = 0.0
    preload: bool = True
    lifeline: int = -1
    door: int = -1

    @property
    def descriptors(self) -> list[int]:
        """Those that are named here, in the order in which they come along."""
        return [each for each in self._named if each >= 0]

    def with_descriptors(self, received: list[int]) -> Begin:
        """The same with the numbers that they have got here. Raises RunnerError if some have not."""
        if len(received) != len(self.descriptors):
            raise RunnerError("not all descriptors have come along; raise the limit of open files (ulimit -n)")
        left = iter(received)
        board, journal, lifeline, door, *listening = (next(left) if each >= 0 else each for each in self._named)
        places = [[number, *place[1:]] for number, place in zip(listening, self.listeners, strict=True)]
        return self._replace(scoreboard=board, journal=journal, lifeline=lifeline, door=door, listeners=places)

    @property
    def _named(self) -> list[int]:
        return [self.scoreboard, self.journal, self.lifeline, self.door, *(place[0] for place in self.listeners)]


class Resume(NamedTuple):
    """supervisor -> checkpoint: go on, as generation *number*; its channel and its journal come along.

    *voids* and *preload* as of Begin (the latter means nothing here). *hot*: the files edited last, before which the
    next checkpoints are worth most; *step*: seconds of import between the others, 0.0 if that is not known. *first*: a
    request that waits may be answered before the first fork (worker/first.py).
    """

    number: int
    voids: int
    hot: Sequence[str]
    step: float
    preload: bool = True
    first: bool = False


class Fork(NamedTuple):
    """supervisor -> generation: fork the worker of *slot*, known as *key*; its channel comes along as a descriptor."""

    slot: int
    key: int


class Keep(NamedTuple):
    """supervisor -> generation: go on although stale; the newer code is broken."""


class Retire(NamedTuple):
    """supervisor -> generation or worker: finish what you have, take nothing new, leave.

    *last*: nobody comes after you, so connections end with you; else give them away.
    """

    last: bool = False


class Reopen(NamedTuple):
    """supervisor -> worker: open the log files again."""


class Loaded(NamedTuple):
    """generation -> supervisor: imported, and proven fresh. *culprit*: why it cannot be forked, or "".

    *good_until*: this code is known to be no older than the disk at that moment (CLOCK_MONOTONIC, the same everywhere),
    so requests that began before may have it. *late*: the paths that changed while it was imported, if it is stale from
    birth: of use to those who have waited since before. *modules*: imported in all; *step*: see Resume. *learned*: so
    many could be loaded before the next start, if more than now; else 0. *first*: it may answer before it is forked.
    """

    files: int
    kind: str
    culprit: str
    milliseconds: float
    notes: list[str]
    good_until: float
    late: list[str]
    modules: int = 0
    step: float = 0.0
    learned: int = 0
    first: bool = False


class Broken(NamedTuple):
    """generation -> supervisor: the import failed; this generation answers with the error. *where* is file:line.

    *fatal*: the exit code if this is the first start (the target does not exist, the user is unknown), else 0.
    *good_until* and *late* as of Loaded.
    """

    summary: str
    where: str
    fatal: int
    files: int
    culprit: str
    milliseconds: float
    notes: list[str]
    good_until: float
    late: list[str]


class Importing(NamedTuple):
    """generation -> supervisor: the one with the page. *summary*: what it shows."""

    summary: str


class Paused(NamedTuple):
    """generation -> supervisor: a checkpoint of this import waits; its channel comes along.

    *module*: the one that it imports next, "" before the application's first; *modules*: imported before that.
    """

    module: str
    modules: int


class Resumed(NamedTuple):
    """generation -> supervisor: I have gone on, and am process *pid*."""

    pid: int


class Passed(NamedTuple):
    """generation -> supervisor: what was imported before I was paused has changed; my checkpoint is of no use.

    *modules* as of Stale.
    """

    paths: list[str]
    modules: int = -1


class Unfit(NamedTuple):
    """generation -> supervisor: what was loaded before the application is not what it asks for; begin without that.

    *note*: why it will always be so; "" if it is a matter of the next start.
    """

    note: str


class Unborn(NamedTuple):
    """generation -> supervisor: files changed while they were imported; this attempt is void."""

    paths: list[str]


class Spent(NamedTuple):
    """generation -> supervisor: I am a worker that leaves, after what I answered; "" as a *reason*: that took long."""

    reason: str


class Note(NamedTuple):
    """generation or worker -> supervisor: since Loaded, something turned out not to be exact here."""

    text: str


class Stale(NamedTuple):
    """generation -> supervisor: what this generation is made of has changed on disk.

    *modules*: how many were imported before the first of these was read, -1 if that is not known; so of a checkpoint
    that has imported more it need not be asked.
    """

    paths: list[str]
    modules: int = -1


class Forked(NamedTuple):
    """generation -> supervisor: the worker known as *key* is process *pid*, or could not be made (*error*)."""

    key: int
    pid: int
    error: str


class Reaped(NamedTuple):
    """generation or checkpoint -> supervisor: its child, process *pid*, ended with this wait status."""

    pid: int
    status: int


class Ready(NamedTuple):
    """worker, or generation that answers first -> supervisor: accepting."""

    pid: int


class Retiring(NamedTuple):
    """worker -> supervisor: no longer accepting, by its own decision; fork another one."""

    reason: str


class Streaming(NamedTuple):
    """worker -> supervisor: I retire, and so many answers that have begun are all I am busy with; 0: no longer so."""

    answers: int


class Cut(NamedTuple):
    """supervisor -> worker: your time is nearly over (*reason*); cut what you send, or it will be taken for whole.

    *spread*: seconds over which WebSockets are to be told, one after the other.
    """

    reason: str
    spread: float = 0.0


class Account(NamedTuple):
    """supervisor -> worker: tell what your requests have open, as answer *number*."""

    number: int


class Accounted(NamedTuple):
    """worker -> supervisor: *total* are open; the *rows* say of each what, where (file:line), seconds, for whom."""

    number: int
    total: int
    rows: list[list[Any]]


class Parcel(NamedTuple):
    """worker -> supervisor -> another worker: a connection. Its descriptor comes along.

    *place*: the number of the listener it came through.
    *unread*: what was read of its next request, as latin-1; if that is long, a second descriptor, a file, is *beside*.
    *held*: monotonic seconds since when that request waits, its head being complete; 0.0 if there is none.
    *after*: the generation that found itself too old for it; only a newer one may have it. 0: anybody.
    *refused*: why nobody can have it (worker -> "", supervisor -> worker: answer 503 and say this).
    *socket*: it is a WebSocket that moves: *unread* is what goes along with it (front/luggage.py), *held* since when.
    """

    place: int
    unread: str
    held: float
    after: int
    refused: str = ""
    beside: bool = False
    socket: bool = False


class Taken(NamedTuple):
    """worker -> supervisor: the oldest parcel sent to me is mine now, come what may; not *whole*: I cannot take it."""

    whole: bool = True


class Heirs(NamedTuple):
    """supervisor -> worker that leaves: *there* are workers now that could have its WebSockets, or not any more."""

    there: bool


class Arrived(NamedTuple):
    """supervisor -> worker: a WebSocket that you gave away is no longer here; there is room for another one."""


Message = (
    Begin | Resume | Fork | Keep | Retire | Reopen
    | Loaded | Broken | Importing | Paused | Resumed | Passed | Unfit | Unborn | Spent | Note | Stale | Forked | Reaped
    | Ready | Retiring | Streaming | Cut | Parcel | Taken | Heirs | Arrived | Account | Accounted
)
MESSAGES: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Message)}


def serialize(message: Message) -> bytes:
    """One datagram. What is told may be cut if it is enormous; what is ordered (Begin) never is."""
    data = _encode(message)
    if len(data) <= packets.SIZE or isinstance(message, Begin):
        return data
    return _encode(type(message)(*map(_cut, message)))


def parse(data: bytes) -> Message:
    """The message again. Raises RunnerError for anything else: both ends are ours, so that is a fault of ours."""
    try:
        name, *values = json.loads(data)
        message: Message = MESSAGES[name](*values)
    except (ValueError, KeyError, TypeError) as error:
        raise RunnerError(f"not a message between processes: {data[:80]!r}; are two versions mixed?") from error
    return message


def _encode(message: Message) -> bytes:
    return json.dumps([type(message).__name__, *message], separators=(",", ":")).encode()


def _cut(value: Any) -> Any:
    match value:
        case str():
            return value if len(value) <= _TEXT else value[:_TEXT] + " …"
        case list():
            return [_cut(item) for item in value[:_ITEMS]]
    return value
