"""Scratch applications: written from a literal, then edited as editors and deployments do it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent


def project(directory: Path, files: Mapping[str, str]) -> Path:
    """Write *files*, {"app.py": "...", "package/module.py": "..."}, below *directory*, which is returned.

    Texts are dedented and lose a leading empty line, so that they can be written where they are used.
    """
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(_literal(text), encoding="utf-8")
    return directory


def edit(path: Path, text: str) -> None:
    """Save in place, as nano and a shell's `>` do: truncate, write, close; the inode stays."""
    path.write_text(_literal(text), encoding="utf-8")


def replace(path: Path, text: str) -> None:
    """Save by renaming, as vim, git and rsync do: a complete new file takes the old one's name."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(_literal(text), encoding="utf-8")
    os.replace(beside, path)


@contextmanager
def restored(directory: Path) -> Iterator[None]:
    """Afterwards all modules and pages below *directory* are as they were."""
    texts = {path: path.read_text(encoding="utf-8") for kind in ("py", "html") for path in directory.rglob(f"*.{kind}")}
    yield
    for path, text in texts.items():
        if path.read_text(encoding="utf-8") != text:
            replace(path, text)


def _literal(text: str) -> str:
    return dedent(text.removeprefix("\n"))
