"""Path patterns, of `--watch` and `--ignore`: `**/` any directories, `*` and `?` within one name, `[…]` as in a shell.

Law: `translate` is pure; `walk` looks at directories only after it has said which, so that they can be watched first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator


def translate(pattern: str) -> re.Pattern[str]:
    """*pattern* as a regular expression for whole paths."""
    text = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            text, at = text + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            text, at = text + ".*", at + 2
        elif pattern[at] == "*":
            text, at = text + "[^/]*", at + 1
        elif pattern[at] == "?":
            text, at = text + "[^/]", at + 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            text, at = text + _one_of(pattern[at + 1 : end]), end + 1
        else:
            text, at = text + re.escape(pattern[at]), at + 1
    return re.compile(text, re.DOTALL)


def walk(pattern: str, observe: Callable[[str], None]) -> Iterator[str]:
    """Every path that could match *pattern*, below its longest part without wildcards; each directory observed first.

    Like a shell it enters no hidden directory that the pattern does not name.
    """
    base = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    if base == pattern:
        yield pattern
        return
    top = os.path.dirname(base) or "/"
    observe(top)
    for directory, below, names in os.walk(top):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in below:
            observe(os.path.join(directory, name))
        for name in names:
            yield os.path.join(directory, name)


def _one_of(chosen: str) -> str:
    """The inside of `[…]`: characters and ranges; a range that runs backwards is its three characters."""
    negated = chosen[0] in "!^"
    text = chosen[negated:]
    parts = []
    at = 0
    while at < len(text):
        first, dash, last = text[at], text[at + 1 : at + 2], text[at + 2 : at + 3]
        if dash == "-" and last and first <= last:
            parts.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            parts.append(re.escape(first))
            at += 1
    return f"[{'^/' if negated else ''}{''.join(parts)}]"
