"""What goes along with a WebSocket from one process to another, as bytes.

Law: pure; both ends are of one version of the runner, so what does not fit is a fault of ours. Start at Luggage.
"""

from __future__ import annotations

import json
from typing import NamedTuple


class Luggage(NamedTuple):
    """All that its connection does not say by itself.

    head         of the request that asked for it, as it came
    state        what its application has said of it
    script       the path at which that application was mounted (SCRIPT_NAME)
    subprotocol  the one that was accepted, or None
    began        monotonic seconds at which the request was there
    sent         bytes, so far
    due          monotonic seconds at which the next ping is due
    """

    head: bytes
    state: str
    script: str
    subprotocol: str | None
    began: float
    sent: int
    due: float

    def pack(self) -> bytes:
        """As UTF-8; raises UnicodeEncodeError for a state that is no text."""
        head, *rest = self
        return json.dumps([head.decode("latin-1"), *rest], ensure_ascii=False).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Luggage:
        """What was packed."""
        head, *rest = json.loads(data)
        return cls(head.encode("latin-1"), *rest)
