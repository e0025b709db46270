"""What hooks see of a batch, what a worker is asked to do, and what it is told afterwards.

    Context      of one batch, for hooks
    SubRequest   one item on its way to the endpoint
    Dispatcher   how a worker sends it there: all that a batch knows of the process it runs in
    Done         what came of it all, for the logs

Law: values and a protocol only; what they do is running's. Start at Dispatcher.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from runner.batch.answers import Outcome, Reason
from runner.batch.splitting import Item
from runner.request import Answer, Request

Hook = Callable[..., Any]


class Context:
    """One batch, for hooks.

    request    the one that has brought it
    body       as sent
    is_batch   it is an array; False: a single request
    items      in the order sent; `before_batch` may put others in their places
    responses  for the batch's own hooks: of each item, bytes of a response object, or None: none yet, or none ever.
               `before_batch` may answer items by it, which then are not run; `after_batch` may replace what is there
    state      for hooks; nobody else looks
    """

    __slots__ = ("body", "is_batch", "items", "request", "responses", "state")

    def __init__(self, request: Request, body: bytes, items: list[Item], *, is_batch: bool) -> None:
        self.request = request
        self.body = body
        self.is_batch = is_batch
        self.items = items
        self.responses: list[bytes | None] = [item.refusal for item in items]
        self.state: dict[str, Any] = {}


class SubRequest(NamedTuple):
    """An item on its way: POST *path*, with the item's bytes as its body.

    path       as in a URL, percent-encoded, maybe with a query; begins with /
    body       exactly as sent
    variables  CGI meta-variables of its header fields, e.g. HTTP_COOKIE, CONTENT_TYPE; shared, so not to be changed
    item       what the body says
    most       bytes that an answer may have; of a longer one nothing is used
    """

    path: str
    body: bytes
    variables: dict[str, str]
    item: Item
    most: int


class Spent(NamedTuple):
    """One item that was sent to the endpoint, for the access log.

    *seconds* from there until its answer was complete, or nobody waited any more; *status* if there was one;
    *reason* if there was no answer.
    """

    item: Item
    path: str
    seconds: float
    status: int | None
    reason: Reason | None


class Done(NamedTuple):
    """What a batch came to.

    answer   None: its client left, so nobody has got one
    seconds  of the whole batch
    spent    of each item that was sent to the endpoint, in the order of their ends
    faults   what hooks and the dispatcher have raised, to be logged
    """

    answer: Answer | None
    seconds: float
    spent: list[Spent]
    faults: list[BaseException]


class Dispatcher(Protocol):
    """What a worker puts into `Request.dispatcher` before it lets anybody see the request."""

    @property
    def width(self) -> int:
        """How many items run at the same time, where the batch does not say: max(8, workers)."""

    def dispatch(self, sub: SubRequest, /) -> Outcome | Awaitable[Outcome]:
        """Send it through the whole application, once.

        What can be answered at once is returned as it is: no task is made for it. What is awaited is cancelled when
        its time is over or the client of the batch is gone; then it must release what it holds and not come back.
        """

    def report(self, done: Done, /) -> None:
        """A batch is over; said once for each, also if it was cancelled. Must not raise."""
