"""Which file systems tell the kernel's change queue everything.

A file that another machine (or a hypervisor, or a FUSE daemon) can change does so without any event here, so on all but
the local file systems named below the files themselves are looked at before each request.

Law: `types` is pure; whatever is not known to be local is not. proc_pid_mountinfo(5).
"""

from __future__ import annotations

import os
import re

LOCAL = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "rootfs", "tmpfs", "xfs", "zfs")
)

_OCTAL = re.compile(r"\\([0-7]{3})")


def types(mountinfo: str) -> dict[str, str]:
    """Mount points and their file-system types, e.g. {"/": "ext4", "/srv/share": "nfs4"}; later mounts win."""
    found = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) > 4 and after:
            point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4])
            found[point] = after.split(" ")[0]
    return found


class Mounts:
    """The mounts of this process as they were when asked first."""

    def __init__(self, mountinfo: str | None = None) -> None:
        if mountinfo is None:
            try:
                with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
                    mountinfo = file.read()
            except OSError:
                mountinfo = ""
        self._types = types(mountinfo)

    def type_of(self, path: str) -> str:
        """The type of the file system that *path* (absolute) is on; "" if that cannot be said."""
        path = os.path.realpath(path)
        while path not in self._types:
            parent = os.path.dirname(path)
            if parent == path:
                return ""
            path = parent
        return self._types[path]

    def tells_all(self, directory: str) -> bool:
        """Every change below *directory* goes through this kernel."""
        return self.type_of(directory) in LOCAL
