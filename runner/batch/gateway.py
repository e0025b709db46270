"""The gateway that an application puts before its JSON-RPC endpoint.

    from runner.batch import JSONRPCBatch

    batch = JSONRPCBatch(path="/jsonrpc")      # runner serve app:main --mount /jsonrpc/batch=app:batch

Law: only the words; what they do is running's. Start at JSONRPCBatch.
"""

from __future__ import annotations

from runner.batch.options import Options
from runner.batch.running import run
from runner.errors import NoRequest
from runner.request import Answer, Request


class JSONRPCBatch(Options):
    """JSON-RPC 2.0 batches, for an endpoint that answers single requests: each item is a request of its own to *path*.

    It goes through the whole application, with a context, resources and a line in the access log of its own, in
    parallel with the others. The endpoint gets the item's bytes exactly as sent, and its response object is passed
    on exactly as it came; what is no response to this item becomes -32603 "Internal error" with *data* that names
    status and reason, and no other item suffers. Nothing runs twice.

    path           where the endpoint is, as in a URL: "/jsonrpc"; or `path(context, item)`, which returns that
    max_items      more: HTTP 200 with one -32600 error object, and nothing runs (splitting takes about 2 µs an item)
    max_response   bytes of the whole answer: what does not fit any more is -32603, the rest is kept
    concurrency    items that run at the same time; None: as many as the run has workers, or 8 if that is more
    ordered        responses in the order of the requests; False: as they came. That costs no time: all are awaited
    timeout        seconds for each item from its begin, its hooks included; None: no limit
    batch_timeout  seconds for all items together: those which have not ended then are -32603, the rest is kept
    allow_single   answer a request that is no array, too; False: one -32600 error object
    before         `before(context, item)`, before it is run: None lets it run as it is, `item.changed(...)` in another
                   way, and a response object answers it: `item.result(value)`, `item.error(code, message)` or a dict
    after          `after(context, item, response)`, whatever it came to: None leaves it, a response object replaces it;
                   *response* is bytes, or None for a notification
    before_batch   `before_batch(context)`, when everything is split: an object or a list of them is the answer to all;
                   None: go on, with what it may have put into `context.items` and `context.responses`
    after_batch    `after_batch(context)`, when every item has ended; as before_batch
    cost           `cost(item)` is a number from 0 on, e.g. how dear the method is; not async. An item for which it
                   raises is not run
    max_cost       of all items together; more: one -32600 error object, and nothing runs
    headers        names of the header fields that each item takes along; by default runner.batch.options.HEADERS

    *path* and hooks may be coroutine functions; they run in the context of the request that has brought the batch. One
    that raises is -32603 for its item, or for the batch, and is logged. Items that are no requests
    (-32600) are run by nobody, and no hook is asked about them. See Context and Item for what hooks can see.

    Raises UsageError for what makes no sense. Without a mount: `await batch.run(body, current())`.
    """

    async def run(self, body: bytes, request: Request) -> Answer:
        """The answer to *body*, within *request* (`runner.request.current()`): status, headers, and a body.

        Cancelled, it cancels what runs. Raises NoRequest where items cannot be sent anywhere: outside of a runner.
        """
        if request.dispatcher is None:
            raise NoRequest(
                "this request has come through no runner that could send the items on; serve the application with "
                "`runner serve`, or give `runner.batch.running.run` a Dispatcher of your own in a test"
            )
        return await run(self, body, request, request.dispatcher)
