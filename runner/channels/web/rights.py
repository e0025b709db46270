"""Which channels a client may listen to, and which it may publish in: the application's rules.

A rule is asked with the scope of the connection (its cookies are in the headers) and a channel's name; it may be a
coroutine function. It is asked once for each subscription and each message, and again when a connection is resumed.

Laws: safe by default: without rules of the application only what is called "public.…" can be listened to, and nobody
publishes. What a rule raises is the application's error, and no answer. Start at Rights.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

Scope = dict[str, Any]
Event = dict[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
"""What an ASGI application is called with."""
Rule = Callable[[Scope, str], bool | Awaitable[bool]]

PUBLIC = "public."
"""How the channels' names begin that all may listen to, where the application has no rule."""


def public(scope: Scope, channel: str) -> bool:
    """What is called so is for all."""
    return channel.startswith(PUBLIC)


def nobody(scope: Scope, channel: str) -> bool:
    """For none."""
    return False


class Rights(NamedTuple):
    """Both rules."""

    subscribe: Rule = public
    publish: Rule = nobody

    async def may_subscribe(self, scope: Scope, channel: str) -> bool:
        """Ask the one."""
        return await _ask(self.subscribe, scope, channel)

    async def may_publish(self, scope: Scope, channel: str) -> bool:
        """Ask the other."""
        return await _ask(self.publish, scope, channel)


async def _ask(rule: Rule, scope: Scope, channel: str) -> bool:
    found = rule(scope, channel)
    return bool(await found if inspect.isawaitable(found) else found)
