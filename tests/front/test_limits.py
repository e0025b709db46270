"""The few numbers a front goes by."""

from runner.front.limits import Limits


def test_a_web_servers_pool_is_kept_longer_than_a_browsers_connection() -> None:
    """The web server owns its pool; a browser may come back or not. Nothing is off by default."""
    limits = Limits()
    assert limits.idle > limits.keep_alive > limits.header_timeout > 0
    assert limits.body_timeout > 0 and limits.max_body > 0


def test_limits_do_not_change() -> None:
    """One value is shared by all connections of a worker."""
    assert hash(Limits()) == hash(Limits())
