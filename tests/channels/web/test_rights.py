"""Who may: the application's rules, and what holds without them."""

import asyncio
from typing import Any

import pytest

from runner.channels.web.rights import Rights

SCOPE: dict[str, Any] = {"type": "websocket"}


@pytest.mark.parametrize(("channel", "may"), [
    ("public.news", True), ("public.", True), ("public", False), ("Public.news", False), ("private.public.", False),
])  # fmt: skip
def test_without_rules_what_is_called_public_is(channel: str, may: bool) -> None:
    """And nobody publishes."""
    assert asyncio.run(Rights().may_subscribe(SCOPE, channel)) is may
    assert asyncio.run(Rights().may_publish(SCOPE, channel)) is False


def test_a_rule_is_a_function_or_a_coroutine_function() -> None:
    """It is given the scope and the channel; what is true counts as True."""
    asked = []

    def rule(scope: dict[str, Any], channel: str) -> bool:
        asked.append((scope, channel))
        return 1  # type: ignore[return-value]

    async def arule(scope: dict[str, Any], channel: str) -> bool:
        await asyncio.sleep(0)
        return rule(scope, channel)

    for each in (rule, arule):
        assert asyncio.run(Rights(each).may_subscribe(SCOPE, "a")) is True
        assert asyncio.run(Rights(publish=each).may_publish(SCOPE, "b")) is True
    assert asked == [(SCOPE, "a"), (SCOPE, "b")] * 2
