"""The symbolic links on the way to a path: swapped, each changes what the path means, without an event where it led to.

Law: a link is named before it is followed, so that whoever watches it at that moment misses no swap. Start at links.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def links(path: str, followed: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """The directory and the name of each link in *path* (absolute), and in where it leads, one step at a time.

    Raises OSError if one is being swapped at this moment: what takes its place has to be followed, too.
    """
    while path != os.path.dirname(path):
        if os.path.islink(path) and path not in followed:
            parent, name = os.path.split(path)
            yield parent, name
            # One step at a time: each link of a chain may be swapped.
            target = os.path.join(os.path.realpath(parent), os.readlink(path))
            yield from links(os.path.normpath(target), followed | {path})
        path = os.path.dirname(path)
