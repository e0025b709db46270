"""Where the channels are kept, as people write it.

    memory:                              in a process of this machine; nothing is to be installed
    redis://host:6379/0   rediss://…     in a Redis, where several machines meet; as redis-py's from_url takes it
    unix:///run/redis.sock               the same, through a socket; redis+unix:// is understood too
    ?history=1000&age=300s               of each channel so many messages are kept, and so long

Laws: pure; no password is in any message of here; what `mask` makes of a text, whatever it is, may be shown. Start at
parse_channels_url.
"""

from __future__ import annotations

import difflib
import re
from typing import Literal, NamedTuple
from urllib.parse import SplitResult, unquote_plus, urlsplit

from runner.errors import UsageError
from runner.values import nearest, parse_duration

MOST = 100_000
"""Messages that may be kept of one channel."""
LONGEST = 24 * 3600.0
"""Seconds for which they may be kept."""

_OURS = ("history", "age")
_GOOD = "write for example memory: or redis://127.0.0.1:6379/0"
_SCHEMES = {"memory": "memory", "redis": "redis", "rediss": "rediss", "unix": "unix", "redis+unix": "unix"}
_SECRET = re.compile(r"(?<=[?&;])([^=&;]*)=[^&;]*")


class ChannelsURL(NamedTuple):
    """*url*: what redis-py is given, without what is ours; or "memory:". *age*: seconds."""

    url: str
    kind: Literal["memory", "redis"]
    history: int = 1000
    age: float = 300.0


def parse_channels_url(text: str) -> ChannelsURL:
    """What *text* means. Raises UsageError."""
    if re.search(r"[\s\x00-\x1f\x7f]", text):
        raise UsageError(f"{mask(text)!r} has white space in it; {_GOOD}")
    if "#" in text:
        raise UsageError(f"{mask(text)!r} ends at a '#'; write %23 for one in a password, / as %2F and @ as %40")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        # Not in its words: they quote what stands before the host.
        raise UsageError(f"{mask(text)!r} has no host and port that can be read; {_GOOD}") from None
    if parts.scheme not in _SCHEMES or not text.startswith(f"{parts.scheme}:"):
        raise UsageError(f"{mask(text)!r} is no place for channels; {_GOOD}")
    kind = _check_memory(parts, text) if parts.scheme == "memory" else _check_redis(parts, port, text)
    ours, theirs = _divide(parts.query, kind)
    url = "memory:"
    if kind == "redis":
        parts = parts._replace(scheme=_SCHEMES[parts.scheme], query="&".join(theirs))
        # Not by geturl(), which writes unix:/path for unix:///path, and redis-py does not read that.
        url = f"{parts.scheme}://{parts.netloc}{parts.path}" + (f"?{parts.query}" if theirs else "")
    return ChannelsURL(url, kind, _history(ours), _age(ours))


def mask(text: str) -> str:
    """*text* without what may be a password: a name before the host, and the values of a query that are not ours."""
    head, mark, query = text.partition("?")
    before, at, host = text.rpartition("@")
    if at:
        # There may be a "?" in a password that was not written as it must be, so all before the last "@" goes.
        scheme = re.match(r"(redis\+unix|rediss?|unix|memory)://", before, re.IGNORECASE)
        head, mark, query = host.partition("?")
        head = f"{scheme[0] if scheme else ''}***@{head}"
    return head + _SECRET.sub(_hide, mark + query)


def _hide(found: re.Match[str]) -> str:
    return found[0] if found[1] in _OURS else f"{found[1]}=***"


def _check_memory(parts: SplitResult, text: str) -> Literal["memory"]:
    if parts.netloc or parts.path:
        raise UsageError(f"{mask(text)!r}: the memory of this machine has no host and no path; write memory:")
    return "memory"


def _check_redis(parts: SplitResult, port: int | None, text: str) -> Literal["redis"]:
    if _SCHEMES[parts.scheme] == "unix":
        if not text.partition(":")[2].startswith("//") or not parts.path.strip("/"):
            raise UsageError(f"{mask(text)!r} names no socket; write for example unix:///run/redis.sock")
    elif not parts.hostname or port == 0 or not re.fullmatch(r"/?|/[0-9]{1,4}", parts.path, re.ASCII):
        raise UsageError(f"{mask(text)!r} is not redis://host:port/number of the database; {_GOOD}")
    return "redis"


def _divide(query: str, kind: str) -> tuple[dict[str, str], list[str]]:
    """What is ours of a query, and the rest as it was written."""
    ours: dict[str, str] = {}
    theirs = []
    for item in filter(None, query.split("&")):
        key, _, value = item.partition("=")
        key = unquote_plus(key)
        if key in ours:
            raise UsageError(f"{key!r} is there twice; write it once")
        if key in _OURS:
            ours[key] = unquote_plus(value)
        elif kind == "memory" or difflib.get_close_matches(key, _OURS, cutoff=0.7):
            remedy = nearest(key, _OURS) or f"; there are {' and '.join(_OURS)}"
            raise UsageError(f"there is no key {key[:40]!r} of channels{remedy}")
        else:
            theirs.append(item)
    return ours, theirs


def _history(ours: dict[str, str]) -> int:
    text = ours.get("history", "1000")
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not 1 <= int(text) <= MOST:
        raise UsageError(f"history={text[:40]!r} is not a number of messages from 1 to {MOST}; write history=1000")
    return int(text)


def _age(ours: dict[str, str]) -> float:
    text = ours.get("age", "300s")
    try:
        age = parse_duration(text)
    except UsageError:
        age = 0.0
    if not 1.0 <= age <= LONGEST:
        raise UsageError(f"age={text[:40]!r} is not a time from 1s to 24h; write for example age=300s")
    return age
