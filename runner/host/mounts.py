"""Which of several applications answers: the one whose prefix the path begins with, the longest first.

Laws: pure; a prefix ends at a segment's end (`/live` is no prefix of `/lively`); what was cut off the path is said to
the application (SCRIPT_NAME, root_path), so that the whole path stays what it was. Start at find.
RFC 3875 sections 4.1.5 and 4.1.13.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from runner.host.loading import Target


class Mount(NamedTuple):
    """An application below *prefix*, e.g. "/live"; "" for the one that answers all the rest."""

    prefix: str
    target: Target


def find(prefixes: Sequence[str], path: str) -> int:
    """The place of the longest of *prefixes* that *path* (PATH_INFO) is below. One of them must be ""."""
    found, longest = -1, -1
    for place, prefix in enumerate(prefixes):
        length = len(prefix)
        if length > longest and path.startswith(prefix) and path[length : length + 1] in ("", "/"):
            found, longest = place, length
    return found if found >= 0 else prefixes.index("")


def enter(variables: dict[str, str], prefix: str) -> None:
    """Move *prefix* from the path's front to where the application is mounted."""
    variables["SCRIPT_NAME"] += prefix
    variables["PATH_INFO"] = variables["PATH_INFO"][len(prefix):]


def spell(prefix: str) -> str:
    """As CGI spells it: the bytes of its UTF-8, each a character."""
    return prefix.encode("utf-8").decode("latin-1")
