"""A client as browsers are: follows 307, keeps its connection if asked to, notices when the server has closed it.

By FastCGI it is a web server and the browser in front of it in one.

Laws: a request is sent once; only a connection that has ended *before* it is replaced, never one that ended during it.
Start at Visitor.ask. RFC 9110 section 15.4.8; RFC 9112 section 9.3.1.
"""

import select
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tests.support.client import Conversation, FastCGI, Reply, parameters
from tests.support.places import Address


class Visitor:
    """Somebody who asks one thing after the other; *keep*: on one connection as long as the server allows.

    Of all requests together, `redirects` were followed and `opened` is the number of connections.
    """

    def __init__(self, address: Address, *, keep: bool = False, most: int = 1, fastcgi: bool = False) -> None:
        """*most* redirects are followed for one request; one more is a failure."""
        self.redirects = 0
        self.opened = 0
        self.keep = keep
        self._address = address
        self._most = most
        self._fastcgi = fastcgi
        self._line: Conversation | FastCGI | None = None

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
        try:
            reply = self._exchange(self._connected(), target, method, body, headers)
        except BaseException:
            self._leave()
            raise
        if not self.keep or (reply.header("connection") or "").lower() == "close":
            self._leave()
        return reply

    def _exchange(
        self, line: Conversation | FastCGI, target: str, method: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        if isinstance(line, FastCGI):
            assert not headers, "no test has sent any by FastCGI yet"
            params = parameters(target, method=method, length=len(body) if method == "POST" else None)
            return line.request(params, body, keep=self.keep).reply
        own = {} if self.keep else {"Connection": "close"}
        if method == "POST":
            own["Content-Length"] = str(len(body))
        line.request(method, target, own | dict(headers), body)
        return line.reply(method)

    def _connected(self) -> Conversation | FastCGI:
        if self._line is not None:
            readable, _, _ = select.select([self._line.socket], [], [], 0)
            if readable:   # between two answers nothing comes but the end
                self._leave()
        if self._line is None:
            self._line = FastCGI(self._address) if self._fastcgi else Conversation(self._address)
            self.opened += 1
        return self._line

    def _leave(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None
