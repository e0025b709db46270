"""The few numbers a front goes by, out of all the settings.

Law: seconds and bytes, 0 for "none"; no other part of the settings reaches a front.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Bounds of one connection, the same for every front.

    header_timeout   seconds for the first byte and for the whole head
    body_timeout     seconds in which some byte of the body must arrive
    keep_alive       seconds an HTTP connection may stay between two requests
    idle             seconds a FastCGI connection may stay between two requests; the web server owns its pool, so long
    max_body         bytes of one request body
    max_connections  what FCGI_GET_VALUES is told
    """

    header_timeout: float = 10.0
    body_timeout: float = 30.0
    keep_alive: float = 15.0
    idle: float = 3600.0
    max_body: int = 1 << 30
    max_connections: int = 1000
