"""The paused processes as the supervisor holds them: heard of, told to go on, given up.

Which one goes on, and which are too many, says checkpoints.py. Whoever is to go on listens to the checkpoint's channel,
and when it is off there will be another one; so a checkpoint is its channel, whichever process that is just now.

Law: a channel that is closed here ends whoever listens to it. Start at Standby.resume.
"""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.memory import anonymous_file
from runner.supervisor.checkpoints import Checkpoint, Checkpoints
from runner.supervisor.switchboard import Hear, Switchboard


class Resumed(NamedTuple):
    """A process that goes on from *checkpoint*: spoken to by *channel*, it notes what it reads in *journal*."""

    channel: Channel
    journal: int
    checkpoint: Checkpoint


class Standby:
    """*book*: which there are."""

    def __init__(self, switchboard: Switchboard) -> None:
        self.book = Checkpoints()
        self._switchboard = switchboard
        self._channels: dict[int, Channel] = {}
        self._useless: list[Channel] = []

    def take_in(self, message: messages.Paused, descriptor: int, hear: Hear) -> None:
        """A process was paused, and listens at the other end of *descriptor*; *hear* is told what it says."""
        checkpoint = self.book.note_taken(message.module, message.modules)
        channel = self._channels[checkpoint.key] = Channel(socket.socket(fileno=descriptor), 0.0)
        self._switchboard.attend(channel, hear, lambda: self._gone(checkpoint))
        for surplus in self.book.surplus():
            self.drop(surplus)

    def resume(self, order: messages.Resume) -> Resumed | None:
        """Have the deepest one go on. None: there is none, or none that can be told."""
        while (checkpoint := self.book.deepest()) is not None:
            journal = anonymous_file("runner-journal")
            ours, theirs = pair()
            sent = self._channels[checkpoint.key].send(order, theirs.fileno(), journal)
            theirs.close()
            if sent:
                return Resumed(ours, journal, checkpoint)
            ours.close()
            os.close(journal)
            self.drop(checkpoint)
        return None

    def drop(self, checkpoint: Checkpoint) -> None:
        """Give it up, if it is still there."""
        if checkpoint.key in self._channels:
            self._switchboard.finish(self._channels[checkpoint.key])

    def pass_over(self, modules: int) -> None:
        """Have nobody go on who has imported more than so many modules, for the next one has changed.

        They end by `tidy`: that costs the system some time, which whoever goes on now has better use for. The zygote
        counts others: what the application asks for later is there from the beginning.
        """
        for checkpoint in self.book.all():
            if checkpoint.module and checkpoint.modules > modules:
                self.book.note_gone(checkpoint.key)
                self._useless.append(self._channels.pop(checkpoint.key))

    def tidy(self) -> None:
        """There is time to end those who were passed over."""
        while self._useless:
            self._switchboard.finish(self._useless.pop())

    def start_over(self) -> None:
        """Give up all but the zygote: nothing of the application may be what it was."""
        for checkpoint in self.book.all():
            if checkpoint.module:
                self.drop(checkpoint)

    def clear(self) -> None:
        """Give all up: the next import shall be a new one."""
        self.tidy()
        for checkpoint in self.book.all():
            self.drop(checkpoint)

    def _gone(self, checkpoint: Checkpoint) -> None:
        self.book.note_gone(checkpoint.key)
        self._channels.pop(checkpoint.key, None)
