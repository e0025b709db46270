"""How the runner and each of its peers is started: two workers, no access log, on a unix socket, each as it is best.

Laws: a peer's options are those its own documentation recommends for speed. What is not installed is left out and
named, never skipped in silence. Start at available and serving.
"""

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks.front import Backend, Protocol, open_front
from tests.benchmarks.load import Lane
from tests.support.places import short_directory, wait_until_listening
from tests.support.process import Live
from tests.support.runner_process import READY, environment

WORKERS = "2"


@dataclass(frozen=True)
class Peer:
    """A server of `app:main` in the current folder; *command* gets the path of the socket to listen on."""

    name: str
    protocol: Protocol
    keep: bool
    command: Callable[[str], list[str]]
    package: str = ""   # of Python; or "uwsgi", the program
    ready: str = ""     # the line after which it serves; none: as soon as it listens

    @property
    def installed(self) -> bool:
        """Can be started here."""
        return bool(shutil.which("uwsgi") if self.package == "uwsgi" else not self.package or find_spec(self.package))


@contextmanager
def serving(peers: Sequence[tuple[Peer, Path]]) -> Iterator[list[Lane]]:
    """Start each peer in its folder, and nginx before them all."""
    with ExitStack() as stack:
        sockets = stack.enter_context(short_directory())
        backends, sessions = [], []
        for number, (peer, directory) in enumerate(peers):
            socket = sockets / str(number)
            live = stack.enter_context(Live(peer.command(str(socket)), cwd=directory, env=environment()))
            if peer.ready:
                live.wait_for(peer.ready, 60)
            wait_until_listening(socket, live)
            backends.append(Backend(peer.protocol, socket, peer.keep))
            sessions.append(live.pid)
        addresses = stack.enter_context(open_front(backends))
        names = [peer.name for peer, _ in peers]
        yield [Lane(*each) for each in zip(names, addresses, sessions, strict=True)]


def runner(name: str, *options: str, protocol: Protocol = "fastcgi", keep: bool = True) -> Peer:
    """The runner as it is by default, and with *options*."""

    def command(socket: str) -> list[str]:
        return [
            *(sys.executable, "-m", "runner", "serve", "app:main", "--workers", WORKERS),
            *(f"--{protocol}", f"unix:{socket}", "--control", f"{socket}.control", *options),
        ]

    return Peer(name, protocol, keep, command, ready=READY)


def _uwsgi(protocol: Protocol, option: str) -> Peer:
    def command(socket: str) -> list[str]:
        return [
            *("uwsgi", "--plugins", "python3", "--module", "app:main", "--need-app", f"--{option}", socket),
            *("--master", "--processes", WORKERS, "--thunder-lock", "--disable-logging", "--listen", "1024"),
            *("--chmod-socket=666", "--die-on-term"),
        ]

    return Peer(f"uWSGI, {option.removesuffix('-socket')}", protocol, False, command, "uwsgi")


def _flup(name: str, *, prefork: bool) -> Peer:
    # A child of the prefork server has one connection for as long as it lives, so none may be kept.
    module, workers = ("fcgi_fork", f", minSpare={WORKERS}, maxSpare={WORKERS}, maxChildren={WORKERS}")
    if not prefork:
        module, workers = "fcgi", ""
    return Peer(
        name, "fastcgi", not prefork,
        lambda socket: [
            sys.executable, "-c",
            "import sys; sys.path.insert(0, '.')\n"
            f"from flup.server.{module} import WSGIServer\nfrom app import main\n"
            f"WSGIServer(main, bindAddress={socket!r}, umask=0, debug=False{workers}).run()",
        ], "flup",
    )  # fmt: skip


def _gunicorn(socket: str) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "--workers", WORKERS, "--worker-class", "sync", "--log-level", "error"),
        *("--worker-tmp-dir", "/dev/shm", "--bind", f"unix:{socket}", "app:main"),
    ]


def _granian(socket: str) -> list[str]:
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", WORKERS, "--no-ws"),
        *("--log-level", "error", "--uds", socket, "app:main"),
    ]


OURS = runner("runner, FastCGI, connections kept")
UWSGI = (_uwsgi("uwsgi", "uwsgi-socket"), _uwsgi("fastcgi", "fastcgi-socket"), _uwsgi("http", "http-socket"))
FLUP = (_flup("flup6, threads", prefork=False), _flup("flup6, prefork", prefork=True))
ALL = (
    OURS,
    runner("runner, FastCGI, a connection each", keep=False),
    runner("runner, HTTP, connections kept", protocol="http"),
    *UWSGI,
    Peer("granian, HTTP", "http", True, _granian, "granian"),
    Peer("gunicorn, HTTP", "http", False, _gunicorn, "gunicorn"),
    *FLUP,
)  # fmt: skip


def available(peers: Sequence[Peer] = ALL) -> list[Peer]:
    """Those of *peers* that are installed; says which are not."""
    for peer in peers:
        if not peer.installed:
            print(f"not installed, left out: {peer.name}", file=sys.stderr)
    return [peer for peer in peers if peer.installed]
