"""Which file systems tell the kernel's queue everything."""

import os
from pathlib import Path

import pytest

from runner.freshness.filesystems import Mounts, types

MOUNTINFO = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / /proc rw shared:5 - proc proc rw
40 22 0:50 / /srv rw,relatime shared:9 master:2 - nfs4 host:/export rw
41 40 0:51 / /srv/local\\040disk rw - xfs /dev/vdb rw
42 22 0:52 / /mnt rw - ext4 /dev/vdc rw
43 42 0:53 / /mnt rw - fuse.sshfs host: rw
malformed
"""


def test_types_are_read() -> None:
    """Mount points are unescaped, the last of several mounts on one place wins, and what is no line is no mount."""
    assert types(MOUNTINFO) == {
        "/": "ext4", "/proc": "proc", "/srv": "nfs4", "/srv/local disk": "xfs", "/mnt": "fuse.sshfs",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "kind", "local"),
    [
        ("/home/me", "ext4", True),
        ("/srv", "nfs4", False),
        ("/srv/app", "nfs4", False),
        ("/srvapp", "ext4", True),
        ("/srv/local disk/app", "xfs", True),
        ("/mnt/x", "fuse.sshfs", False),
    ],
)
def test_the_innermost_mount_counts(path: str, kind: str, local: bool) -> None:
    """A path belongs to the nearest mount point above it, by whole names."""
    mounts = Mounts(MOUNTINFO)
    assert (mounts.type_of(path), mounts.tells_all(path)) == (kind, local)


def test_what_is_not_known_is_not_local() -> None:
    """Without any mount table nothing is trusted."""
    assert Mounts("").type_of("/home") == ""
    assert not Mounts("").tells_all("/home")


def test_links_are_followed(tmp_path: Path) -> None:
    """A symbolic link counts for where it leads."""
    os.symlink("/proc", tmp_path / "link")
    assert Mounts().type_of(f"{tmp_path}/link") == "proc"
