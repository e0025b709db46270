"""A client as browsers are: follows 307, keeps its connection if asked to, notices when the server has closed it.

Laws: a request is sent once; only a connection that has ended *before* it is replaced, never one that ended during it.
Start at Visitor.ask. RFC 9110 section 15.4.8; RFC 9112 section 9.3.1.
"""

import select
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.support.client import Conversation, Reply
from tests.support.places import Address


class Visitor:
    """Somebody who asks one thing after the other; *keep*: on one connection as long as the server allows."""

    def __init__(self, address: Address, *, keep: bool = False, most: int = 1) -> None:
        """*most* redirects are followed for one request; one more is a failure. `opened` counts connections."""
        self.redirects = 0
        self.opened = 0
        self._address = address
        self._keep = keep
        self._most = most
        self._conversation: Conversation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def ask(
        self, target: str, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Return the answer after the redirects, which must lead to the same URL."""
        for _ in range(self._most + 1):
            reply = self._once(target, method, body, headers or {})
            if reply.status != 307:
                return reply
            assert reply.header("location") == target, reply
            assert method != "POST", "a POST must not be redirected"
            self.redirects += 1
        raise AssertionError(f"{method} {target} was redirected more than {self._most} times")

    def _once(self, target: str, method: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        conversation = self._connected()
        own = {} if self._keep else {"Connection": "close"}
        if method == "POST":
            own["Content-Length"] = str(len(body))
        try:
            conversation.request(method, target, own | dict(headers), body)
            reply = conversation.reply(method)
        except BaseException:
            self._leave()
            raise
        if not self._keep or (reply.header("connection") or "").lower() == "close":
            self._leave()
        return reply

    def _connected(self) -> Conversation:
        if self._conversation is not None:
            readable, _, _ = select.select([self._conversation.socket], [], [], 0)
            if readable:   # between two answers nothing comes but the end
                self._leave()
        if self._conversation is None:
            self._conversation = Conversation(self._address)
            self.opened += 1
        return self._conversation

    def _leave(self) -> None:
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None
