"""How a process ended, in words.

Law: takes exit codes as subprocess gives them, negative for a signal.
"""

from __future__ import annotations

import signal


def describe_exit(code: int) -> str:
    """An exit code as subprocess gives it, in words that follow a subject: "was ended by SIGKILL (…)"."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (" (out of memory, perhaps)" if code == -signal.SIGKILL else "")
