"""Which of several applications answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.host.mounts import enter, find, spell

PREFIXES = ["", "/live", "/live/admin", "/api"]


@pytest.mark.parametrize(("path", "prefix"), [
    ("/", ""), ("", ""), ("/x", ""), ("/live", "/live"), ("/live/", "/live"), ("/live/x", "/live"), ("/lively", ""),
    ("/live/admin", "/live/admin"), ("/live/administrator", "/live"), ("/live//admin", "/live"), ("/x/live", ""),
    ("/api/live", "/api"), ("//live", ""), ("/LIVE", ""),
])  # fmt: skip
def test_the_longest_prefix_on_a_boundary_wins(path: str, prefix: str) -> None:
    """Segments are compared as they are."""
    assert PREFIXES[find(PREFIXES, path)] == prefix


def test_the_order_of_prefixes_does_not_matter() -> None:
    """Whoever was named first."""
    assert find(["/live/admin", "", "/live"], "/live/admin/x") == 0
    assert find(["/live", "/live/admin", ""], "/live/admin/x") == 1


@given(st.lists(st.sampled_from(["live", "admin", "api", "", "é"]), max_size=5))
def test_the_whole_path_stays_what_it_was(segments: list[str]) -> None:
    """What is cut off one variable is added to the other."""
    path = "/" + "/".join(segments)
    variables = {"SCRIPT_NAME": "/root", "PATH_INFO": path}
    enter(variables, PREFIXES[find(PREFIXES, path)])
    assert variables["SCRIPT_NAME"] + variables["PATH_INFO"] == "/root" + path
    assert variables["PATH_INFO"][:1] in ("", "/")


def test_a_prefix_is_compared_as_web_servers_spell_paths() -> None:
    """Bytes as characters: RFC 3875 knows no other text."""
    assert find(["", spell("/café")], "/caf\xc3\xa9/x") == 1
