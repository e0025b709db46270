"""ASGI applications through `runner serve`: as fresh and as unbroken as the others, told of begin and end."""

import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.asgi_stage import SOURCE, Stage
from tests.end_to_end.reloading import ask, by_fastcgi, until_settled, value
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.runner_process import PYTHON, environment
from tests.support.trouble import report, until

MODES = pytest.mark.parametrize("mode", ["redirect", "hold"])
RELOADS = pytest.mark.parametrize("reload", ["eager", "request"])


# ---- edits -------------------------------------------------------------------------------------------------

@MODES
@RELOADS
def test_the_request_after_an_edit_runs_the_new_code(stage: Stage, mode: str, reload: str) -> None:
    """Over both fronts; held, nobody sees a redirect."""
    served = stage.serve("--on-change", mode, "--reload", reload)
    for version in range(1, 5):
        edit(stage.module, value(version))
        answer = ask(served, fastcgi=version % 2 == 0)
        assert (answer.status, answer.text) == (200, str(version))
        assert mode == "redirect" or answer.redirects == 0


@MODES
def test_a_post_that_finds_the_edit(stage: Stage, mode: str) -> None:
    """Who redirects finishes it with the code that has read it; held, it is handed over with its body."""
    served = stage.serve("--on-change", mode, "--reload", "request")
    stage.gate.touch()
    edit(stage.module, value(1))
    answered = fetch(served.http, "/gate", method="POST", body=b"body").text
    assert answered == {"redirect": "0 body", "hold": "1 body"}[mode]
    assert ask(served).text == "1"


@MODES
def test_a_request_under_way_is_finished_by_the_code_it_began_with(stage: Stage, mode: str) -> None:
    """While new ones are answered by the new code."""
    served = stage.serve("--on-change", mode)
    with FastCGI(served.fastcgi) as waiting:
        waiting.ask(parameters("/gate", method="POST", length=4), b"body")
        stage.until("waits", served)
        edit(stage.module, value(1))
        assert ask(served).text == "1"
        stage.gate.touch()
        assert waiting.reply().body == b"0 body"


def test_kept_connections_go_over_to_the_new_code(stage: Stage) -> None:
    """Neither closed nor answered by the old one."""
    served = stage.serve("--on-change", "hold")
    with FastCGI(served.fastcgi) as kept, Conversation(served.http) as conversation:
        for version in range(1, 4):
            edit(stage.module, value(version))
            conversation.request("GET", "/")
            assert conversation.reply().text == str(version)
            assert kept.request(parameters(), keep=True).body == str(version).encode()


def test_a_broken_edit_is_shown_and_mended_by_saving(stage: Stage) -> None:
    """500 from the code that does not compile, 200 from the one that does; the process goes on."""
    served = stage.serve("--debug")
    edit(stage.module, "VALUE = \n")
    broken = ask(served)
    assert (broken.status, "SyntaxError" in broken.text) == (500, True)
    edit(stage.module, value(2))
    assert ask(served)[:2] == (200, "2")
    edit(stage.place / "app.py", SOURCE.replace('str(module.VALUE)', '"three"'))
    assert ask(served)[:2] == (200, "three")


def test_what_a_handler_raises_is_an_error_page(stage: Stage) -> None:
    """And nothing for the next request, on the same connection."""
    served = stage.serve("--debug")
    with Conversation(served.http) as conversation:
        conversation.request("GET", "/nobody")
        reply = conversation.reply()
        assert (reply.status, "KeyError" in reply.text) == (500, True)
        conversation.request("GET", "/")
        assert conversation.reply().text == "0"


def test_without_reload(stage: Stage) -> None:
    """What is saved changes nothing, until it is asked for."""
    served = stage.serve("--reload", "off")
    edit(stage.module, value(1))
    assert [ask(served).text for _ in range(3)] == ["0"] * 3


