"""A batch runs: its items at the same time, but not too many; each for as long as it may; each once.

    admit   split, and count the cost: a batch is refused as a whole before anything of it runs
    begin   an item is a generator, which yields what it has to wait for; one that waits for nothing ends here and now
    go on   one that waits becomes a task with a timer: those cost more than a short call, so only then
    join    the response objects, in the order of the requests or of their ends

Laws: no socket, no process; whatever a hook or an endpoint does is the affair of its item, and CancelledError alone
goes past: then all items are cancelled and awaited, and nothing is left behind. Nothing runs twice. Whoever else waits
for the loop has a turn at least every SLICE seconds, if a single item lets him. Start at run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from typing import Any

from runner.batch.answers import Answered, Failed, Outcome, Reason, join, respond
from runner.batch.context import Context, Dispatcher, Done, Hook, Spent, SubRequest
from runner.batch.objects import INTERNAL_ERROR, INVALID_REQUEST, encode, failure
from runner.batch.options import Options, check_cost, check_path
from runner.batch.scanning import whole
from runner.batch.splitting import Item, Split, begin
from runner.request import Answer, Request

SLICE = 0.00025
"""Seconds."""

Steps = Generator[Awaitable[Any], Any, Any]


async def run(options: Options, body: bytes, request: Request, dispatcher: Dispatcher) -> Answer:
    """The answer to *body*, which *request* has brought; its items are sent through *dispatcher*.

    To be cancelled when the client is gone: it ends when everything that it began has ended.
    """
    clock = asyncio.get_running_loop().time
    began = clock()
    running = _Running(options, request, dispatcher)
    answer = None
    try:
        answer = await running.answer(body)
        return answer
    finally:
        dispatcher.report(Done(answer, clock() - began, running.spent, running.faults))


class _Over(Exception):
    """Nobody waits for it any more."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


