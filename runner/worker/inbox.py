"""The worker's end of its channel, where the watchdog may look for parcels and questions while the loop cannot.

The story: a connection is sent to a worker that is idle, and in the same moment a slow call begins there. The parcel
then lies in the channel of a worker that does not read it. The watchdog takes it out and gives it away again, as if it
had been taken and given by the loop; all else that it had to read for that is kept, in order, and the loop gets it
before anything newer.

What is sent while we read is read in the loop's next turn: who is given connections by the hundred serves them, too.

Laws: one reader at a time, which the watchdog's lock sees to. The oldest parcel first: what the supervisor is told of
is always the oldest it has sent. What is to be refused here stays: it has no other place to go.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator

from runner.process.channel import Channel, Received
from runner.process.messages import Account, Parcel, Taken

MOST = 16
"""Messages in one turn of the loop."""


class Inbox:
    """*wake* has `receive` called on the loop's thread; it is called from the watchdog's. So is *account*."""

    def __init__(
        self, channel: Channel, wake: Callable[[], object], account: Callable[[Account], object]
    ) -> None:
        self._channel = channel
        self._wake = wake
        self._account = account
        self._kept: deque[Received] = deque()
        self._read_now = 0

    def receive(self) -> Received | None:
        """As Channel.receive; None also after MOST in a row, and then it is called again in the next turn."""
        self._read_now += 1
        if self._read_now > MOST:
            self._read_now = 0
            self._wake()
            return None
        received = self._kept.popleft() if self._kept else self._channel.receive()
        if received is None:
            self._read_now = 0
        return received

    def returns(self) -> Iterator[None]:
        """Give away again what lies here, a parcel a step."""
        self._read()
        while (found := _oldest_parcel(self._kept)) is not None:
            place, parcel, descriptors = found
            if parcel.refused or not descriptors:
                return
            del self._kept[place]
            # In this order: of two who have it, one would answer what the other has answered.
            if self._channel.send(Taken()):
                self._channel.send(parcel, *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            yield

    def answers(self) -> Iterator[None]:
        """Answer what can be answered here: what is open now is of most interest while a call does not come back."""
        self._read()
        for received in list(self._kept):
            if isinstance(asked := received[0], Account):
                self._kept.remove(received)
                self._account(asked)
                yield

    def _read(self) -> None:
        before = len(self._kept)
        try:
            while (received := self._channel.receive()) is not None:
                self._kept.append(received)
        except EOFError:
            # The loop will read it again: an end stays readable.
            pass
        if len(self._kept) > before:
            # The channel is empty now, so the loop would not look by itself.
            self._wake()


def _oldest_parcel(kept: deque[Received]) -> tuple[int, Parcel, list[int]] | None:
    for place, (message, descriptors) in enumerate(kept):
        if isinstance(message, Parcel):
            return place, message, descriptors
    return None
