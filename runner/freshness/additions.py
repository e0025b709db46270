"""What was added to the inputs, as one process tells another.

Law: what comes out of the text is what went into it. Start at Additions.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quote
from typing import NamedTuple

from runner.freshness.stamps import Stamp


class File(NamedTuple):
    """A file that was read, with its stamp before that; *young*: its digest in hex if the stamp was young."""

    path: str
    seen: Stamp | None
    young: str = ""

    def to_json(self) -> str:
        """[path, stamp or null, digest]"""
        return f"[{quote(self.path)},{list(self.seen) if self.seen else 'null'},{quote(self.young)}]"


class Lookup(NamedTuple):
    """A search for the module *stem* in *directory*, and the entries it could find."""

    directory: str
    stem: str
    names: frozenset[str]

    def to_json(self) -> str:
        """[directory, stem, [name, …]]"""
        return f"[{quote(self.directory)},{quote(self.stem)},[{','.join(map(quote, sorted(self.names)))}]]"


class Additions(NamedTuple):
    """Inputs on their way to another process, in the order of their reading."""

    items: list[File | Lookup]

    def to_json(self) -> str:
        """One line of text."""
        # By hand: a module notes two of these on its way, and json takes longer to get ready than to write.
        return f"[{','.join([item.to_json() for item in self.items])}]"

    def to_line(self, name: str) -> bytes:
        """A line of a journal: these, and the module *name* that is loaded then."""
        return f"{self.to_json()}\t{name}\n".encode("utf-8", "surrogateescape")

    @classmethod
    def from_json(cls, text: str) -> Additions:
        """The same again. Raises ValueError or TypeError for anything that `to_json` did not write."""
        items: list[File | Lookup] = []
        for place, what, last in json.loads(text):
            if isinstance(last, list):
                items.append(Lookup(place, what, frozenset(last)))
            else:
                items.append(File(place, what and Stamp(*what), last))
        return cls(items)