class _Running:
    """One batch, from its body to its answer."""

    def __init__(self, options: Options, request: Request, dispatcher: Dispatcher) -> None:
        self.spent: list[Spent] = []
        self.faults: list[BaseException] = []
        self._options = options
        self._request = request
        self._dispatcher = dispatcher
        self._active = 0
        self._room_again: asyncio.Future[None] | None = None
        self._clock = asyncio.get_running_loop().time
        self._end = None if options.batch_timeout is None else self._clock() + options.batch_timeout

    async def answer(self, body: bytes) -> Answer:
        """See run."""
        options = self._options
        parts = await self._split(body)
        if isinstance(parts, bytes):
            return join([parts], is_batch=False)
        self._admitted(body, parts.items, is_batch=parts.is_batch)
        if options.cost is not None and (refusal := self._too_dear()) is not None:
            return join([refusal], is_batch=False)
        try:
            given = await self._ask_all(options.before_batch)
            if given is not None:
                return self._whole(given)
            await self._run()
            given = await self._ask_all(options.after_batch)
            if given is not None:
                return self._whole(given)
            self._changed()
        except _Over as over:
            if all(item.notification for item in self._items):
                return join([], is_batch=True)
            data = {"status": None, "reason": over.reason}
            return join([failure(INTERNAL_ERROR, data=data)], is_batch=False)
        places = range(len(self._items)) if options.ordered else self._order
        responses = [response for place in places if (response := self._responses[place]) is not None]
        return join(responses, is_batch=parts.is_batch)

    # ---- admit --------------------------------------------------------------------------------------------------

    async def _split(self, body: bytes) -> Split | bytes:
        """See splitting.split; a thousand items take milliseconds."""
        options, turn = self._options, self._clock() + SLICE
        steps = begin(body, max_items=options.max_items, allow_single=options.allow_single)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if self._clock() >= turn:
                turn = await self._give_turn()

    async def _give_turn(self) -> float:
        """To the others on this loop; when the next one is due."""
        await asyncio.sleep(0)
        return self._clock() + SLICE

    def _admitted(self, body: bytes, items: list[Item], *, is_batch: bool) -> None:
        """It may run: what its items are judged by, whatever hooks do to the lists in *context*."""
        self._items = tuple(items)
        self._context = Context(self._request, body, items, is_batch=is_batch)
        self._responses = list(self._context.responses)
        self._closed = {place for place, item in enumerate(items) if item.refusal is not None}
        self._order = sorted(self._closed)
        # Brackets, and a comma behind each but the last.
        self._room = self._options.max_response + (-1 if is_batch else 1)
        self._room -= sum(len(response) + 1 for response in self._responses if response is not None)
        given = self._request.variables
        self._variables = {"CONTENT_TYPE": "application/json", "HTTP_ACCEPT": "application/json"}
        self._variables.update((name, given[name]) for name in self._options.variables if name in given)

    def _too_dear(self) -> bytes | None:
        """The error object of a batch that costs too much. An item whose cost nobody can tell is not run."""
        assert self._options.cost is not None and self._options.max_cost is not None
        total: float = 0
        for place, item in enumerate(self._items):
            if place not in self._closed:
                try:
                    total += check_cost(self._options.cost(item))
                except BaseException as error:
                    self.faults.append(error)
                    self._settle(place, Failed(Reason.HOOK))
                    self._close(place)
        if total <= self._options.max_cost:
            return None
        reason = f"the batch costs {total:g}, more than {self._options.max_cost:g}"
        return failure(INVALID_REQUEST, data={"reason": reason})

    # ---- hooks of the batch ---------------------------------------------------------------------------------------

    async def _ask_all(self, hook: Hook | None) -> Any:
        """What it returns. It has the time of one item, apart from theirs, so that no answer is lost to slow items."""
        if hook is None:
            return None
        self._context.responses = list(self._responses)
        try:
            async with asyncio.timeout(self._options.timeout) as limit:
                came = hook(self._context)
                if hasattr(came, "__await__"):
                    came = await came
            if len(self._context.items) != len(self._items) or len(self._context.responses) != len(self._items):
                raise ValueError("a hook of the batch has made its lists longer or shorter; put items in their places")
            return came
        except BaseException as error:
            if _is_told(error):
                raise
            if limit.expired():
                raise _Over(Reason.TIMEOUT) from None
            self.faults.append(error)
            raise _Over(Reason.HOOK) from None

    def _whole(self, given: Any) -> Answer:
        """The answer that a hook has given in place of all: an object, or a list of them."""
        try:
            many = isinstance(given, list | tuple)
            responses = [encode(each) for each in (given if many else [given])]
            for response in responses:
                whole(response)
            return join(responses, is_batch=many)
        except Exception as error:
            self.faults.append(error)
            raise _Over(Reason.HOOK) from None

    def _changed(self) -> None:
        """What `after_batch` has put in the place of responses is judged as they were."""
        for place, response in enumerate(self._context.responses):
            if response is not None and response is not self._responses[place]:
                try:
                    self._settle(place, Answered(200, encode(response)))
                except Exception as error:
                    self.faults.append(error)
                    self._settle(place, Failed(Reason.HOOK))

    # ---- begin ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """All items; returns when the last one has ended."""
        width = self._options.concurrency or self._dispatcher.width
        self._unstarted: dict[int, tuple[Steps, Awaitable[Any]]] = {}
        turn = self._clock() + SLICE
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(len(self._items)):
                    if place in self._closed:
                        continue
                    while self._active >= width:
                        self._room_again = asyncio.get_running_loop().create_future()
                        await self._room_again
                    self._begin(place, group)
                    if self._clock() >= turn:
                        turn = await self._give_turn()
        finally:
            # A task that is cancelled before its first step never runs, and neither does what it was to await.
            for steps, awaitable in self._unstarted.values():
                steps.close()
                if isinstance(awaitable, Coroutine):
                    awaitable.close()

    def _begin(self, place: int, group: asyncio.TaskGroup) -> None:
        if self._end is not None and self._clock() >= self._end:
            self._settle(place, Failed(Reason.BATCH_TIMEOUT))
            self._close(place)
            return
        steps = self._steps(place)
        try:
            awaitable = next(steps)
        except StopIteration:
            pass
        else:
            self._active += 1
            self._unstarted[place] = steps, awaitable
            group.create_task(self._go_on(place))

    def _steps(self, place: int) -> Steps:
        """One item. What it yields is awaited, and comes back; _Over: nobody waits for it any more."""
        outcome = yield from self._kept(self._outcome(place), Reason.HOOK)
        self._settle(place, outcome)
        if self._options.after is not None:
            changed = yield from self._kept(self._after(place), Reason.HOOK)
            if changed is not None:
                self._settle(place, changed)
        self._close(place)

    def _kept(self, steps: Steps, reason: Reason) -> Steps:
        """What *steps* return; or how they have failed, which then is the affair of this item: *reason*."""
        try:
            return (yield from steps)
        except GeneratorExit:
            raise
        except _Over as over:
            return Failed(over.reason)
        except BaseException as error:
            self.faults.append(error)
            return Failed(reason)

    def _outcome(self, place: int) -> Steps:
        """What the item comes to: a hook's answer, or the endpoint's."""
        options, context = self._options, self._context
        item = context.items[place]
        if (given := context.responses[place]) is not None:
            return Answered(200, encode(given))
        if options.before is not None:
            came = yield from _ask(options.before, context, item)
            if isinstance(came, Item):
                item = came
            elif came is not None:
                return Answered(200, encode(came))
        if item.refusal is not None:
            return Answered(200, item.refusal)
        path = options.path
        if not isinstance(path, str):
            path = check_path((yield from _ask(path, context, item)))
        return (yield from self._send(item, path))

    def _send(self, item: Item, path: str) -> Steps:
        """To the endpoint."""
        began = self._clock()
        outcome: Outcome = Failed(Reason.CANCELLED)
        sub = SubRequest(path, item.raw, self._variables, item, max(self._room - 1, 0))
        try:
            outcome = yield from self._kept(_ask(self._dispatcher.dispatch, sub), Reason.FAILED)
        finally:
            reason = outcome.reason if isinstance(outcome, Failed) else None
            self.spent.append(Spent(item, path, self._clock() - began, outcome.status, reason))
        return outcome

    def _after(self, place: int) -> Steps:
        """What the hook wants instead, or None."""
        assert self._options.after is not None
        came = yield from _ask(self._options.after, self._context, self._items[place], self._responses[place])
        return None if came is None else Answered(200, encode(came))

    # ---- go on ----------------------------------------------------------------------------------------------------

    async def _go_on(self, place: int) -> None:
        """The task of an item that has something to wait for."""
        steps, awaitable = self._unstarted.pop(place)
        end, reason = self._limit()
        try:
            while True:
                try:
                    async with asyncio.timeout_at(end) as limit:
                        came = await awaitable
                except BaseException as error:
                    if _is_told(error):
                        raise
                    if limit.expired():
                        error = _Over(reason)
                    elif isinstance(error, asyncio.CancelledError):
                        error = _Over(Reason.CANCELLED)
                    awaitable = steps.throw(error)
                else:
                    awaitable = steps.send(came)
        except StopIteration:
            pass
        finally:
            steps.close()
            self._active -= 1
            if self._room_again is not None and not self._room_again.done():
                self._room_again.set_result(None)

    def _limit(self) -> tuple[float | None, Reason]:
        """Until when an item that begins now may run, and what is said of it then."""
        own = None if self._options.timeout is None else self._clock() + self._options.timeout
        if own is None or (self._end is not None and self._end < own):
            return self._end, Reason.BATCH_TIMEOUT
        return own, Reason.TIMEOUT

    # ---- join -----------------------------------------------------------------------------------------------------

    def _settle(self, place: int, outcome: Outcome) -> None:
        """The response to this item is what *outcome* says, in place of what it may have had before."""
        before = self._responses[place]
        if before is not None:
            self._room += len(before) + 1
        response = respond(self._items[place], outcome, self._room - 1)
        if response is not None:
            self._room -= len(response) + 1
        self._responses[place] = response

    def _close(self, place: int) -> None:
        """Nothing more is done for this item."""
        self._closed.add(place)
        self._order.append(place)


def _ask(call: Hook, *arguments: Any) -> Steps:
    came = call(*arguments)
    return (yield came) if hasattr(came, "__await__") else came


def _is_told(error: BaseException) -> bool:
    """Whoever waits for the present task wants it to end: that is not an error to be dealt with here."""
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
