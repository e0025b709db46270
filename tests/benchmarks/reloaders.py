"""The runner and its peers, each with the reloading it has, on a port of its own.

Law: a peer's options are those its own documentation gives for reloading; what is not installed is left out and named.
Start at ALL.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

Command = Callable[[int, int], list[str]]
"""Of the port and the number of workers."""


@dataclass(frozen=True)
class Reloader:
    """A server of `app:app` in the current folder. *reloads*: with its reloading on, else as in production."""

    name: str
    package: str
    command: Command

    @property
    def installed(self) -> bool:
        """Can be started here."""
        return find_spec(self.package) is not None


def ours(*options: str) -> Command:
    """The runner, with options."""
    return lambda port, workers: [
        *(sys.executable, "-m", "runner", "serve", "app:app", "--http", f"127.0.0.1:{port}"),
        *("--workers", str(workers), "--on-change", "hold", *options),
    ]


def gunicorn(*options: str) -> Command:
    """gunicorn, with options."""
    return lambda port, workers: [
        *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", str(workers)),
        *("--log-level", "error", "--worker-tmp-dir", "/dev/shm", *options, "app:app"),
    ]


def _uvicorn(port: int, _: int) -> list[str]:
    # With --reload there is one worker.
    return [
        *(sys.executable, "-m", "uvicorn", "--port", str(port), "--interface", "wsgi", "--log-level", "error"),
        *("--reload", "app:app"),
    ]


def _granian(port: int, workers: int) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port), "--workers", str(workers)),
        *("--log-level", "error", "--reload", "app:app"),
    ]


def _flask(port: int, _: int) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", "app", "run", "--debug", "--port", str(port)]


def _hupper(port: int, _: int) -> list[str]:
    hupper = "from hupper.cli import main; main()"
    return [sys.executable, "-c", hupper, "-m", "waitress", f"--listen=127.0.0.1:{port}", "app:app"]


OURS = Reloader("runner", "runner", ours())
PEERS = (
    Reloader("gunicorn --reload", "gunicorn", gunicorn("--reload")),
    Reloader("uvicorn --reload", "uvicorn", _uvicorn),
    Reloader("granian --reload", "granian", _granian),
    Reloader("flask run --debug", "flask", _flask),
    Reloader("hupper, waitress", "hupper", _hupper),
)
