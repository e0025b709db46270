"""What can be opened, by name."""

from functools import partial
from typing import Any

import pytest

from runner.errors import UnknownResource, UsageError
from runner.resources.recipes import Recipes


def test_what_was_registered_is_found() -> None:
    """And calls can be chained."""
    recipes = Recipes().register("a", list).register("b", dict, print)
    assert (recipes.find("a").open, recipes.find("a").close) == (list, None)
    assert (recipes.find("b").open, recipes.find("b").close) == (dict, print)


@pytest.mark.parametrize(("name", "hint"), [("bd", "did you mean 'db'"), ("x", "'x' is registered")])
def test_an_unknown_name(name: str, hint: str) -> None:
    """With the nearest right one."""
    with pytest.raises(UnknownResource, match=hint):
        Recipes().register("db", list).find(name)


def test_the_newest_counts() -> None:
    """So a test can put a dummy in the place of a database."""
    assert Recipes().register("a", list).register("a", dict).find("a").open is dict


@pytest.mark.parametrize("options", [
    {"scope": "session"}, {"scope": "worker", "limit": 0}, {"limit": 5}, {"timeout": 1.0},
])  # fmt: skip
def test_what_makes_no_sense(options: dict[str, Any]) -> None:
    """Is refused at once, not at the first opening."""
    with pytest.raises(UsageError, match="'a'"):
        Recipes().register("a", list, **options)


async def awaited(*_: object) -> None:
    """An opener or a closer."""


@pytest.mark.parametrize(("pair", "expected"), [
    ((list, None), False), ((list, print), False), ((awaited, None), True), ((list, awaited), True),
    ((partial(awaited, 1), print), True), ((awaited, awaited), True),
])  # fmt: skip
def test_coroutine_functions_are_known(pair: tuple[Any, Any], expected: bool) -> None:
    """Whichever of the two it is."""
    assert Recipes().register("a", *pair).find("a").awaited is expected


@pytest.mark.parametrize("kind", [list, dict, set])
def test_the_built_in_ones_are_emptied(kind: Any) -> None:
    """Whoever still holds one at the end keeps nothing alive by it."""
    recipe = Recipes().find(kind.__name__)
    made = recipe.open()
    assert made == kind()
    getattr(made, {list: "append", dict: "setdefault", set: "add"}[kind])(1)
    assert recipe.close is not None
    recipe.close(made)
    assert made == kind()
