"""A fresh interpreter: what it inherits, what it is furnished with, and when it dies."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import BootError, UsageError
from runner.process.interpreter import drop_privileges, identify, read_env_file
from tests.support.runner_process import environment

# ---- the environment file -------------------------------------------------------------------------------------

def test_an_environment_file_is_read(tmp_path: Path) -> None:
    """Comments, blank lines, `export`, quotes, spaces, `=` in a value, an empty value."""
    (tmp_path / "env").write_text(
        "# comment\n\nA=1\nexport B = two words \nC='quoted'\nD=\"a=b\"\nE=\nF='\nG=\"x'\nÄ=umlaut\n", encoding="utf-8")
    assert read_env_file(str(tmp_path / "env")) == {
        "A": "1", "B": "two words", "C": "quoted", "D": "a=b", "E": "", "F": "'", "G": "\"x'", "Ä": "umlaut"}


@pytest.mark.parametrize("line", ["SECRET hunter2", "=hunter2", "1A=hunter2", "A B=hunter2", "export"])
def test_a_bad_line_is_named_by_its_number_only(tmp_path: Path, line: str) -> None:
    """It may hold a secret."""
    (tmp_path / "env").write_text(f"A=1\n{line}\n")
    with pytest.raises(UsageError, match=r"env:2 is not of the form NAME=value") as caught:
        read_env_file(str(tmp_path / "env"))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_an_unreadable_file_is_a_usage_error(tmp_path: Path, content: bytes | None) -> None:
    """Missing, or no UTF-8."""
    if content is not None:
        (tmp_path / "env").write_bytes(content)
    with pytest.raises(UsageError, match="cannot read --env-file"):
        read_env_file(str(tmp_path / "env"))


# ---- privileges -------------------------------------------------------------------------------------------------

def test_unknown_names_are_refused() -> None:
    """Before anything is changed."""
    for user, group in (("nobody-at-all", None), (None, "no-group-at-all")):
        with pytest.raises(BootError, match="check --user and --group"):
            drop_privileges(user, group)


DROP = """
import json, os, sys
from runner.process.interpreter import drop_privileges
drop_privileges(sys.argv[1] or None, sys.argv[2] or None)
try:
    os.setuid(0)
except PermissionError:
    print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), os.environ["USER"]]))
"""


@pytest.mark.parametrize(("user", "group", "numbers"), [
    ("nobody", "", (65534, 65534)), ("nobody", "www-data", (65534, 33)),
])
def test_the_user_is_changed_for_good(user: str, group: str, numbers: tuple[int, int]) -> None:
    """Real, effective and saved, with that user's groups only; there is no way back."""
    assert os.geteuid() == 0, "run the tests as root, or this promise is not looked at"
    done = subprocess.run([sys.executable, "-c", DROP, user, group], env=environment(), capture_output=True, text=True,
                          check=True, timeout=30)
    users, groups, others, name = json.loads(done.stdout)
    assert (users, groups, others, name) == ([numbers[0]] * 3, [numbers[1]] * 3, [numbers[1]], user)


def test_whom_to_become_can_be_told_by_numbers() -> None:
    """User, group, and the groups that it is in; nobody, if nobody else is named."""
    identity = identify("nobody", "www-data")
    assert identity is not None and identity.numbers() == [65534, 33, 33]
    identity = identify(None, "www-data")
    assert identity is not None and identity.numbers() == [os.geteuid(), 33, *os.getgroups()]
    assert identify(None, None) is None


def test_who_is_not_root_cannot_become_somebody_else() -> None:
    """And is told how he could."""
    code = ("import os; from runner.process.interpreter import drop_privileges; os.setuid(65534)\n"
            "try: drop_privileges('www-data', None)\nexcept Exception as error: print(error)")
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=30,
                          check=True)
    assert done.stdout == "cannot become www-data:: Operation not permitted; start as root\n"
