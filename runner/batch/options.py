"""The options of a batch gateway, looked at once, where they are written: what makes no sense is a UsageError there.

Law: pure; after construction they do not change. Start at Options.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from inspect import iscoroutinefunction
from typing import Any

from runner.batch.context import Hook
from runner.errors import UsageError

MAX_ITEMS = 100
MAX_RESPONSE = 10 * 2**20
TIMEOUT = 30.0
BATCH_TIMEOUT = 55.0
"""Seconds: just before nginx gives up by itself (fastcgi_read_timeout, 60 s) and runs nothing of what is left."""

HEADERS = (
    "accept-language", "authorization", "baggage", "cookie", "forwarded", "host", "origin", "referer", "traceparent",
    "tracestate", "user-agent", "x-correlation-id", "x-csrf-token", "x-csrftoken", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id", "x-requested-with",
)  # fmt: skip
"""What an item takes along by default: who asks, in which language, as part of what, and what forgery is told by."""
NEVER = frozenset((
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "if-match",
    "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "proxy-connection", "range",
    "te", "trailer", "transfer-encoding", "upgrade",
))  # fmt: skip
"""What belongs to the connection (RFC 9110 section 7.6.1), to the body of the batch, or to its answer as a whole.

An item that took Accept-Encoding along could be answered in gzip, which does not fit into an array.
"""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_PATH = re.compile(r"/[!-\"$-~]*")


class Options:
    """See JSONRPCBatch, which says what each of them means. Raises UsageError."""

    def __init__(
        self,
        path: str | Hook,
        *,
        max_items: int = MAX_ITEMS,
        max_response: int = MAX_RESPONSE,
        concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = TIMEOUT,
        batch_timeout: float | None = BATCH_TIMEOUT,
        allow_single: bool = True,
        before: Hook | None = None,
        after: Hook | None = None,
        before_batch: Hook | None = None,
        after_batch: Hook | None = None,
        cost: Hook | None = None,
        max_cost: float | None = None,
        headers: Iterable[str] = HEADERS,
    ) -> None:
        if not callable(path):
            check_path(path)
        self.path = path
        self.max_items = _whole("max_items", max_items)
        self.max_response = _whole("max_response", max_response)
        self.concurrency = None if concurrency is None else _whole("concurrency", concurrency)
        self.ordered = ordered
        self.timeout = _seconds("timeout", timeout)
        self.batch_timeout = _seconds("batch_timeout", batch_timeout)
        self.allow_single = allow_single
        self.before = _hook("before", before)
        self.after = _hook("after", after)
        self.before_batch = _hook("before_batch", before_batch)
        self.after_batch = _hook("after_batch", after_batch)
        self.cost = _hook("cost", cost)
        self.max_cost = max_cost
        if (cost is None) != (max_cost is None):
            raise UsageError("cost and max_cost go together; write for example cost=lambda item: 1, max_cost=1000")
        if iscoroutinefunction(cost):
            raise UsageError("cost is a coroutine function, but nothing is awaited before a batch is admitted; use def")
        if max_cost is not None:
            try:
                check_cost(max_cost)
            except ValueError as error:
                raise UsageError(f"max_cost: {error}; write for example 1000") from None
        self.variables = _variables(headers)


def check_path(path: Any) -> str:
    """*path*, if it is one for a SubRequest. Raises UsageError."""
    if isinstance(path, str) and _PATH.fullmatch(path):
        return path
    raise UsageError(
        f"path={path!r} is no path of this application, percent-encoded as in a URL; write for example '/jsonrpc'"
    )


def check_cost(cost: Any) -> float:
    """*cost*, if it is a number of which sums can be made. Raises ValueError."""
    if isinstance(cost, int | float) and not isinstance(cost, bool) and math.isfinite(cost) and cost >= 0:
        return cost
    raise ValueError(f"{cost!r} is no cost: a number from 0 on is")


def _whole(name: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise UsageError(f"{name}={value!r} is not a whole number from 1 on; write for example {name}=100")


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    raise UsageError(f"{name}={value!r} is not a number of seconds; write for example {name}=30, or None for no limit")


def _hook(name: str, value: Any) -> Hook | None:
    if value is None or callable(value):
        return value  # type: ignore[no-any-return]  # that is what callable() says
    raise UsageError(f"{name}={value!r} cannot be called; give a function, or leave it out")


def _variables(headers: Any) -> tuple[str, ...]:
    """The meta-variables of these header fields (RFC 3875 section 4.1.18)."""
    if isinstance(headers, str) or not isinstance(headers, Iterable):
        raise UsageError(f"headers={headers!r} is no list of names; write for example headers=['cookie']")
    found = []
    for name in headers:
        if not isinstance(name, str) or not _NAME.fullmatch(name.lower()):
            raise UsageError(f"{name!r} in headers is not the name of a header field; write for example 'cookie'")
        if name.lower().replace("_", "-") in NEVER:
            raise UsageError(f"{name!r} in headers is about the batch as a whole, not its items; leave it out")
        found.append(f"HTTP_{name.upper().replace('-', '_')}")
    return tuple(found)
