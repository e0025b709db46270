"""What the tests of several files here may ask for."""

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.asgi_stage import Stage


@pytest.fixture
def stage(project: Project, runner: Runner) -> Stage:
    """See Stage."""
    return Stage(project, runner)
