"""Which watches are set, so that whatever can change an input is heard.

    directories   each that holds an input, or could: of every entry in it
    links         the symbolic links on the way to one, each as an entry of its directory
    above         each directory on the way to it, which takes all below with it when it is renamed or removed
    roots         where a process works: no event tells that it is gone as long as somebody is in it, so it is looked at
    inodes        files with several hard links: a write through another name has no event in our directory

Where a directory cannot be watched (the limit, a network file system, no inotify at all) it is *swept*, and a note
says so. A *quieted* one (noise.py) is heard of by its names and by its inputs' inodes only; an input that is added ends
that.

Laws: knows no stamps and gives no verdict; what was lost (`lost`) is set anew by `rearm`, and then its owner looks at
everything. Start at Coverage.observe. inotify(7).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Mapping

from runner.freshness.filesystems import Mounts
from runner.freshness.inotify import Inotify
from runner.freshness.links import links
from runner.freshness.stamps import Stamp, stamp


class Coverage:
    """*note* hears what cannot be exact here, in words.

    inotify      the queue; None: there is none
    directories  what is watched
    swept        of these, what has to be looked at each time
    quieted      of these, what is heard of by names and inodes only
    hushed       of these, those of whose names others hear
    missed       of these, what was so at some time: of what was no input then not everything was heard
    lost         watches may be gone, or lead elsewhere
    """

    def __init__(self, note: Callable[[str], None], open_inotify: Callable[[], Inotify] | None) -> None:
        self.inotify: Inotify | None = None
        self.directories: set[str] = set()
        self.swept: set[str] = set()
        self.quieted: set[str] = set()
        self.missed: set[str] = set()
        self.hushed: set[str] = set()
        self.lost = False
        self._note = note
        self._open = open_inotify
        self._mounts = Mounts()
        self._heard: dict[int, set[str]] = {}
        self._links: dict[str, set[str]] = {}
        self._linked: set[str] = set()
        self._above: set[str] = set()
        self._roots: dict[str, tuple[int, int] | None] = {}
        if open_inotify is not None:
            try:
                self.inotify = open_inotify()
            except OSError as error:
                note(f"no inotify ({error.strerror or error}): files are looked at before each request instead")

    # ---- ask ------------------------------------------------------------------------------------------------

    def places(self, watch: int) -> tuple[str, ...]:
        """What the watch of that number is set on, by all its names: a directory, or a file."""
        return tuple(self._heard.get(watch, ()))

    def leads_on(self, directory: str, name: str) -> bool:
        """This entry is a symbolic link on the way to something that is watched."""
        return name in self._links.get(directory, ())

    def moved(self) -> list[str]:
        """The roots that are no longer what they were."""
        return [directory for directory, before in self._roots.items() if _identity(directory) != before]

    # ---- watch ----------------------------------------------------------------------------------------------

    def observe(self, directory: str) -> None:
        """Something in *directory* (absolute) is about to become an input."""
        if directory in self.directories:
            if directory in self.quieted:
                self.arm(directory)
            return
        self.directories.add(directory)
        self._watch_links(directory)
        self.arm(directory)
        self._watch_above(directory)

    def follow(self, path: str) -> None:
        """A file that has more names than this one is written through any of them; if it is a symbolic link, any step
        on the way to where it leads may be swapped."""
        if os.path.islink(path):
            self._linked.add(path)
            self._watch_links(path)
            self._watch_entry(*os.path.split(os.path.realpath(path)))
        if self.inotify is not None:
            try:
                self.watch_inode(self.inotify, path)
            except FileNotFoundError:
                pass  # a link that leads nowhere
            except OSError as error:
                self._unwatchable(os.path.dirname(path), error)

    def watch_root(self, directory: str) -> None:
        """Notice when *directory* itself, one above it, or a symbolic link on the way to it, is replaced."""
        self._watch_links(directory)
        self._roots[directory] = _identity(directory)
        self._arm_root(directory)

    def watch_inodes(self, files: Mapping[str, Stamp | None]) -> None:
        """Watch those of *files* that have several names."""
        if self.inotify is None:
            return
        for path, seen in list(files.items()):  # other threads add to them
            if seen is not None and seen.links > 1:
                try:
                    self.watch_inode(self.inotify, path)
                except OSError as error:
                    self._unwatchable(os.path.dirname(path), error)

    def watch_inode(self, inotify: Inotify, path: str) -> None:
        """Watch what stands at *path*, whatever becomes of that name. Raises OSError."""
        self._heard.setdefault(inotify.watch_file(path), set()).add(path)

    def quiet(self, inotify: Inotify, directory: str) -> None:
        """Hear only of the names in *directory*; its inputs' inodes are watched. Raises OSError."""
        self.missed.add(directory)
        inotify.watch_names(directory)
        self.quieted.add(directory)

    def hush(self, inotify: Inotify, directory: str) -> None:
        """Hear only of *directory* itself, which is quieted already; of the names others hear. Raises OSError."""
        inotify.watch_itself(directory)
        self.hushed.add(directory)

    def arm(self, directory: str) -> None:
        """Hear everything of *directory*, from now on or again."""
        if self.inotify is None:
            return
        if not self._mounts.tells_all(directory):
            kind = self._mounts.type_of(directory) or "an unknown file system"
            self._note(f"{directory} is on {kind}, where others can write: its files are looked at before each request")
            self.swept.add(directory)
        try:
            number = self.inotify.watch_directory(directory)
        except OSError as error:
            self._unwatchable(directory, error)
        else:
            self._heard.setdefault(number, set()).add(directory)
        self.quieted.discard(directory)
        self.hushed.discard(directory)

    # ---- set anew -------------------------------------------------------------------------------------------

    def reopen(self, files: Mapping[str, Stamp | None]) -> None:
        """A queue of our own instead of the present one, which is another process's, too; see `rearm`."""
        if self.inotify is not None and self._open is not None:
            self.inotify.close()
            self.inotify = None  # and so it stays at the limit of instances: then everything is looked at each time
            with contextlib.suppress(OSError):
                self.inotify = self._open()
        self.rearm(files)

    def rearm(self, files: Mapping[str, Stamp | None]) -> None:
        """After lost events watches may be gone or lead elsewhere: set them again, on the inodes of *files* too."""
        self.lost = False
        self._heard.clear()
        self._above.clear()
        for directory in list(self.directories):
            self._watch_links(directory)
            self.arm(directory)
            self._watch_above(directory)
        for path in list(self._linked):
            self.follow(path)
        for directory in self._roots:
            self._arm_root(directory)
        self.watch_inodes(files)

    def _watch_above(self, directory: str) -> None:
        if self.inotify is None:
            return
        while (directory := os.path.dirname(directory)) not in self._above:
            self._above.add(directory)
            with contextlib.suppress(OSError):  # not ours to watch, or not there: then the nearest that is
                self._heard.setdefault(self.inotify.watch_place(directory), set())

    def _arm_root(self, directory: str) -> None:
        if self.inotify is None:
            return
        try:
            self._heard.setdefault(self.inotify.watch_place(directory), set())
        except OSError as error:
            if error.errno == errno.ENOENT:
                self._unwatchable(directory, error)
        self._watch_above(directory)

    def _unwatchable(self, directory: str, error: OSError) -> None:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            # Not there: its appearance is a change of the nearest directory that is.
            parent, name = os.path.split(directory)
            self._watch_entry(parent, name)
            if os.path.isdir(directory):
                self.arm(directory)  # it appeared between the two
            return
        self.swept.add(directory)
        remedy = "; raise fs.inotify.max_user_watches" if error.errno == errno.ENOSPC else ""
        self._note(f"cannot watch {directory} ({error.strerror}): its files are looked at before each request{remedy}")

    def _watch_links(self, path: str) -> None:
        try:
            for parent, name in links(path):
                self._watch_entry(parent, name)
        except OSError:
            self.lost = True  # one of them is being swapped

    def holds_links(self, directory: str) -> bool:
        """Some entry of it is on the way to something that is watched."""
        return directory in self._links

    def _watch_entry(self, directory: str, name: str) -> None:
        self.observe(directory)
        self._links.setdefault(directory, set()).add(name)


def _identity(directory: str) -> tuple[int, int] | None:
    """What a process keeps if it has entered *directory*, whatever happens to the name."""
    seen = stamp(directory)
    return None if seen is None else (seen.device, seen.inode)
