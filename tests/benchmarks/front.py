"""One nginx before all that is compared: one process, a port for each, no access log.

Laws: every FastCGI and uwsgi server is told the same variables, the recommended ones; every HTTP server the same
headers. Start at open_front.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support import web_server
from tests.support.nginx import RECOMMENDED
from tests.support.places import free_port

Protocol = Literal["fastcgi", "uwsgi", "http"]
IDLE = 64
"""Connections to one server that nginx keeps: more than there are clients, so that none is closed for lack of room."""


@dataclass(frozen=True)
class Backend:
    """A server behind nginx; *keep*: connections to it are kept from one request to the next; *more*: locations."""

    protocol: Protocol
    socket: Path
    keep: bool
    more: str = ""


@contextmanager
def open_front(
    backends: Sequence[Backend], *, modules: str = "", settings: str = ""
) -> Iterator[list[tuple[str, int]]]:
    """Run nginx until the end of the block; the addresses, one for each of *backends*.

    *modules*: directives that load more of nginx; *settings*: such of all servers.
    """
    program = web_server.program("nginx", "nginx")
    ports = [free_port() for _ in backends[1:]]
    with web_server.run(
        lambda file: [program, "-p", str(file.parent), "-c", str(file)],
        lambda directory, port: _configuration(
            directory, zip([port, *ports], backends, strict=True), modules, settings
        ),
    ) as server:
        yield [server.address, *(("127.0.0.1", port) for port in ports)]


def _configuration(directory: Path, places: "zip[tuple[int, Backend]]", modules: str, settings: str) -> str:
    kinds = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
    temporary = "\n".join(f"    {kind}_temp_path {directory}/{kind};" for kind in kinds)
    return f"""
{modules}
daemon off;
{"user root;" if os.geteuid() == 0 else ""}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    keepalive_requests 10000000;
{temporary}
    {settings}
    map $http_host $port_of_host {{ "~(?<port>:[0-9]+)$" $port; default ""; }}
    {"".join(_server(port, backend) for port, backend in places)}
}}
"""


def _server(port: int, backend: Backend) -> str:
    return f"""
    upstream backend_{port} {{
        server unix:{backend.socket};
        {f"keepalive {IDLE};" if backend.keep else ""}
    }}
    server {{
        listen 127.0.0.1:{port};
        server_name localhost;
        location / {{
            {_pass(backend, f"backend_{port}")}
        }}
        {backend.more}
    }}
"""


def _pass(backend: Backend, upstream: str) -> str:
    match backend.protocol:
        case "fastcgi":
            keep = "on" if backend.keep else "off"
            return f"{RECOMMENDED}\n fastcgi_keep_conn {keep};\n fastcgi_pass {upstream};"
        case "uwsgi":
            return f"{RECOMMENDED.replace('fastcgi_param', 'uwsgi_param')}\n uwsgi_pass {upstream};"
        case "http":
            return f"""
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host$port_of_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_pass http://{upstream};"""
