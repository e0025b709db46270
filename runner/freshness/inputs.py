"""Everything the application was made of, and how to compare it with the disk.

    files     what was read, and what was looked for and absent
    names     what the look-ups for modules found: a new shadowing module, an optional import that is now there
    scanned   directories that were listed, as a search for plugins does: a module (or installed distribution, or .pth
              file, whatever was looked for) that comes or goes there is a change
    globs     what `--watch` names

Laws: an input is watched before it is stamped, and stamped before it is read (`observe` is how the owner of the watches
hears of a directory first, `follow` how of a file that is a symbolic link), so that a save in between is seen as a
change and never taken for the baseline. Whether something changed is answered from the disk alone; an event only says
where to look. Any thread may add, so whoever iterates has a copy.
Start at Inputs.add_file, then Inputs.changed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Set

from runner.freshness.additions import Additions, File, Lookup
from runner.freshness.globs import Globs
from runner.freshness.listings import MODULES, Listing, find_importable, join, list_ending, list_importable, stem_of
from runner.freshness.patterns import translate
from runner.freshness.stamps import HASHED, Stamp, digest, is_recent, is_young, stamp, stamp_of

_NONE: frozenset[str] = frozenset()


class Inputs:
    """The ledger.

    files     e.g. {"/srv/shop/view.py": Stamp(…), "/srv/.env": None}; None is "was not there"
    hashes    e.g. {"/srv/shop/view.py": b"…"}: content at the time of the stamp, filled when there is time
    names     e.g. {"/srv/shop": {"view": {"view.py"}, "local": set()}}: what look-ups found, by directory and stem
    added     what `take_additions` will give; empty if nothing was added since
    accepted  what the application has written itself while it was imported
    recent    those that had changed within the last WRITING seconds when they were stamped
    """

    def __init__(
        self,
        observe: Callable[[str], None] = lambda directory: None,
        ignore: Iterable[str] = (),
        follow: Callable[[str], None] = lambda path: None,
    ) -> None:
        self.files: dict[str, Stamp | None] = {}
        self.hashes: dict[str, bytes] = {}
        self.names: dict[str, Listing] = {}
        self.scanned: dict[str, tuple[Stamp | None, frozenset[str]]] = {}
        self.added: deque[File | Lookup] = deque()
        self.accepted: list[str] = []
        self.recent: set[str] = set()
        self._young: dict[str, bytes] = {}
        self._within: dict[str, list[str]] = {}
        self._observe = observe
        self._follow = follow
        self._ignored = [translate(pattern) for pattern in ignore]
        self._globs = Globs(observe)
        self._kinds: dict[str, tuple[str, ...]] = {}
        self._listings: dict[str, tuple[Stamp | None, Listing]] = {}
        self._equal: dict[str, Stamp | None] = {}
        self._looked: dict[str, Stamp] = {}

    # ---- add ------------------------------------------------------------------------------------------------

    def add_file(self, path: str) -> None:
        """*path* (absolute) is about to be read."""
        if path not in self.files and not self._is_ignored(path):
            self.added.append(File(path, self._stamp(path, self._look_at(path)), self._young.get(path, b"").hex()))

    def add_lookup(self, stem: str, directory: str) -> None:
        """Somebody is about to look for the module *stem* in *directory* (absolute)."""
        known = self.names.get(directory)
        if known is not None and stem in known:
            return
        seen, listing = self._list(directory)
        if known is None:
            known = self.names[directory] = {}
            self._equal[directory] = seen
        names = known[stem] = listing.get(stem, _NONE)
        self.added.append(Lookup(directory, stem, names))
        if stem in names:
            # A directory without __init__.py is a namespace package until somebody adds one.
            self.add_lookup("__init__", os.path.join(directory, stem))

    def add_expected_file(self, file: File) -> bool:
        """As `add_file`, if by its stamp it is still *file*: a regular one, of one name and no link, in a directory in
        which it was looked for."""
        try:
            seen = os.lstat(file.path)
        except OSError:
            return False
        if file.path in self.files or stamp_of(seen) != file.seen or (self._ignored and self._is_ignored(file.path)):
            return False
        self._remember(file.path, file.seen)
        self.added.append(file)
        return True

    def add_expected_lookup(self, lookup: Lookup, listed: Stamp) -> bool:
        """As `add_lookup`, if it finds what is expected, as it does as long as the directory's stamp is *listed*.

        That is looked at once in an import: all that is expected of a directory is noted as of then, and what has
        changed there since, whoever proves the import will see.
        """
        known = self.names.get(lookup.directory)
        if known is not None and lookup.stem in known:
            return known[lookup.stem] == lookup.names
        if known is None:
            self._observe(lookup.directory)
        if self._looked.get(lookup.directory) != listed:
            if stamp(lookup.directory) != listed:
                return False
            self._looked[lookup.directory] = listed
        if known is None:
            known = self.names[lookup.directory] = {}
            self._equal[lookup.directory] = listed
        known[lookup.stem] = lookup.names
        self.added.append(lookup)
        return True

    def forget_looks(self) -> None:
        """The import is over, or pauses: what was seen of a directory may be old when something is expected again."""
        self._looked.clear()

    def add_scan(self, directory: str, suffixes: tuple[str, ...] = MODULES) -> None:
        """Somebody is about to list *directory* (absolute), in search of names that end in *suffixes*."""
        known = self._kinds.get(directory, ())
        if not set(known).issuperset(suffixes) and not self._is_ignored(directory):
            self._observe(directory)
            self._kinds[directory] = tuple(dict.fromkeys((*known, *suffixes)))
            before, names = self.scanned.get(directory, (stamp(directory), _NONE))
            self.scanned[directory] = (before, names | list_ending(directory, suffixes))

    def add_glob(self, pattern: str) -> None:
        """Everything that *pattern* (absolute) matches, now or later, is an input."""
        self._globs.add(pattern)
        for path in self.search():
            self.add_file(path)

    def take_additions(self) -> Additions:
        """What was added since the last call."""
        items: list[File | Lookup] = []
        while self.added:
            items.append(self.added.popleft())
        return Additions(items)

    def adopt(self, additions: Additions) -> None:
        """Take over what another process added, as it saw it: a change since then is a change."""
        for item in additions.items:
            if isinstance(item, File):
                if item.path not in self.files:
                    self._look_at(item.path)
                    self._keep(item.path, item.seen)
                elif item.seen != self.files[item.path] == stamp(item.path):
                    # Two processes have read two versions; the one that is not on the disk is the one to remember.
                    self._keep(item.path, item.seen)
                    self.hashes.pop(item.path, None)
                    self._young.pop(item.path, None)
                elif not item.young or bytes.fromhex(item.young) == digest(item.path):
                    continue
                if item.young:
                    self._young[item.path] = bytes.fromhex(item.young)
            elif self.names.get(item.directory, {}).get(item.stem) != item.names:
                known = self.names.setdefault(item.directory, {})
                # As above: of two findings remember the one that is no longer true.
                if known.get(item.stem) in (None, self._list(item.directory)[1].get(item.stem, _NONE)):
                    known[item.stem] = item.names
                    self._equal.pop(item.directory, None)

    def accept(self, path: str) -> None:
        """The application itself wrote *path* while it was imported: what is there now is what it was made of."""
        self.accepted.append(path)
        if path in self.files:
            self._stamp(path, stamp(path))
        directory, name = os.path.split(path)
        if stem_of(name) in self.names.get(directory, ()):
            self.names[directory][stem_of(name)] = find_importable(directory, stem_of(name))
        if directory in self.scanned and self._is_listed(directory, name):
            before, names = self.scanned[directory]
            # This name alone: of another one that somebody saved there meanwhile the application knows nothing.
            self.scanned[directory] = (before, names | {name} if os.path.lexists(path) else names - {name})

    # ---- compare --------------------------------------------------------------------------------------------

    def interesting(self, directory: str, name: str) -> bool:
        """Whether an event about the entry *name* of *directory* can concern any input."""
        path = join(directory, name)
        if path in self.files:
            return True
        known = self.names.get(directory)
        if known is not None and name.partition(".")[0] in known and stem_of(name):
            return not self._is_ignored(path)
        return self._is_new(path) or (self._is_listed(directory, name) and not self._is_ignored(path))

    def changed(self, directory: str, name: str) -> str | None:
        """Look at one entry of one directory; its path if it is no longer what the application was made of."""
        path = join(directory, name)
        if path in self.files and self._file_changed(path):
            return path
        stem = stem_of(name)
        known = self.names.get(directory, {})
        if stem and stem in known and find_importable(directory, stem) != known[stem]:
            return path
        if self._is_listed(directory, name) and os.path.lexists(path) != (name in self.scanned[directory][1]):
            return None if self._is_ignored(path) else path
        return path if self._is_new(path) and os.path.isfile(path) else None

    def within(self, directory: str) -> list[str]:
        """The files of *directory* itself."""
        return list(self._within.get(directory, ()))

    def sweep(self, only: Set[str] | None = None) -> list[str]:
        """Look at everything (or what is in *only* these directories); the paths that changed. About 1 µs an input."""
        files = list(self.files) if only is None else [path for directory in only for path in self.within(directory)]
        changed = [path for path in files if self._file_changed(path)]
        for directory in list(self.names) if only is None else only & self.names.keys():
            if directory in self._equal and self._equal[directory] == stamp(directory):
                continue
            known = self.names[directory]
            seen, listing = self._list(directory)
            stems = [stem for stem, names in list(known.items()) if listing.get(stem, _NONE) != names]
            changed += [join(directory, stem) for stem in stems]
            if not stems:
                self._equal[directory] = seen
        for directory, (before, names) in list(self.scanned.items()):
            if stamp(directory) != before:
                found = list_ending(directory, self._kinds[directory])
                changed += [join(directory, name) for name in sorted(found ^ names)]
        if self._globs.grown():
            changed += self.search()
        return changed

    def compare(self, items: Iterable[File | Lookup]) -> list[str]:
        """Look at these inputs alone; the paths that changed."""
        changed = []
        for item in items:
            if isinstance(item, File):
                if self._file_changed(item.path):
                    changed.append(item.path)
            elif self._list(item.directory)[1].get(item.stem, _NONE) != self.names[item.directory][item.stem]:
                changed.append(join(item.directory, item.stem))
        return changed

    def search(self) -> list[str]:
        """Walk the globs; the matching paths that are no inputs yet."""
        return [path for path in self._globs.search() if path not in self.files and not self._is_ignored(path)]

    def listing(self, directory: str) -> tuple[Stamp | None, Listing] | None:
        """What was seen of *directory* last, with the stamp for which it is right; None if nobody has looked."""
        return self._listings.get(directory)

    def in_tree(self, directory: str) -> bool:
        """A new directory in *directory* could hold what a glob matches."""
        return self._globs.in_tree(directory)

    def unhashed(self) -> Iterator[str]:
        """Hash what has no hash yet, one file a step; between two steps the caller may do better things."""
        for path in list(self._young):
            # When it was read it could still be changed without a new stamp; now it cannot.
            if stamp(path) == self.files.get(path):
                self._changed_within_tick(path)
            yield path
        for path, before in list(self.files.items()):
            if before is not None and path not in self.hashes and before.size <= HASHED:
                content = digest(path)
                # Only if the file is still in the stamped state does the hash belong to the stamp.
                if content is not None and stamp(path) == before:
                    self.hashes[path] = content
                yield path

    def _remember(self, path: str, seen: Stamp | None) -> None:
        new = path not in self.files
        self.files[path] = seen
        if new:  # afterwards: who looks at a directory meanwhile must find a stamp for all that it names
            self._within.setdefault(os.path.dirname(path), []).append(path)

    def _keep(self, path: str, seen: Stamp | None) -> None:
        self._remember(path, seen)
        if is_recent(seen):
            self.recent.add(path)

    def _stamp(self, path: str, seen: Stamp | None) -> Stamp | None:
        self._keep(path, seen)
        self._young.pop(path, None)
        if is_young(seen) and (content := digest(path)) is not None:
            self._young[path] = content
        return seen

    def _file_changed(self, path: str) -> bool:
        before, now = self.files[path], stamp(path)
        if now == before:
            return path in self._young and self._changed_within_tick(path)
        known, young = self.hashes.get(path), is_young(now)
        if now is not None and before is not None and (now.inode, now.links) != (before.inode, before.links):
            self._look_at(path)  # it may be a link by now, or have another name
        # Stamped before and after it is hashed: a save in between must not become the baseline.
        if now is not None and known is not None and digest(path) == known and stamp(path) == now:
            self._keep(path, now)
            if young:
                self._young[path] = known
            return False
        return True

    def _changed_within_tick(self, path: str) -> bool:
        """Another content under a stamp that was young when it was taken. Not for other stamps: what is back there now
        may have been away when the application read it."""
        young, known = is_young(self.files[path]), self._young.get(path)
        if known is not None and digest(path) != known:
            return True
        if not young:
            self._young.pop(path, None)
        return False

    def _is_new(self, path: str) -> bool:
        """Whether *path* would be a new match of a glob."""
        return path not in self.files and self._globs.match(path) and not self._is_ignored(path)

    def _is_listed(self, directory: str, name: str) -> bool:
        """Whether *name* is of those that somebody looked for in a listing of *directory*."""
        return name.endswith(self._kinds.get(directory, ()))

    def _list(self, directory: str) -> tuple[Stamp | None, Listing]:
        """What is in *directory*, read again only if it changed since the last time."""
        if directory not in self._listings:
            self._observe(directory)
        now = stamp(directory)
        known = self._listings.get(directory)
        if known is None or known[0] != now:
            broken: set[str] = set()
            listing = list_importable(directory, broken)
            if broken:
                # Where they lead something can come to be without a change of the directory that they are in.
                for name in broken:
                    self._follow(join(directory, name))
                listing = list_importable(directory)
            known = self._listings[directory] = (None if broken else now, listing)
        return known

    def _look_at(self, path: str) -> Stamp | None:
        """Have it watched; its stamp, which is not older."""
        self._observe(os.path.dirname(path))
        with contextlib.suppress(OSError):
            seen = os.lstat(path)
            if stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1:
                return stamp_of(seen)
            if stat.S_ISLNK(seen.st_mode) or stat.S_ISREG(seen.st_mode):
                self._follow(path)
        return stamp(path)

    def _is_ignored(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._ignored)
