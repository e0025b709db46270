"""Why the runner refuses a request (503 with Retry-After), in words for the client, and how that is counted.

    waited in vain    for newer code, as long as `--hold-timeout` allows: expired
    no room           too many at once (`--max-inflight`), too many that wait for newer code: refused
    no time           the service is stopping: refused

Law: the words are what travels from the supervisor to the worker that says them, so both read them here.
"""

from __future__ import annotations

from runner.process.scoreboard import Counter

LATE = "the newer code is not ready yet; ask again"
FULL = "too many requests wait for the newer code; ask again"
STOPPING = "the service is stopping; ask again"
CROWDED = "too many requests at once; ask again in a second"


def counter_of(reason: str) -> Counter:
    """Where a request is counted that was refused for that *reason*."""
    return Counter.EXPIRED if reason == LATE else Counter.REFUSED
