"""runner.toml, saved while it is being read, and invalid, and gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.log import Log
from runner.settings import Resolved, resolve
from runner.supervisor.settings_file import SettingsFile
from tests.support.project import edit, replace


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """It says three workers."""
    file = tmp_path / "runner.toml"
    edit(file, "workers = 3\n")
    return file


def known(file: Path, before: Callable[[], None] = lambda: None) -> SettingsFile:
    """As the supervisor knows it; *before* happens each time just before it is read again."""
    def reread() -> Resolved:
        before()
        return resolve({"target": "app:main"}, {}, str(file.parent))

    return SettingsFile(resolve({"target": "app:main"}, {}, str(file.parent)).settings, reread, Log("supervisor"))


def test_what_was_read_is_no_news(file: Path) -> None:
    """A save is, until it is read, and so is the file's end."""
    settings = known(file)
    assert settings.news() == []
    replace(file, "workers = 4\n")
    assert settings.news() == [str(file)]
    assert settings.read().workers == 4
    assert settings.news() == []
    file.unlink()
    assert settings.news() == [str(file)]
    assert settings.read().workers == 2


def test_a_save_while_it_is_read_is_news(file: Path) -> None:
    """It may or may not have been what was read."""
    settings = known(file, lambda: replace(file, "workers = 5\n"))
    assert settings.read().workers == 5
    assert settings.news() == [str(file)]


def test_an_invalid_file_keeps_what_was(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is said once, not each time somebody asks for news."""
    settings = known(file)
    edit(file, "werkers = 4\n")
    assert settings.read().workers == 3
    assert settings.news() == []
    assert capfd.readouterr().err.count("the settings stay as they were") == 1


def test_without_reloads_nothing_is_news(file: Path) -> None:
    """As no other edit is; a wish for a reload reads it."""
    edit(file, 'reload = "off"\nworkers = 3\n')
    settings = known(file)
    replace(file, 'reload = "off"\nworkers = 4\n')
    assert settings.news() == []
    assert settings.read().workers == 4


def test_what_cannot_change_is_named(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The rest applies."""
    settings = known(file)
    edit(file, 'workers = 4\npid-file = "elsewhere"\n')
    assert settings.read().workers == 4
    assert "pid_file changed in the settings: that needs a restart" in capfd.readouterr().err
