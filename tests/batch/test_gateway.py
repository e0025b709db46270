"""The class that applications use."""

import asyncio
import inspect
import re

import pytest

from runner.batch import JSONRPCBatch
from runner.batch.options import Options
from runner.errors import NoRequest, UsageError
from tests.batch.endpoint import Endpoint, array, call, decoded, request, result


def test_a_batch_runs_within_a_request() -> None:
    """Where a worker has said how."""
    brought, endpoint = request(), Endpoint()
    brought.dispatcher = endpoint
    answer = asyncio.run(JSONRPCBatch("/rpc").run(array(call(1, "echo", "x")), brought))
    assert decoded(answer) == [result(1, ["x"])]
    assert endpoint.done.answer == answer


def test_a_batch_cannot_run_outside_of_a_runner() -> None:
    """The error says what to do."""
    with pytest.raises(NoRequest, match="runner serve"):
        asyncio.run(JSONRPCBatch("/rpc").run(b"[]", request()))


def test_what_makes_no_sense_is_refused() -> None:
    """See test_options."""
    with pytest.raises(UsageError):
        JSONRPCBatch("rpc")


def test_every_option_is_explained() -> None:
    """And nothing that is not there."""
    documentation = inspect.getdoc(JSONRPCBatch) or ""
    explained = re.findall(r"^(\w+)  +\S", documentation, re.MULTILINE)
    assert sorted(explained) == sorted(inspect.signature(Options).parameters)
