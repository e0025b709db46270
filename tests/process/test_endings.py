"""Exit codes in words."""

import pytest

from runner.process.endings import describe_exit


@pytest.mark.parametrize(("code", "words"), [
    (0, "ended with exit code 0"), (7, "ended with exit code 7"), (-15, "was ended by SIGTERM"),
    (-11, "was ended by SIGSEGV"), (-9, "was ended by SIGKILL (out of memory, perhaps)"),
    (-60, "was ended by signal 60"),
])
def test_endings_have_words(code: int, words: str) -> None:
    """Codes as subprocess gives them."""
    assert describe_exit(code) == words
