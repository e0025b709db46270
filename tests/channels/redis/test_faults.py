"""What an error of a Redis means."""

import pytest
from redis import exceptions

from runner.channels.redis.faults import answered, judge, unknown_script

TABLE = [
    (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), "memory is full", True, False),
    (exceptions.ResponseError("ERR Error running script: @user_script:12: -OOM command"), "full", True, False),
    (exceptions.AuthenticationError("invalid username-password pair"), "refuses the name", True, False),
    (exceptions.ResponseError("NOAUTH Authentication required."), "refuses the name", True, False),
    (exceptions.NoPermissionError("this user has no permissions"), "may not", True, False),
    (exceptions.ResponseError("The user executing the script can't publish to the channel"), "may not", True, False),
    (exceptions.ResponseError("ACL failure in script: User bob has no permissions"), "may not", True, False),
    (exceptions.ResponseError("WRONGTYPE Operation against a key"), "somebody else", True, False),
    (exceptions.ResponseError("MOVED 3999 127.0.0.1:6381"), "Cluster", True, False),
    (exceptions.ResponseError("unknown command 'EVALSHA', with args beginning with: "), "Redis 5", True, False),
    (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), "loading", False, False),
    (exceptions.ResponseError("BUSY Redis is busy running a script."), "SCRIPT KILL", False, False),
    (exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"), "disk", False, False),
    (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "replicas", False, False),
    (exceptions.MasterDownError("Link with MASTER is down"), "primary", False, True),
    (exceptions.ReadOnlyError("You can't write against a read only replica."), "primary", False, True),
    (exceptions.TimeoutError("Timeout reading from 127.0.0.1:1"), "does not answer", False, False),
    (TimeoutError(), "does not answer", False, False),
    (exceptions.ConnectionError("Error 111 connecting to 127.0.0.1:1. Connection refused."), "refused", False, False),
    (exceptions.ConnectionError("max number of clients reached"), "number of clients", False, False),
    (exceptions.ConnectionError("Error UNKNOWN while writing to socket. Connection lost."), "lost", False, False),
    (exceptions.InvalidResponse("Protocol Error: b'HTTP/1.1 400'"), "Protocol", False, False),
    (ValueError(), "ValueError", False, False),
]


@pytest.mark.parametrize(("error", "says", "final", "leave"), TABLE, ids=lambda value: type(value).__name__)
def test_every_error_has_a_meaning(error: Exception, says: str, final: bool, leave: bool) -> None:
    """What is said, whether it would happen again, and whether another server is to be looked for."""
    fault = judge(error)
    assert says in fault.text
    assert (fault.final, fault.leave) == (final, leave)


@pytest.mark.parametrize("error", [each[0] for each in TABLE], ids=lambda value: type(value).__name__)
def test_every_meaning_has_a_remedy(error: Exception) -> None:
    """What happened, then what to do about it."""
    assert ";" in judge(error).text


@pytest.mark.parametrize("text", [
    "unknown command 'AUTH', with args beginning with: 'ann' 'secret'",
    "ERR unknown command 'AUTH', with args beginning with: 'ann' 'secret'",
    "ERR unknown subcommand, with args beginning with: 'secret'",
])  # fmt: skip
def test_what_a_server_repeats_is_not_said(text: str) -> None:
    """Of an unknown command it repeats the arguments, and one of them may be the password."""
    assert "secret" not in judge(exceptions.ResponseError(text)).text


def test_a_script_that_is_not_known_is_said_in_full() -> None:
    """A server that was restarted knows none."""
    assert unknown_script(exceptions.NoScriptError("No matching script."))
    assert not unknown_script(exceptions.ResponseError("ERR"))


def test_what_the_server_says_leaves_the_connection_as_it_was() -> None:
    """Whatever else happens, an answer may still be on its way."""
    assert answered(exceptions.ResponseError("ERR")) and answered(exceptions.ReadOnlyError("READONLY"))
    assert not answered(exceptions.ConnectionError("")) and not answered(exceptions.BusyLoadingError(""))
    assert not answered(TimeoutError()) and not answered(ValueError())
