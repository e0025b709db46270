"""Several applications in one run, of both kinds: who answers which path, how fresh; none stalls the others."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Project, Runner
from tests.end_to_end.asgi_stage import FILES, SOURCE, Stage, read_until
from tests.end_to_end.reloading import ask, by_fastcgi, value
from tests.support import apache, nginx
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.project import edit
from tests.support.runner_process import PYTHON, environment
from tests.support.sites import open_site, title
from tests.support.trouble import report

WSGI = """
import os, time
import other
from runner.request import current

def main(environ, start_response):
    if environ["PATH_INFO"].endswith("/wait"):
        with open(os.environ["BOOK"], "a") as book:
            book.write("blocks\\n")
        while not os.path.exists(os.environ["GATE"]):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    text = f"{other.VALUE} {environ['SCRIPT_NAME']} {environ['PATH_INFO']} {current().path}"
    return [text.encode("latin-1")]
"""
MORE = {"site.py": "", "shop.py": WSGI, "other.py": "VALUE = 'wsgi'\n"}
LIVE = ("--mount", "/live=app:main", "--mount", "/live/shop=shop:main")
"""ASGI below /live, WSGI below /live/shop, WSGI for all the rest."""
BOTH = ("--mount", "/live=app:main")


@pytest.fixture
def mounted(project: Project, runner: Runner) -> Stage:
    """With a WSGI application beside the other one."""
    return Stage(project, runner, {**FILES, **MORE})


def test_the_longest_prefix_answers(mounted: Stage) -> None:
    """Up to the end of a segment; each is told what was cut off, over both fronts, and the whole stays what it was."""
    served = mounted.serve(*LIVE, target="shop:main")
    expected = {
        "/": "wsgi  / /",
        "/lively/place": "wsgi  /lively/place /lively/place",
        "/live/place": "0 /live /live/place /live/place",
        "/live/shop": "wsgi /live/shop  /live/shop",
        "/live/shop/a%20b/%C3%A9": "wsgi /live/shop /a b/\u00e9 /live/shop/a b/\u00e9",
        "/live/shopping": None,
        "/elsewhere/live/place": "wsgi  /elsewhere/live/place /elsewhere/live/place",
    }
    for path, text in expected.items():
        reply = fetch(served.http, path)
        if text is None:
            assert reply.status == 500, "the application below /live does not know it"
        else:
            assert reply.text == text
    with FastCGI(served.fastcgi) as client:
        reply = client.request(parameters("/live/place", SCRIPT_NAME="", PATH_INFO="/live/place")).reply
        assert reply.text == "0 /live /live/place /live/place"


@pytest.mark.parametrize("site", [nginx.Site(mount="/app"), apache.Site(mount="/app")], ids=title)
def test_below_the_prefix_of_a_web_server(mounted: Stage, site: nginx.Site | apache.Site) -> None:
    """Both prefixes are where the application is mounted."""
    served = mounted.serve(*BOTH, "--root-path", "/app", target="shop:main")
    with open_site(served, site) as address:
        assert fetch(address, "/app/live/place").text == "0 /app/live /app/live/place /app/live/place"
        assert fetch(address, "/app/x").text == "wsgi /app /x /app/x"


def test_wsgi_below_asgi(mounted: Stage) -> None:
    """The other way round."""
    served = mounted.serve("--mount", "/shop=shop:main")
    assert fetch(served.http, "/shop/x").text == "wsgi /shop /x /shop/x"
    assert fetch(served.http, "/place").text == "0  /place /place"


def test_the_kinds_are_said(mounted: Stage) -> None:
    """By status, by check, at the start."""
    served = mounted.serve(*BOTH, target="shop:main")
    served.wait_for(r"ready in .*shop:main \(WSGI, ASGI at /live\)")
    assert report(served)["kind"] == "WSGI, ASGI at /live"
    done = run(mounted, "check", "shop:main", *BOTH)
    assert (done.returncode, "WSGI, ASGI at /live" in done.stdout) == (0, True), done


@pytest.mark.parametrize("mode", ["redirect", "hold"])
def test_edits_in_each_of_them(mounted: Stage, mode: str) -> None:
    """Whoever is asked next, the new code answers."""
    served = mounted.serve(*BOTH, "--on-change", mode, target="shop:main")
    for version in range(1, 4):
        edit(mounted.module, value(version))
        assert ask(served, "/live/")[:2] == (200, str(version))
        edit(mounted.place / "other.py", value(version))
        assert ask(served, "/x").text == f"{version}  /x /x"
        assert ask(served, "/live/").text == str(version)


def test_one_that_is_broken_is_mended_by_saving(mounted: Stage) -> None:
    """They were deployed together, so none of them answers before that."""
    served = mounted.serve(*BOTH, "--debug", target="shop:main")
    edit(mounted.place / "app.py", "import nothing_of_the_sort\n")
    for path in ("/live/", "/x"):
        broken = ask(served, path)
        assert (broken.status, "nothing_of_the_sort" in broken.text) == (500, True)
    edit(mounted.place / "app.py", SOURCE)
    assert (ask(served, "/live/").text, ask(served, "/x").text) == ("0", "wsgi  /x /x")


def test_one_that_cannot_start(mounted: Stage) -> None:
    """The same for what its lifespan refuses."""
    served = mounted.serve(*BOTH, "--debug", target="shop:main")
    edit(mounted.module, value("no start"))
    assert {ask(served, path).status for path in ("/live/", "/x")} == {500}
    edit(mounted.module, value(1))
    assert (ask(served, "/live/").text, ask(served, "/x").text) == ("1", "wsgi  /x /x")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_blocking_call_stalls_no_stream(mounted: Stage, threads: int) -> None:
    """All WSGI threads wait for a file; what is on the loop begins, goes on and ends meanwhile; then they end."""
    served = mounted.serve(*BOTH, "--threads", str(threads), target="shop:main")
    with ThreadPoolExecutor(threads) as pool:
        blocked = [pool.submit(fetch, served.http, "/wait") for _ in range(threads)]
        mounted.until("blocks", served)
        with Conversation(served.http) as streaming:
            streaming.request("GET", "/live/events")
            read_until(streaming.socket, b"data: ")
            assert [by_fastcgi(served, "/live/").text for _ in range(20)] == ["0"] * 20
            mounted.gate.touch()
        assert {done.result().text for done in blocked} == {"wsgi  /wait /wait"}


@pytest.mark.parametrize(("mount", "parts"), [
    ("live=app:main", ["'live=app:main' is not a path and a target", "/live=live:app"]),
    ("/live", ["'/live' is not a path and a target"]),
    ("/live/=app:main", ["'/live/=app:main' is not a path"]),
    ("/=app:main", ["'/=app:main' is not a path"]),
    ("/live=", ["'/live=' is not a path and a target"]),
    ("/live=ap:main", ["there is no module 'ap'", "did you mean app?"]),
    ("/live=app:mian", ["app has no attribute 'mian'", "did you mean main?"]),
    ("/live=app:os", ["app:os is not callable"]),
    ("/live=app:main(", ["write module:attribute"]),
    ("/live/other=shop:main --mount /live/other=app:main", ["'/live/other' is there twice"]),
], ids=lambda value: str(value)[:16])  # fmt: skip
def test_a_wrong_mount(mounted: Stage, mount: str, parts: list[str]) -> None:
    """Exit code 2 and one line, which says what would be right."""
    own = ["--control", str(mounted.place / "c"), "--fastcgi", f"unix:{mounted.place / 'f'}"]
    done = run(mounted, "serve", "shop:main", "--mount", *mount.split(), *own)
    lines = [line for line in done.stderr.splitlines() if "runs as root" not in line]
    assert (done.returncode, done.stdout, len(lines)) == (2, "", 1), done
    assert all(part in lines[0] for part in parts), lines


def run(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the runner, to its end."""
    return subprocess.run([PYTHON, "-m", "runner", *words], cwd=stage.place, env=environment(**stage.env),
                          capture_output=True, text=True, timeout=20, check=False)
