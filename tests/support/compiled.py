"""The twin in C of wire.parameters, built from the file as it stands, not as some installation found it.

So the tests run both twins wherever they run. A machine without a compiler fails them, and is told what it lacks.
Start at twin.
"""

import importlib.util
import os
import subprocess
import sysconfig
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory

from runner.wire import parameters
from runner.wire.parameters import ParseKnown

TWINS = ("Python", "C")

_SOURCE = Path(parameters.__file__).with_name("_parameters.c")
_STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror")


def twin(language: str) -> ParseKnown:
    """The parse_known that is written in *language*, one of TWINS."""
    return parameters.parse_known if language == "Python" else _compiled()


@cache
def _compiled() -> ParseKnown:
    """Built with all warnings on, each of them an error. A module, once loaded, needs its file no more."""
    with TemporaryDirectory() as directory:
        library = str(Path(directory, "_parameters.so"))
        _compile(library)
        loader = ExtensionFileLoader("_parameters", library)
        spec = importlib.util.spec_from_loader("_parameters", loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    parse: ParseKnown = module.parse_known
    return parse


def _compile(library: str) -> None:
    headers = ("-isystem", sysconfig.get_path("include"))
    command = [os.environ.get("CC", "cc"), *_STRICT, "-fPIC", "-shared", *headers, str(_SOURCE), "-o", library]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise AssertionError(f"no C compiler {command[0]!r} here: apt-get install gcc libc6-dev, or set CC") from None
    except subprocess.CalledProcessError as error:
        # Mostly Python.h is what is missing: it comes with Debian's libpython3.*-dev.
        raise AssertionError(f"{_SOURCE.name} does not compile:\n{error.stderr}") from None
