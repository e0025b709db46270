"""nginx in front of an application, by FastCGI in every arrangement that changes what it is told, or by HTTP.

Start at Site: each field is one thing that people configure differently. `with nginx(address, Site(...)) as
server:`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support import web_server
from tests.support.places import Address
from tests.support.web_server import WebServer

IDLE = 64
"""Connections that nginx keeps: more than a test has visitors on it, so that none is closed for lack of room."""
STOCK = "include /etc/nginx/fastcgi_params;"
"""Debian's own list: the whole path in SCRIPT_NAME, the client's port lost, REMOTE_USER from any header."""

RECOMMENDED = """
            fastcgi_param REQUEST_METHOD    $request_method;
            fastcgi_param REQUEST_URI       $request_uri;
            fastcgi_param QUERY_STRING      $query_string;
            fastcgi_param SCRIPT_NAME       "";
            fastcgi_param PATH_INFO         $uri;
            fastcgi_param CONTENT_TYPE      $content_type;
            fastcgi_param CONTENT_LENGTH    $content_length;
            fastcgi_param SERVER_PROTOCOL   $server_protocol;
            fastcgi_param SERVER_SOFTWARE   nginx/$nginx_version;
            fastcgi_param GATEWAY_INTERFACE CGI/1.1;
            fastcgi_param SERVER_NAME       $server_name;
            fastcgi_param SERVER_ADDR       $server_addr;
            fastcgi_param SERVER_PORT       $server_port;
            fastcgi_param REMOTE_ADDR       $remote_addr;
            fastcgi_param REMOTE_PORT       $remote_port;
            fastcgi_param REQUEST_SCHEME    $scheme;
            fastcgi_param HTTPS             $https if_not_empty;
            # The host is the one nginx has chosen the server by, the port the one the client wrote.
            fastcgi_param HTTP_HOST         $host$port_of_host;
            # A header `Proxy:` must not become the variable HTTP_PROXY that HTTP clients obey.
            fastcgi_param HTTP_PROXY        "" if_not_empty;
"""
BUFFERS = "fastcgi_buffer_size 16k; fastcgi_buffers 16 16k;"
"""nginx's own answers 502 to a head above 4 KiB."""

ASIDE = """
        error_page 418 = @websocket;
        if ($http_upgrade ~* ^websocket$) {{ return 418; }}
"""
"""For the location. `return` is one of the few things that `if` does well there."""
WEBSOCKET = """
    location @websocket {{
        proxy_pass http://unix:{socket};
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
"""
WEBSOCKETS = ASIDE + WEBSOCKET
"""Requests for WebSockets go to an HTTP *socket*."""


@dataclass(frozen=True)
class Site:
    """One way to put an application behind nginx; the defaults are what we recommend."""

    mount: str = "/"                    # "/app": the location that is passed on
    split: bool = False                 # fastcgi_split_path_info: mount in SCRIPT_NAME, rest in PATH_INFO
    parameters: Literal["recommended", "stock"] = "recommended"
    keep_connections: bool = True       # fastcgi_keep_conn, and a cache of idle connections
    twice: bool = False                 # the socket listed twice: what fails unanswered is tried again
    request_buffering: bool = True      # False: the body is passed on while it arrives
    response_buffering: bool = True     # False: each piece of the answer is passed on at once
    https: bool = False                 # HTTPS=on, as a TLS listener would say
    password: bool = False              # auth_basic, and REMOTE_USER from it
    protocol: Literal["fastcgi", "http"] = "fastcgi"   # http: proxy_pass, and only the fields about connections count
    websockets: Path | None = None      # the HTTP socket that requests for WebSockets go to
    timeout: str = "60s"                # proxy_read_timeout, proxy_send_timeout: the longest silence
    extra: str = ""                     # more directives for the location


@contextmanager
def nginx(address: Address, site: Site = Site()) -> Iterator[WebServer]:
    """Run nginx in front of what listens at *address* until the end of the block; one worker process."""
    program = web_server.program("nginx", "nginx")
    with web_server.run(
        lambda file: [program, "-p", str(file.parent), "-c", str(file)],
        lambda directory, port: _configuration(directory, port, address, site),
    ) as server:
        yield server


def _configuration(directory: Path, port: int, address: Address, site: Site) -> str:
    # The workers must reach the application's socket: they stay who we are.
    user = "user root;" if os.geteuid() == 0 else ""
    kinds = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
    temporary = "\n".join(f"    {kind}_temp_path {directory}/{kind};" for kind in kinds)
    place = f"unix:{address}" if isinstance(address, Path) else f"{address[0]}:{address[1]}"
    servers = f"server {place};" * (2 if site.twice else 1)
    return f"""
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 1024; }}
http {{
    access_log off;
{temporary}
    client_max_body_size 64m;
    proxy_read_timeout {site.timeout};
    proxy_send_timeout {site.timeout};
    map $http_host $port_of_host {{ "~(?<port>:[0-9]+)$" $port; default ""; }}
    upstream application {{ {servers} {f"keepalive {IDLE};" if site.keep_connections else ""} }}
    server {{
        listen 127.0.0.1:{port};
        server_name localhost;
        location {site.mount} {{
            {ASIDE.format() if site.websockets else ""}
            {_fastcgi(directory, site) if site.protocol == "fastcgi" else _http(site)}
        }}
        {WEBSOCKET.format(socket=site.websockets) if site.websockets else ""}
    }}
}}
"""


def _fastcgi(directory: Path, site: Site) -> str:
    return f"""
            {STOCK if site.parameters == "stock" else RECOMMENDED}
            {_location(directory, site)}
            fastcgi_keep_conn {_on(site.keep_connections)};
            {BUFFERS if site.parameters == "recommended" else ""}
            fastcgi_request_buffering {_on(site.request_buffering)};
            fastcgi_buffering {_on(site.response_buffering)};
            fastcgi_pass application;"""


def _http(site: Site) -> str:
    return f"""
            proxy_http_version 1.1;
            proxy_set_header Host $host$port_of_host;
            proxy_set_header Connection {'""' if site.keep_connections else "close"};
            proxy_request_buffering {_on(site.request_buffering)};
            proxy_buffering {_on(site.response_buffering)};
            {site.extra}
            proxy_pass http://application;"""


def _location(directory: Path, site: Site) -> str:
    """The directives of the variants. A parameter that is named twice is sent twice; the last is meant."""
    chosen = []
    if site.split:
        prefix = site.mount.rstrip("/")
        chosen += [
            f"fastcgi_split_path_info ^({prefix})(/.*)$;",
            "fastcgi_param SCRIPT_NAME $fastcgi_script_name;",
            "fastcgi_param PATH_INFO $fastcgi_path_info;",
        ]
    if site.https:
        chosen += ["fastcgi_param HTTPS on;", "fastcgi_param REQUEST_SCHEME https;"]
    if site.password:
        chosen += [
            'auth_basic "members";',
            f"auth_basic_user_file {directory}/passwords;",
            "fastcgi_param REMOTE_USER $remote_user;",
            "fastcgi_param AUTH_TYPE Basic;",
        ]
    return "\n            ".join([*chosen, site.extra])


def _on(value: bool) -> str:
    return "on" if value else "off"
