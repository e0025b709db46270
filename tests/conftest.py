"""What every test may ask for: a scratch application, a live runner, a place for sockets.

Whatever is started for a test is stopped after it, and what it wrote is printed, which pytest shows if the
test failed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from tests.support import project as projects
from tests.support.places import short_directory
from tests.support.runner_process import PYTHON, Served, serve

# How long an example takes is a matter of the machine, and of who else is busy there.
settings.register_profile("runner", deadline=None)
settings.load_profile("runner")


class Project(Protocol):
    """Writes a scratch application and returns its folder: project({"app.py": "..."})."""

    def __call__(self, files: Mapping[str, str]) -> Path:
        """See tests.support.project.project."""


class Runner(Protocol):
    """Starts `runner serve` and returns it once it is ready: runner(folder, "app:main", "--workers", "1")."""

    def __call__(
        self,
        directory: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
        python: Path = PYTHON,
    ) -> Served:
        """See tests.support.runner_process.serve."""


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the runners compile goes to a cache of this run's own: no test sees, or fills, the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder whose sockets have names short enough for the kernel and may be reached by any user."""
    with short_directory() as directory:
        yield directory


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Write a scratch application below a folder of this test's own."""

    def write(files: Mapping[str, str]) -> Path:
        directory = tmp_path / "project"
        directory.mkdir(exist_ok=True)
        return projects.project(directory, files)

    return write


@pytest.fixture
def runner() -> Iterator[Runner]:
    """Start live runners, each with sockets of its own; all are stopped at the end."""
    running: list[Served] = []

    def start(
        directory: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
        python: Path = PYTHON,
    ) -> Served:
        running.append(serve(directory, *options, env=env, ready=ready, python=python))
        return running[-1]

    yield start
    for served in running:
        served.stop()
        print(served.output)
