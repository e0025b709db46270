"""The paused processes of earlier imports: which one is the best to go on, and which are too many.

    deepest   the one that has imported most; whether nothing of that has changed it knows itself, when it is asked
    surplus   beyond so many the oldest, and those that the zygote has overtaken, from which everything can be imported
              anew

Those that had come further than what changed are passed over as soon as that is told (standby.py). Whoever finds that
he is of no use any more is struck out, and the next deepest is asked; so the last word is always an exact comparison
with the disk, and what is known here only decides how soon the right one is found.

Laws: pure: no process, no channel. Start at Checkpoints.deepest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Checkpoint(NamedTuple):
    """One of them: known as *key*, paused before *module* ("" for the zygote), *modules* imported before that."""

    key: int
    module: str
    modules: int


class Pace(NamedTuple):
    """What is known of where the next checkpoints are worth most, and of what may be done then; see messages.Resume."""

    hot: Sequence[str] = ()
    step: float = 0.0
    preload: bool = True
    first: bool = True


NO_PACE = Pace()
"""Nothing is."""


class Checkpoints:
    """All of them; *most*: how many there may be beside the zygote."""

    def __init__(self, most: int = 0) -> None:
        self.most = most
        self._known: dict[int, Checkpoint] = {}
        self._keys = 0

    def __len__(self) -> int:
        return len(self._known)

    def note_taken(self, module: str, modules: int) -> Checkpoint:
        """A process was paused."""
        self._keys += 1
        checkpoint = self._known[self._keys] = Checkpoint(self._keys, module, modules)
        return checkpoint

    def note_gone(self, key: int) -> None:
        """It is of no use, or its process has ended."""
        self._known.pop(key, None)

    def deepest(self) -> Checkpoint | None:
        """The one to ask first; of two that stand at the same place the younger."""
        return max(self._known.values(), key=lambda each: (each.modules, each.key), default=None)

    def surplus(self) -> list[Checkpoint]:
        """Those to be given up: the older zygotes, who has imported less than the newest one, and what is too many.

        After a first start that is most of them: it had nothing loaded before, and shares nothing with the zygote.
        """
        zygotes = [each for each in self._known.values() if not each.module]
        least = zygotes[-1].modules if zygotes else 0
        shallow = [each for each in self._known.values() if each.module and each.modules < least]
        others = [each for each in self._known.values() if each.module and each.modules >= least]
        return zygotes[:-1] + shallow + others[: max(0, len(others) - self.most)]

    def all(self) -> list[Checkpoint]:
        """In the order in which they were taken."""
        return list(self._known.values())
