"""What speaks over a connection."""

from runner.front.fastcgi import FastCGIFront
from runner.front.http import HTTPFront
from runner.front.machine import NOBODY, Machine


def test_over_what_is_closed_nobody_speaks() -> None:
    """Whatever still comes is heard by nobody, and there is nothing unread."""
    NOBODY.received(b"late")
    for hear in (NOBODY.ended, NOBODY.drained, NOBODY.overdue, NOBODY.lost, NOBODY.rest):
        hear()
    assert NOBODY.unread() is None


def test_every_front_has_all_that_a_connection_may_call() -> None:
    """Checked by name, since a protocol's members are looked for only when they are called."""
    names = [name for name in vars(Machine) if not name.startswith("_")]
    assert {"received", "lost", "unread"} < set(names)
    for kind in (FastCGIFront, HTTPFront):
        assert [name for name in names if not hasattr(kind, name)] == []
