"""The ways to the application: behind nginx, behind Apache, or straight to the runner's own HTTP port.

Start at open_site, which opens any of them in front of a runner that is serving.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support import apache, nginx, web_server
from tests.support.runner_process import Served


@dataclass(frozen=True)
class Direct:
    """No web server: the runner's own HTTP port."""

    mount: str = "/"


Site = nginx.Site | apache.Site | Direct


def title(site: Site) -> str:
    """Name the way for a test's id."""
    return web_server.title(site).replace("sites", "own port")


@contextmanager
def open_site(served: Served, site: Site) -> Iterator[tuple[str, int]]:
    """Yield the address at which *served* is reached the way *site* says."""
    match site:
        case nginx.Site():
            with nginx.nginx(served.http if site.protocol == "http" else served.fastcgi, site) as server:
                yield server.address
        case apache.Site():
            with apache.apache(served.fastcgi, site) as server:
                yield server.address
        case Direct():
            yield served.http