def test_from_wsgi_to_asgi_and_back(stage: Stage) -> None:
    """An edit may change what kind of application it is."""
    served = stage.serve("--debug")
    for number in range(2):
        wsgi = f"def main(environ, start_response):\n    start_response('200 OK', [])\n    return [b'wsgi {number}']\n"
        edit(stage.place / "app.py", wsgi)
        assert ask(served)[:2] == (200, f"wsgi {number}")
        assert report(served)["kind"] == "WSGI"
        edit(stage.place / "app.py", SOURCE)
        assert ask(served)[:2] == (200, "0")
        assert report(served)["kind"] == "ASGI"


# ---- lifespan ----------------------------------------------------------------------------------------------

def test_each_worker_starts_and_ends_once(stage: Stage) -> None:
    """Also those of the next generation; the old ones are told of their end."""
    served = stage.serve("--workers", "2")
    assert stage.notes == ["startup 0"] * 2
    edit(stage.module, value(1))
    assert ask(served).text == "1"
    until_settled(served)
    until("the old ones have ended", lambda: stage.notes.count("shutdown 0") == 2, live=served)
    assert stage.notes.count("startup 1") == 2
    assert served.stop() == 0
    assert sorted(stage.notes) == ["shutdown 0"] * 2 + ["shutdown 1"] * 2 + ["startup 0"] * 2 + ["startup 1"] * 2


def test_an_application_that_cannot_start(stage: Stage) -> None:
    """Its reason is logged and shown to who may see it; the saving of the fix is enough."""
    served = stage.serve("--debug")
    edit(stage.module, value("no start"))
    refused = ask(served)
    assert (refused.status, "the database is not there" in refused.text) == (500, True)
    served.wait_for("the database is not there")
    edit(stage.module, value(2))
    assert ask(served)[:2] == (200, "2")


def test_an_application_that_cannot_start_at_first(stage: Stage) -> None:
    """The same for the first generation: the service is there all the same."""
    edit(stage.module, value("no start"))
    served = stage.serve()
    refused = ask(served)
    assert (refused.status, "database" in refused.text) == (500, False)
    edit(stage.module, value(1))
    assert ask(served)[:2] == (200, "1")


def test_what_an_application_lacks_may_come_later(stage: Stage) -> None:
    """A database that is being started, say: it is tried again, and nothing has to be saved for that."""
    down = Path(f"{stage.book}.down")
    down.touch()
    served = stage.serve("--reload", "off")
    assert ask(served).status == 500
    down.unlink()
    until("it has started", lambda: ask(served).status == 200, live=served)


def test_an_edit_mends_what_never_ends_to_start(stage: Stage) -> None:
    """Who waits is answered by the fixed code."""
    served = stage.serve("--on-change", "hold")
    begin = "async def live(receive, send):\n"
    edit(stage.place / "app.py", SOURCE.replace(begin, f"{begin}    note('hangs')\n    await asyncio.sleep(600)\n"))
    with Conversation(served.http) as waiting:
        waiting.request("GET", "/")
        stage.until("hangs", served)
        edit(stage.place / "app.py", SOURCE.replace("str(module.VALUE)", '"mended"'))
        assert waiting.reply().text == "mended"
    assert "error" not in served.output, "who was told to leave has not failed"


# ---- what is said ------------------------------------------------------------------------------------------

def test_the_status_and_the_check_say_the_kind(stage: Stage) -> None:
    """Next to the target."""
    served = stage.serve()
    asked = {"app:main, ASGI": ["status", "--control", str(served.control)], "ASGI": ["check", "app:main"]}
    for said, words in asked.items():
        done = subprocess.run([PYTHON, "-m", "runner", *words], cwd=stage.place, env=environment(**stage.env),
                              capture_output=True, text=True, timeout=20, check=False)
        assert (done.returncode, said in done.stdout) == (0, True), done


def test_an_interface_that_is_forced(stage: Stage) -> None:
    """For what does not look like one: other names, and no coroutine function."""
    edit(stage.place / "app.py", SOURCE + "\ndef other(a, b, c):\n    return main(a, b, c)\n")
    served = stage.serve("--interface", "asgi", target="app:other")
    assert by_fastcgi(served, "/place").text == "0  /place /place"
