"""Errors: what they are to those who meet them."""

import pytest

from runner import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.RunnerError("x"), 1), (errors.UsageError("x"), 2), (errors.BootError("x"), 3)],
)
def test_an_error_knows_its_exit_code(error: errors.RunnerError, code: int) -> None:
    """The command ends with it."""
    assert error.exit_code == code


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.RemoteProtocolError("x"), 400),
        (errors.RemoteProtocolError("x", 431), 431),
        (errors.LocalProtocolError("x"), 500),
    ],
)
def test_a_broken_contract_knows_its_status(error: errors.ProtocolError, status: int) -> None:
    """The answer carries it, where an answer is still possible."""
    assert error.status == status


def test_a_client_that_left_is_a_connection_error() -> None:
    """Applications that catch what sockets raise catch this."""
    with pytest.raises(ConnectionError):
        raise errors.ClientGone("gone")
