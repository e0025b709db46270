"""From the text `app:main` to the callable.

    module:attribute   module:attribute.of.it   module:factory()   module   file.py   file.py:attribute

Without an attribute the usual names are tried in turn. What is not there is reported with what is: the candidates, the
nearest name, the directory that was searched.

Laws: imports the application and nothing else of it; a target that does not exist is a TargetError, whatever fails
while importing is the application's own exception. PEP 3333 "The Application/Framework Side".
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from runner.errors import UsageError

USUAL = ("app", "application", "wsgi_app", "main", "create_app", "make_app")
FACTORIES = frozenset(("create_app", "make_app"))


class TargetError(UsageError):
    """The target does not exist as it was written; not a failure of existing code."""


class Target(NamedTuple):
    """What was loaded: the callable, its *kind* ("WSGI", "ASGI" or "batch") and the module it came from."""

    application: Callable[..., Any]
    kind: str
    module: str


class Parsed(NamedTuple):
    """The text of a target taken apart: *file* or *module*; *attribute* "" for the usual ones; a call's *arguments*."""

    module: str
    file: str
    attribute: str
    arguments: tuple[object, ...] | None


def parse_target(text: str, directory: str) -> Parsed:
    """Take *text* apart; a relative file is one of *directory*. Raises TargetError."""
    place, _, attribute = text.partition(":")
    arguments: tuple[object, ...] | None = None
    if attribute.endswith(")") and "(" in attribute:
        attribute, _, inside = attribute[:-1].partition("(")
        try:
            inside = inside.strip().removesuffix(",")
            arguments = ast.literal_eval(f"({inside},)") if inside else ()
        except (ValueError, SyntaxError) as error:
            hint = "the arguments of a factory must be literals, as in app:create('dev')"
            raise TargetError(f"{text!r}: {hint}") from error
    if (attribute or arguments is not None) and not all(part.isidentifier() for part in attribute.split(".")):
        raise TargetError(f"{text!r}: {attribute!r} is not a name; write module:attribute, as in app:main")
    if place.endswith(".py") or "/" in place:
        file = os.path.join(directory, place)
        return Parsed(os.path.basename(place).removesuffix(".py"), file, attribute, arguments)
    if not place or not all(part.isidentifier() for part in place.split(".")):
        raise TargetError(f"{text!r}: {place!r} is not a module name; write module:attribute, as in app:main")
    return Parsed(place, "", attribute, arguments)


def load(text: str, directory: str, interface: str = "auto") -> Target:
    """Import the target and find its callable.

    Raises TargetError, or whatever the application raises while it is imported or made.
    """
    parsed = parse_target(text, directory)
    module = _import_file(parsed) if parsed.file else _import_module(parsed.module, directory)
    found, name = _find(module, parsed, directory)
    if parsed.arguments is not None or (not parsed.attribute and name in FACTORIES):
        found = found(*(parsed.arguments or ()))
    return Target(found, _kind(found, text, interface), module.__name__)


def candidates(directory: str) -> list[str]:
    """Modules that lie in *directory*, for a message: ["app", "shop"]."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    modules = [name[:-3] for name in names if name.endswith(".py")]
    packages = [name for name in names if os.path.exists(os.path.join(directory, name, "__init__.py"))]
    return [name for name in modules + packages if name.isidentifier() and not name.startswith("test")]


def _import_module(name: str, directory: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only if it is the target itself (or its package) that is missing; a missing import inside it is its own fault.
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        if "." in name and error.name != name and error.name in sys.modules:
            raise
        here = candidates(directory)
        near = difflib.get_close_matches(name.partition(".")[0], here, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; here are {', '.join(here[:8])}" if here else ""
        raise TargetError(f"there is no module {name!r} in {directory}{hint}") from error


def _import_file(parsed: Parsed) -> ModuleType:
    if not os.path.isfile(parsed.file):
        directory = os.path.dirname(parsed.file)
        near = difflib.get_close_matches(parsed.module, candidates(directory), 1)
        raise TargetError(f"there is no file {parsed.file}" + (f"; did you mean {near[0]}.py?" if near else ""))
    directory = os.path.dirname(os.path.abspath(parsed.file))
    if directory not in sys.path:
        sys.path.insert(0, directory)
    if parsed.module.isidentifier():
        return importlib.import_module(parsed.module)
    spec = importlib.util.spec_from_file_location(parsed.module, parsed.file)
    if spec is None or spec.loader is None:
        raise TargetError(f"{parsed.file} cannot be imported; name it something.py")
    module = sys.modules[parsed.module] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _find(module: ModuleType, parsed: Parsed, directory: str) -> tuple[Any, str]:
    if not parsed.attribute:
        for name in USUAL:
            if callable(getattr(module, name, None)):
                return getattr(module, name), name
        raise TargetError(_nothing_usual(module))
    found: Any = module
    for part in parsed.attribute.split("."):
        if not hasattr(found, part):
            raise TargetError(_no_attribute(module, found, part))
        found = getattr(found, part)
    if not callable(found) and not _is_batch(found):
        name = f"{module.__name__}:{parsed.attribute}"
        raise TargetError(f"{name} is not callable but {type(found).__name__}; name a callable")
    return found, parsed.attribute


def _callables(module: object) -> list[str]:
    return [name for name in dir(module) if not name.startswith("_") and callable(getattr(module, name, None))]


def _nothing_usual(module: ModuleType) -> str:
    names = ", ".join(_callables(module)[:8]) or "no callables at all"
    return f"{module.__name__} has none of {', '.join(USUAL)}; it has {names}: write {module.__name__}:NAME"


def _no_attribute(module: ModuleType, found: object, part: str) -> str:
    names = _callables(found)
    near = difflib.get_close_matches(part, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(names[:8]) or 'no callables'}"
    return f"{module.__name__} has no attribute {part!r}; {hint}"


def _kind(application: Any, text: str, interface: str) -> str:
    """"WSGI", "ASGI" or "batch", by what it looks like, or TargetError for what no host can call."""
    if _is_batch(application):
        return "batch"
    if not callable(application):
        raise TargetError(f"{text} made {type(application).__name__}, which is not callable; return the application")
    if interface != "auto":
        return interface.upper()
    call = inspect.unwrap(application)
    while isinstance(call, functools.partial):
        call = inspect.unwrap(call.func)
    if not inspect.isroutine(call) and not isinstance(call, type):
        call = inspect.unwrap(type(call).__call__)
    if inspect.iscoroutinefunction(call):
        return "ASGI"
    if isinstance(application, type) and "__await__" not in vars(application) and _takes(application, "scope"):
        remedy = "wrap it in asgiref.compatibility.guarantee_single_callable"
        raise TargetError(f"{text} is an application of ASGI 2, and ASGI 3 is served; {remedy}")
    return "ASGI" if _takes(application, "scope", "receive", "send") else "WSGI"


def _is_batch(found: object) -> bool:
    """A JSON-RPC gateway; who has none has not loaded them, and need not."""
    gateway = sys.modules.get("runner.batch.gateway")
    return gateway is not None and isinstance(found, gateway.JSONRPCBatch)


def _takes(application: Callable[..., Any], *names: str) -> bool:
    """It is called with arguments of these names, all of them and no other."""
    try:
        parameters = inspect.signature(application).parameters.values()
    except (TypeError, ValueError):
        return False
    return tuple(parameter.name for parameter in parameters) == names
