"""An exception as a page: helpful to its author, silent to everybody else."""

import os
from typing import Any

import pytest

from runner.host.error_page import Failure, where

LOCAL = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}


def failure(message: str = "<b>why</b>") -> Failure:
    """A ValueError with a local variable and an environment to keep silent about."""
    try:
        password = "hunter2"
        raise ValueError(message)
    except ValueError as error:
        assert password
        return Failure.of(error)


def page(variables: dict[str, str], *, debug: bool = True, importing: bool = False) -> str:
    """The page as text."""
    return failure().answer(variables, debug=debug, importing=importing).body.decode()


def test_the_author_sees_the_traceback_escaped() -> None:
    """With --debug, on this machine, under this machine's name."""
    text = page(LOCAL)
    assert "Traceback" in text and "&lt;b&gt;why" in text and "<b>why" not in text


@pytest.mark.parametrize(
    ("variables", "debug"),
    [
        (LOCAL, False),
        ({**LOCAL, "REMOTE_ADDR": "192.0.2.1"}, True),
        ({**LOCAL, "REMOTE_ADDR": ""}, True),
        ({**LOCAL, "HTTP_HOST": "evil.example"}, True),
        ({**LOCAL, "HTTP_HOST": "localhost.evil.example"}, True),
        ({**LOCAL, "HTTP_HOST": "evil.example:80"}, True),
        ({**LOCAL, "HTTP_HOST": ""}, True),
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({**LOCAL, "REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, True),
    ],
)
def test_everybody_else_sees_a_reference_number(variables: dict[str, str], debug: bool) -> None:
    """A page on the internet can make a local browser ask, but not under the name localhost."""
    text = page(variables, debug=debug)
    assert "Traceback" not in text and "why" not in text and "ValueError" not in text
    assert "reference" in text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]", "[::1]:8000"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_several_names(host: str, peer: str) -> None:
    """All of them are its own."""
    assert "Traceback" in page({"REMOTE_ADDR": peer, "HTTP_HOST": host})


def test_no_value_of_the_environment_or_of_a_variable_appears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source lines and the message, nothing else."""
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cr3t-of-the-environment")
    text = page({**LOCAL, "HTTP_COOKIE": "session=s3cr3t-cookie", "HTTP_AUTHORIZATION": "Basic s3cr3t"})
    assert "s3cr3t" not in text
    assert os.environ["HOME"] not in text or os.environ["HOME"] in __file__


def test_the_page_is_a_500_that_nobody_keeps_and_says_how_to_go_on() -> None:
    """For a failed import: saving the corrected file is all."""
    answer = failure().answer(LOCAL, debug=True, importing=True)
    assert (answer.status, dict(answer.headers)["Cache-Control"]) == (500, "no-store")
    assert "nothing needs a restart" in answer.body.decode()


def test_the_log_has_the_traceback_under_the_same_reference() -> None:
    """It is how the two are found together."""
    made = failure()
    text = made.log_text("GET /x")
    assert text.startswith(f"GET /x failed, reference {made.reference}: ValueError: <b>why</b>\nTraceback")
    assert made.reference in made.answer({}, debug=False).body.decode()


class Unprintable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [Unprintable(), SystemExit(3), ExceptionGroup("many", [ValueError("\ud800")])])
def test_rendering_never_raises(error: BaseException) -> None:
    """Whatever the exception does."""
    assert Failure.of(error).answer(LOCAL, debug=True).status == 500


def test_the_place_of_a_syntax_error_is_its_file() -> None:
    """It is in no frame; other errors are where they were raised, and the machinery of imports is nobody's."""
    with pytest.raises(SyntaxError) as caught:
        compile("(", "/srv/app.py", "exec")
    assert where(caught.value) == "/srv/app.py:1"
    missing: Any = "runner_nowhere"
    with pytest.raises(ImportError) as lost:
        __import__(missing)
    assert where(lost.value).startswith(__file__)
    assert where(ValueError()) == ""
