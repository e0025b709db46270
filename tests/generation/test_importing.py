"""What an import comes to, and what `check` says of it."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.support.runner_process import environment


def check(directory: Path, target: str = "app:main") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `runner check`."""
    done = subprocess.run([sys.executable, "-m", "runner", "check", target], cwd=directory, env=environment(),
                          capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("code", "blame"), [
    ("def main(\n", "SyntaxError: '(' was never closed ({}/app.py:1)"),
    ("1 / 0\n", "ZeroDivisionError: division by zero ({}/app.py:1)"),
    ("raise SystemExit('enough')\n", "SystemExit: enough ({}/app.py:1)"),
    ("raise KeyboardInterrupt\n", "KeyboardInterrupt ({}/app.py:1)"),
    ("import inner\n", "ModuleNotFoundError: No module named 'inner' ({}/app.py:1)"),
    ("x = '\\udcff'; raise ValueError(x)\n", "ValueError: \\udcff ({}/app.py:1)"),
    ("raise ValueError('two\\nlines')\n", "ValueError: two lines ({}/app.py:1)"),
    ("class Mute(Exception):\n    def __str__(self): raise self\nraise Mute\n", "Mute: <exception str() failed>"),
])
def test_a_failure_is_one_line_with_its_place(project: Project, code: str, blame: str) -> None:
    """Whatever is raised; exit code 1."""
    directory = project({"app.py": code})
    status, out, err = check(directory)
    assert (status, out) == (1, "")
    assert err.startswith("runner: app:main: ") and len(err.splitlines()) == 1
    assert blame.format(directory).removesuffix(f" ({directory}/app.py:1)") in err
    assert f"({directory}/app.py:" in err


@pytest.mark.parametrize(("code", "status", "words"), [
    ("import os; os._exit(0)\n", 1, "the process ended with exit code 0 during the import"),
    ("import os; os._exit(5)\n", 5, "the process ended with exit code 5 during the import"),
    ("import os; os.abort()\n", 134, "the process was ended by SIGABRT during the import"),
])
def test_an_import_that_ends_its_process_has_failed(project: Project, code: str, status: int, words: str) -> None:
    """Also with exit code 0, which means nothing here."""
    assert check(project({"app.py": code})) == (status, "", f"runner: app:main: {words}\n")


def test_what_the_import_prints_is_the_application_s(project: Project) -> None:
    """The verdict is the last line."""
    status, out, _ = check(project({"app.py": "print('hello')\ndef main(environ, start_response): return []\n"}))
    assert status == 0
    assert out.splitlines()[0] == "hello" and out.splitlines()[-1].startswith("app:main is fine: WSGI, ")


def test_the_application_finds_the_garbage_collector_on(project: Project) -> None:
    """It is off only while the runner loads what comes before; whoever turns it off finds it off."""
    code = "import gc\nassert gc.isenabled()\ngc.disable()\ndef main(environ, start_response): return []\n"
    assert check(project({"app.py": code}))[0] == 0


def test_a_factory_is_called(project: Project) -> None:
    """With its arguments; what it raises is a failure, what it does not return a usage error."""
    directory = project({"app.py": """
        def make(kind):
            if kind == "none":
                return None
            return lambda environ, start_response: [kind.encode()]
    """})
    assert check(directory, "app:make('x')")[0] == 0
    assert check(directory, "app:make('none')")[0] == 2
    status, _, err = check(directory, "app:make(1)")
    assert status == 0, err
    assert check(directory, "app:make()")[0] == 1


@pytest.mark.parametrize(("code", "blame"), [
    ("import asyncio; loop = asyncio.new_event_loop()\n", "an event loop open"),
    ("import socket; pair = socket.socketpair()\n", "a connection to an unnamed socket open"),
    ("import socket; to = socket.create_connection(('127.0.0.1', {port}))\n", "a connection to 127.0.0.1:{port} open"),
])
def test_what_workers_must_not_share_is_named(project: Project, code: str, blame: str) -> None:
    """A connection or a loop that the import left open: each worker will import by itself."""
    main = "def main(environ, start_response): return []\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        status, out, _ = check(project({"app.py": code.format(port=port) + main}))
    assert status == 0
    assert f"; the import left {blame.format(port=port)}, so each worker will import by itself" in out


@pytest.mark.parametrize("code", [
    "import socket; s = socket.socket()\n",
    "import socket; s = socket.create_server(('127.0.0.1', 0))\n",
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('127.0.0.1', 9))\n",
    "import socket; a, b = socket.socketpair(); a.close(); b.close()\n",
])
def test_what_workers_may_share_is_not_named(project: Project, code: str) -> None:
    """A socket without a connection, a listening one, and one that was closed again."""
    status, out, _ = check(project({"app.py": code + "def main(environ, start_response): return []\n"}))
    assert status == 0
    assert "the import left" not in out


def test_a_child_of_the_import_says_nothing(project: Project) -> None:
    """A child that the application forked, and that comes out of the import too, is not a second verdict."""
    code = "import os\nif child := os.fork(): os.waitpid(child, 0)\ndef main(environ, start_response): return []\n"
    status, out, _ = check(project({"app.py": code}))
    assert status == 0
    assert out.count("is fine") == 1


def test_a_check_has_no_channels_in_memory(project: Project) -> None:
    """Nobody would hear what is published; it is said what to do."""
    code = "from runner import channels\nchannels.publish_sync('c', 1)\ndef main(environ, start_response): return []\n"
    status, _, err = check(project({"app.py": code}))
    assert status == 1 and "there are no channels in memory here" in err
