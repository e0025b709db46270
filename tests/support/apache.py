"""Apache with mod_proxy_fcgi before a FastCGI application, in every arrangement that changes what it is told.

Start at Site: each field is one thing that people configure differently. `with apache(socket, Site(...)) as
server:`.

Started as root, Apache insists on becoming somebody else, here www-data: the application's socket needs mode
666, and the folders on the way to it 755.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support import web_server
from tests.support.web_server import WebServer

LIBRARY = "/usr/lib/apache2/modules"
MODULES = (
    "mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic",
    "env", "proxy", "proxy_fcgi", "proxy_http",
)

WEBSOCKETS = """
ProxyPreserveHost On
ProxyPass "/live" "unix:{socket}|http://localhost/live" upgrade=websocket
"""
"""Before the ProxyPass of all the rest: the first that fits counts."""


@dataclass(frozen=True)
class Site:
    """One way to put an application behind Apache; the defaults are what we recommend."""

    mount: str = "/"                    # "/app": the part of the site that is passed on
    by: Literal["proxy_pass", "set_handler"] = "proxy_pass"
    keep_connections: bool = False      # enablereuse=on: connections are kept and FCGI_KEEP_CONN is set
    flush: bool = False                 # flushpackets=on: each piece of the answer is passed on at once
    https: bool = False                 # HTTPS=on, as mod_ssl would say
    password: bool = False              # mod_auth_basic, and REMOTE_USER from it
    pass_authorization: bool = False    # CGIPassAuth: the application gets the Authorization header itself
    websockets: Path | None = None      # the HTTP socket that all below /live goes to, WebSockets among it
    extra: str = ""                     # more directives for the server


@contextmanager
def apache(socket: Path, site: Site = Site()) -> Iterator[WebServer]:
    """Run Apache in front of the FastCGI *socket* until the end of the block."""
    program = web_server.program("apache2", "apache2-bin")
    with web_server.run(
        lambda file: [program, "-D", "FOREGROUND", "-f", str(file)],
        lambda directory, port: _configuration(directory, port, socket, site),
    ) as server:
        yield server


def _configuration(directory: Path, port: int, socket: Path, site: Site) -> str:
    modules = "\n".join(f"LoadModule {name}_module {LIBRARY}/mod_{name}.so" for name in MODULES)
    (directory / "site").mkdir()
    return f"""
{modules}
ServerRoot {directory}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile {directory}/apache.pid
DefaultRuntimeDir {directory}
Mutex pthread default
ErrorLog /dev/stderr
LogLevel warn
{"User www-data" if os.geteuid() == 0 else ""}
{"Group www-data" if os.geteuid() == 0 else ""}
# One process is enough, and is up at once. It has a thread for every visitor a test may have: mpm_event hangs up on
# idle kept-alive clients when all threads are busy, or when one process of several has become needless.
StartServers 1
ServerLimit 1
ThreadLimit 256
ThreadsPerChild 256
MaxRequestWorkers 256
MinSpareThreads 1
MaxSpareThreads 257
DocumentRoot {directory}/site
# Without this a %2F in a path is Apache's own 404.
AllowEncodedSlashes NoDecode
{"SetEnv HTTPS on" if site.https else ""}
<Location "{site.mount}">
    {_access(directory, site)}
</Location>
{WEBSOCKETS.format(socket=site.websockets) if site.websockets else ""}
{_pass(socket, site)}
{site.extra}
"""


def _pass(socket: Path, site: Site) -> str:
    backend = f"unix:{socket}|fcgi://localhost/"
    options = f"enablereuse={'on' if site.keep_connections else 'off'}"
    if site.flush:
        options += " flushpackets=on"
    if site.by == "proxy_pass":
        path = site.mount.rstrip("/") + "/"
        return f'ProxyPass "{path}" "{backend}{path.removeprefix("/")}" {options}'
    return f"""
<Location "{site.mount}">
    SetHandler "proxy:{backend}"
</Location>
<Proxy "fcgi://localhost/">
    ProxySet {options}
</Proxy>"""


def _access(directory: Path, site: Site) -> str:
    chosen = ["CGIPassAuth On"] if site.pass_authorization else []
    if site.password:
        chosen += ["AuthType Basic", 'AuthName "members"', f"AuthUserFile {directory}/passwords"]
        chosen += ["Require valid-user"]
    else:
        chosen += ["Require all granted"]
    return "\n    ".join(chosen)
