"""What hooks see of a batch."""

from runner.batch.context import Context
from runner.batch.splitting import single
from tests.batch.endpoint import call, request


def test_the_context_of_a_batch_that_has_just_been_split() -> None:
    """What is refused has its response already."""
    good, bad = single(call(1)), single(b"1")
    brought = request()
    context = Context(brought, b"...", [good, bad], is_batch=True)
    assert (context.request, context.body, context.items, context.is_batch) == (brought, b"...", [good, bad], True)
    assert context.responses == [None, bad.refusal]
    assert context.state == {}
