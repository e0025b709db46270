"""Who waits for whom: a process that may be busy keeps others quiet until it has said its last word to each of them.

    a checkpoint           waits for the import that it was taken in, and then for whoever went on from it last
    the last word          DONE, or NEARER: those who come next will go on from one that this process has left behind
    and before that        the pages that it has written since, for those who go on from there next (pages.py)

Laws: each word is said once; who ends without has said nothing; a forked child owes nobody a word.
Start at Hushes.release.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from runner.generation import pages

DONE, NEARER = b".", b">"


class LastWords(NamedTuple):
    """*pages* as of `pages.written`, b"" if nothing was said of them; *nearer*: see the module."""

    pages: bytes = b""
    nearer: bool = False


class Hushes:
    """Of one process. *origin*: the pipe of the one that it went on from, -1: of none, which is *curious* or not about
    pages; of those that were written *before* it went on it need not hear.

    nearer  it has left one behind that stands nearer to what was saved, and will be asked to go on next
    """

    def __init__(self, origin: int = -1, *, curious: bool = False, before: bytes = b"") -> None:
        self.nearer = False
        self._origin = origin
        self._curious = curious
        self._before = before
        self._words = {origin: b""} if origin >= 0 else {}

    def add(self, hush: int) -> None:
        """Of one that was left behind."""
        self._words[hush] = b""

    def note_written(self) -> None:
        """Who goes on next from one of them will write there, too. To be called before a fork: what is shared then is
        not known any more, and who is left behind need not hear of it."""
        before, self._before = self._before, b""
        if self._curious or self.nearer:
            written = pages.without(pages.written(), before)
            for hush, told in self._words.items():
                self._words[hush] = told + pages.without(written, told)

    def release(self) -> None:
        """They may become busy now."""
        for hush, told in self._words.items():
            say(hush, told[: pages.TOLD] + (NEARER if self.nearer and hush == self._origin else DONE))
        self.let_go()

    def let_go(self) -> None:
        """In a child: whoever waits for our end must not wait for the child's."""
        for hush in self._words:
            os.close(hush)
        self._words = {}


def last_words(pipe: int) -> LastWords:
    """What is said in *pipe* by now."""
    os.set_blocking(pipe, False)
    try:
        said = os.read(pipe, 1 << 16)
    except BlockingIOError:
        return LastWords()
    return LastWords(said[:-1], said[-1:] == NEARER)


def say(hush: int, words: bytes) -> None:
    """Say that to whoever waits, if it does still."""
    with contextlib.suppress(BrokenPipeError):  # it has been given up
        os.write(hush, words)
