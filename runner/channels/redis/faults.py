"""What an error of the Redis, or of the way to it, means: may it be said again, and what is to be done.

Laws: pure; knows errors by their names and codes, for what is not needed is not imported. No text of here has a
password: of an unknown command a server repeats the arguments, and those are cut off. Start at judge.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Fault(NamedTuple):
    """*text*: what happened, and the remedy. *final*: it would happen again. *leave*: another server may be there."""

    text: str
    final: bool = False
    leave: bool = False


_REFUSED = Fault("it refuses the name or the password; write the right ones into --channels", final=True)
_CLUSTER = Fault("it is part of a Redis Cluster, which is not supported; use one server, or a proxy", final=True)

_FAULTS = {
    "OOM": Fault("its memory is full; raise its maxmemory, or keep less: history=… and age=… in the URL", final=True),
    "NOAUTH": _REFUSED,
    "WRONGPASS": _REFUSED,
    "NOPERM": Fault("its user may not do that; allow it ~{runner:* &runner@* +@all -@dangerous", final=True),
    "WRONGTYPE": Fault("there is a key of somebody else; use another database (redis://host/1)", final=True),
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "LOADING": Fault("it is still loading its data; it will be asked again"),
    "BUSY": Fault("a script keeps it busy; end that by SCRIPT KILL"),
    "MISCONF": Fault("it cannot save its data; look at its log and its disk"),
    "NOREPLICAS": Fault("it has too few replicas that follow (min-replicas-to-write); look after them"),
    "MASTERDOWN": Fault("it is a replica that has lost its primary; name the primary in --channels", leave=True),
    "READONLY": Fault("it is a replica; name the primary in --channels", leave=True),
}
_STRANGER = Fault("it does not know the commands; use a Redis 5 or newer, or a Valkey", final=True)
_CODE = re.compile(rf"(?:^|[ -])({'|'.join(_FAULTS)}) ")
_FORBIDDEN = re.compile("user executing the script can't|ACL failure in script")
"""In a script there is no code for that."""

_CLASSES = {
    "OutOfMemoryError": "OOM",
    "AuthenticationError": "NOAUTH",
    "AuthenticationWrongNumberOfArgsError": "NOAUTH",
    "NoPermissionError": "NOPERM",
    "MovedError": "MOVED",
    "AskError": "ASK",
    "ClusterCrossSlotError": "CROSSSLOT",
    "ClusterDownError": "CLUSTERDOWN",
    "BusyLoadingError": "LOADING",
    "MasterDownError": "MASTERDOWN",
    "ReadOnlyError": "READONLY",
}
"""The library takes the code away from the text of these."""


def judge(error: BaseException) -> Fault:
    """What *error* means."""
    text, kind = str(error), type(error).__name__
    if kind in _CLASSES:
        return _FAULTS[_CLASSES[kind]]
    if text.startswith("unknown command") or "ERR unknown command" in text:
        return _STRANGER
    # Before Redis 7 the code of an error in a script stands in the middle of its text.
    if kind == "ResponseError" and (found := _CODE.search(text)):
        return _FAULTS[found[1]]
    if _FORBIDDEN.search(text):
        return _FAULTS["NOPERM"]
    if kind == "TimeoutError":
        return Fault("it does not answer; see whether it is overloaded or paused, and the network between")
    return Fault(f"{_plain(text) or kind}; see whether it runs and can be reached")


def unknown_script(error: BaseException) -> bool:
    """The server has been restarted, or told to forget its scripts."""
    return type(error).__name__ == "NoScriptError"


def answered(error: BaseException) -> bool:
    """The server has said so itself: what comes next on this connection is the next answer."""
    return any(kind.__name__ == "ResponseError" for kind in type(error).__mro__)


def _plain(text: str) -> str:
    return text.partition("with args beginning")[0].strip(" .,:")[:200]
