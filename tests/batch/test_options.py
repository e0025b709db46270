"""Options: what makes no sense is told where it was written, with a remedy."""

import math
from typing import Any

import pytest

from runner.batch.options import HEADERS, NEVER, Options, check_cost, check_path
from runner.errors import UsageError


@pytest.mark.parametrize("options", [
    {"max_items": 0}, {"max_items": 1.5}, {"max_items": True}, {"max_items": "100"}, {"max_response": 0},
    {"concurrency": 0}, {"concurrency": "4"}, {"timeout": 0}, {"timeout": -1}, {"timeout": "30s"}, {"timeout": True},
    {"timeout": math.nan}, {"timeout": math.inf}, {"batch_timeout": 0}, {"before": 1}, {"after": "f"},
    {"before_batch": []}, {"after_batch": {}}, {"cost": 1, "max_cost": 1}, {"headers": "cookie"}, {"headers": None},
    {"headers": [1]}, {"headers": ["a b"]}, {"headers": ["a:"]}, {"headers": [""]}, {"headers": ["é"]},
])  # fmt: skip
def test_what_makes_no_sense(options: dict[str, Any]) -> None:
    """Is refused at once: the error names the option, and what to write."""
    with pytest.raises(UsageError, match=rf"{min(options)}.*(give|write)"):
        Options("/rpc", **options)


@pytest.mark.parametrize("path", [
    "", "rpc", "http://a/rpc", "/a b", "/ä", "/a#b", "/a\n", "/a\r\nX: y", "/\0", None, b"/rpc",
])  # fmt: skip
def test_what_is_no_path(path: Any) -> None:
    """A typing error, or a header on its way in."""
    with pytest.raises(UsageError, match="'/jsonrpc'"):
        Options(path)
    with pytest.raises(UsageError):
        check_path(path)


@pytest.mark.parametrize("path", ["/", "/rpc", "/a/b%20c", "/a?b=c&d", "/~a;b=1"])
def test_what_is_a_path(path: str) -> None:
    """As in a URL."""
    assert Options(path).path == check_path(path) == path


@pytest.mark.parametrize("options", [{"cost": len}, {"max_cost": 1}])
def test_cost_and_its_limit_go_together(options: dict[str, Any]) -> None:
    """One without the other does nothing."""
    with pytest.raises(UsageError, match="go together"):
        Options("/rpc", **options)


@pytest.mark.parametrize("most", [-1, math.nan, math.inf, "1", True])
def test_what_is_no_limit_of_cost(most: Any) -> None:
    """It is a number of which sums can be made."""
    with pytest.raises(UsageError, match="max_cost"):
        Options("/rpc", cost=len, max_cost=most)


def test_cost_is_not_awaited() -> None:
    """That is told at once, too."""

    async def cost(item: object) -> int:
        return 1

    with pytest.raises(UsageError, match="coroutine"):
        Options("/rpc", cost=cost, max_cost=1)


def test_what_is_a_cost() -> None:
    """Nothing is one, too."""
    assert [check_cost(cost) for cost in (0, 1, 2.5)] == [0, 1, 2.5]


@pytest.mark.parametrize("name", sorted(NEVER | {"Content-Length", "TRANSFER-ENCODING", "keep_alive"}))
def test_headers_that_are_never_copied(name: str) -> None:
    """However they are written: a length that is wrong by then lets one request smuggle another."""
    with pytest.raises(UsageError, match="as a whole"):
        Options("/rpc", headers=["cookie", name])


def test_headers_are_known_by_their_variables() -> None:
    """Case does not matter."""
    assert Options("/rpc", headers=["Cookie", "x-request-ID"]).variables == ("HTTP_COOKIE", "HTTP_X_REQUEST_ID")
    assert Options("/rpc", headers=()).variables == ()


def test_headers_that_are_copied_by_default() -> None:
    """Who asks, in which language, as part of what."""
    assert {"cookie", "authorization", "accept-language", "x-request-id", "traceparent", "user-agent"} <= {*HEADERS}
    assert not {*HEADERS} & NEVER
    assert len(Options("/rpc").variables) == len(HEADERS)


def test_no_limit_of_time() -> None:
    """Is possible."""
    options = Options("/rpc", timeout=None, batch_timeout=None)
    assert (options.timeout, options.batch_timeout) == (None, None)
