"""A JSON-RPC 2.0 batch becomes requests to an endpoint that answers single ones, and their answers become one.

    from runner.batch import JSONRPCBatch

    batch = JSONRPCBatch(path="/jsonrpc")      # runner serve app:main --mount /jsonrpc/batch=app:batch

    gateway    what an application writes: JSONRPCBatch
    options    its options, and what makes no sense
    running    a batch runs: its items at the same time, each as long as it may
    context    what hooks see, and what a worker has to give (Dispatcher)
    splitting  a body -> items, each as it was sent
    answers    what became of an item -> its response object
    objects    the response objects that are our own
    scanning   JSON, with nothing lost and nothing too deep

Laws: knows no wire, no process and no host; a worker gives the way to the endpoint. Nothing here is global.
"""

from runner.batch.answers import Answered, Failed, Outcome, Reason
from runner.batch.context import Context, Dispatcher, Done, Spent, SubRequest
from runner.batch.gateway import JSONRPCBatch
from runner.batch.splitting import Item

__all__ = [
    "Answered", "Context", "Dispatcher", "Done", "Failed", "Item", "JSONRPCBatch", "Outcome", "Reason", "Spent",
    "SubRequest",
]  # fmt: skip
