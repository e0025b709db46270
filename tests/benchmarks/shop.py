"""The application whose edits are timed: Flask, pandas and SQLAlchemy, and as many modules of its own as one likes.

Each of its modules has thirty functions and a VERSION; its answer names all of them, so it tells which save it knows.
Start at write, then Shop.save.
"""

import re
import time
from itertools import count
from pathlib import Path

FUNCTIONS = 30
_FUNCTION = '''
def function_{number}(amount, *more, factor={number}, **options):
    """Add up, times a factor."""
    total = amount + factor
    for each in more:
        total += each * factor
    return {{"total": total, "name": str(amount), **options}}
'''
_APPLICATION = '''
import flask
import pandas
import sqlalchemy
import sqlalchemy.orm
{imports}
VERSION = 0
app = flask.Flask(__name__)


@app.get("/")
def index():
    return " ".join(map(str, [VERSION, *(module.VERSION for module in MODULES)]))


MODULES = [{names}]
'''


class Shop:
    """In *directory*, with *own* modules."""

    def __init__(self, directory: Path, own: int) -> None:
        self.directory = directory
        self.modules = [directory / "shop" / f"part_{number:04}.py" for number in range(own)]
        self.main = directory / "app.py"
        self._versions = count(1)

    def save(self, file: Path) -> tuple[int, float]:
        """Give *file* the next version, in place; which one, and when the save had returned (monotonic seconds)."""
        version = next(self._versions)
        text = re.sub(r"^VERSION = \d+$", f"VERSION = {version}", file.read_text(encoding="ascii"), flags=re.MULTILINE)
        file.write_text(text, encoding="ascii")
        return version, time.monotonic()


def write(directory: Path, own: int) -> Shop:
    """Write it; each module imports the one before it, but for every tenth."""
    shop = Shop(directory, own)
    (directory / "shop").mkdir(parents=True)
    (directory / "shop" / "__init__.py").touch()
    body = "".join(_FUNCTION.format(number=number) for number in range(FUNCTIONS))
    for number, file in enumerate(shop.modules):
        before = f"from shop import part_{number - 1:04}\n" if number % 10 else ""
        file.write_text(f"{before}VERSION = 0\n{body}", encoding="ascii")
    names = [file.stem for file in shop.modules]
    imports = "\n".join(f"from shop import {name}" for name in names)
    shop.main.write_text(_APPLICATION.format(imports=imports, names=", ".join(names)), encoding="ascii")
    return shop
