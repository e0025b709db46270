"""What a process is called in `ps`: "runner: worker 1 generation 4 [app:main]".

Law: only with the extra `titles` (setproctitle); without it every process keeps the name it was started under.
"""

from __future__ import annotations

import importlib


def set_title(role: str, target: str) -> None:
    """Be called *role*, serving *target*. Nothing happens where that cannot be done."""
    try:
        setproctitle = importlib.import_module("setproctitle")
    except ImportError:
        return
    setproctitle.setproctitle(f"runner: {role} [{target}]")
