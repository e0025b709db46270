"""Files without a name, for what processes share or hand to each other.

Law: what is made here vanishes with its last descriptor; nothing is left on a disk, whatever ends us. memfd_create(2).
"""

from __future__ import annotations

import os
import tempfile


def anonymous_file(name: str) -> int:
    """A descriptor of a new, empty file; *name* is for /proc alone. Raises OSError."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    descriptor, path = tempfile.mkstemp(prefix=name)
    os.unlink(path)
    return descriptor
