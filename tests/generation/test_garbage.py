"""When garbage is looked for: seldom in an import, as usual after it."""

import gc
from collections.abc import Iterator

import pytest

from runner.generation import garbage
from tests.conftest import Project, Runner
from tests.end_to_end.reloading import ask
from tests.support.project import edit

APP = """
import gc
BEFORE = gc.get_threshold()
{own}
import view
IMPORTING = gc.isenabled(), *gc.get_threshold()
def main(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    serving = gc.isenabled(), *gc.get_threshold()
    return [f"{{view.VALUE}} {{BEFORE == IMPORTING[1:]}} {{IMPORTING}} {{serving}}".encode()]
"""
USUAL = gc.get_threshold()
"""Of this interpreter, which nothing has changed yet."""


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    """What this process has is given back."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_after_the_import_it_is_as_it_was() -> None:
    """And meanwhile only the first threshold is another one."""
    before = gc.get_threshold()
    garbage.put_off()
    assert gc.get_threshold() == (garbage.SELDOM, *before[1:])
    garbage.look_again()
    assert gc.get_threshold() == before


def test_what_the_application_sets_stays() -> None:
    """It knows better."""
    garbage.put_off()
    gc.set_threshold(5, 6, 7)
    garbage.look_again()
    assert gc.get_threshold() == (5, 6, 7)


def test_the_others_stay_as_they_are_set() -> None:
    """An application that sets the second and third one, and the first one to what it found, has the usual first."""
    first = gc.get_threshold()[0]
    garbage.put_off()
    gc.set_threshold(gc.get_threshold()[0], 6, 7)
    garbage.look_again()
    assert gc.get_threshold() == (first, 6, 7)


@pytest.mark.parametrize(("own", "importing", "serving"), [
    ("", (True, garbage.SELDOM, *USUAL[1:]), (True, *USUAL)),
    ("gc.set_threshold(9000, 8, 7)", (True, 9000, 8, 7), (True, 9000, 8, 7)),
    ("gc.disable()", (False, garbage.SELDOM, *USUAL[1:]), (False, *USUAL)),
], ids=["nothing", "thresholds", "off"])  # fmt: skip
def test_who_goes_on_finds_what_a_fresh_start_does(
    project: Project, runner: Runner, own: str, importing: object, serving: object
) -> None:
    """In the import, and in each request; whatever of it the application has set itself."""
    place = project({"app.py": APP.format(own=own), "view.py": "VALUE = 0\n"})
    served = runner(place, "app:main")
    for value in range(3):
        edit(place / "view.py", f"VALUE = {value}\n")
        assert ask(served).text == f"{value} {not own.startswith('gc.set')} {importing} {serving}"
