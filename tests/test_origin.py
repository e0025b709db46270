"""Which sites' pages may open a WebSocket here, or publish in a channel."""

import pytest

from runner.origin import OWN_PAGES, Origins


@pytest.mark.parametrize(("origin", "host", "allowed"), [
    (None, "a", True),
    ("http://a", "a", True),
    ("https://a", "a", True),
    ("http://A", "a", True),
    ("http://a", "A:80", True),
    ("http://a:80", "a", True),
    ("http://A:80", "a", True),
    ("https://a:443", "a", True),
    ("https://a", "a:443", True),
    ("http://a:8000", "a:8000", True),
    ("http://[::1]:8000", "[::1]:8000", True),
    ("http://a:8000", "a", False),
    ("http://a", "a:8000", False),
    ("http://a", "a:443", False),
    ("http://b", "a", False),
    ("https://b", "a", False),
    ("https://a:80", "a", False),
    ("http://a.b", "a", False),
    ("http://b.a", "a", False),
    ("http://a", "", False),
    ("http://a, http://a", "a", False),
    ("http://a/", "a", False),
    ("http://x@a", "a", False),
    ("http://a#", "a", False),
    ("a", "a", False),
    ("", "a", False),
    ("", "", False),
    ("null", "null", False),
    ("null", "", False),
    ("file://", "", False),
    ("ftp://a", "a", False),
])  # fmt: skip
def test_by_itself_only_the_same_host(origin: str | None, host: str, allowed: bool) -> None:
    """Its port counts; the scheme does not."""
    assert OWN_PAGES.allow(origin, host) is allowed


@pytest.mark.parametrize(("listed", "origin", "allowed"), [
    ("https://b", "https://b", True),
    ("https://b", "https://B:443", True),
    ("https://b", "http://b", False),
    ("https://b", "https://b:8443", False),
    ("https://b:8443", "https://b:8443", True),
    ("https://b", "http://a", True),
    ("null", "null", True),
    ("*", "null", True),
    ("*", "https://b", True),
])  # fmt: skip
def test_others_are_listed(listed: str, origin: str, allowed: bool) -> None:
    """Beside the own host, to the letter."""
    assert Origins(frozenset((listed,))).allow(origin, "a") is allowed
