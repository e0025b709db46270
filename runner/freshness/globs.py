"""What `--watch` names: every file that a pattern matches, now or later, is an input.

    trees   the directories below which there could be one, each with its stamp when it was walked last

Law: a directory is observed before anybody looks into it. Start at Globs.search.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runner.freshness.patterns import translate, walk
from runner.freshness.stamps import Stamp, stamp


class Globs:
    """*observe* hears of each directory first."""

    def __init__(self, observe: Callable[[str], None]) -> None:
        self._observe = observe
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._trees: dict[str, Stamp | None] = {}

    def add(self, pattern: str) -> None:
        """*pattern* (absolute), see patterns.py."""
        self._patterns[pattern] = translate(pattern)

    def match(self, path: str) -> bool:
        """Whether *path* would be an input."""
        return any(pattern.fullmatch(path) for pattern in self._patterns.values())

    def search(self) -> list[str]:
        """Walk them all; what they match. One without wildcards matches its path, there or not."""
        self._trees = {}
        found = ((path, pattern) for text, pattern in self._patterns.items() for path in walk(text, self._enter))
        return [path for path, pattern in found if pattern.fullmatch(path)]

    def in_tree(self, directory: str) -> bool:
        """A new directory in *directory* could hold what is matched."""
        return directory in self._trees

    def grown(self) -> bool:
        """Names have come or gone since the last walk."""
        return any(stamp(directory) != before for directory, before in self._trees.items())

    def _enter(self, directory: str) -> None:
        self._observe(directory)
        self._trees[directory] = stamp(directory)
