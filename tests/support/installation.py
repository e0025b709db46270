"""An interpreter of a test's own: the tests' Python with one more site-packages, in which to install by hand.

It is a virtual environment as `venv` makes it (PEP 405), and finds what the tests' own has by a .pth file. Start at
install.
"""

import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple


class Installation(NamedTuple):
    """*python* to start, and where its *packages* lie."""

    python: Path
    packages: Path


def install(directory: Path) -> Installation:
    """Make one in *directory*, which must not exist."""
    python = directory / "bin" / "python"
    packages = directory / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    for folder in (python.parent, packages):
        folder.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    (directory / "pyvenv.cfg").write_text(f"home = {Path(sys.executable).resolve().parent}\n")
    (packages / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return Installation(python, packages)
