"""What a worker is given."""

import dataclasses

from runner.worker.task import Task


def test_nothing_can_be_forgotten() -> None:
    """Two places put it together, a fork and a process that imports by itself: no field has a default."""
    fields = dataclasses.fields(Task)
    assert len(fields) == 12
    assert [each.name for each in fields if each.default is not dataclasses.MISSING] == []
