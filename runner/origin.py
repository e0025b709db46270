"""Which sites' pages may open a WebSocket here, or publish in a channel.

A browser lets any page do so with any host, and sends the visitor's cookies along; only the Origin header tells whose
page it is. So a stranger's is refused, or it would speak in the visitor's name ("cross-site WebSocket hijacking").

    no Origin            not a browser: allowed
    the request's host   allowed; the scheme is not compared, since TLS may end at a proxy that does not tell
    listed               allowed (`--allow-origin`)
    all others           refused, "null" (a sandboxed frame, a file) among them

Law: pure; what is not understood is refused. Start at Origins.allow. RFC 6455 section 10.2; RFC 6454 section 7.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ORIGIN = re.compile(r"(https?)://([^/?#@\s,]+)")
_PORTS = {"http": ":80", "https": ":443"}


class Origins(NamedTuple):
    """*listed*: e.g. {"https://shop.example"}, in lower case; "*" is all."""

    listed: frozenset[str] = frozenset()

    def allow(self, origin: str | None, host: str) -> bool:
        """May the page of *origin* speak to *host*? Both as in the headers: "https://a:8443", "a:8443"."""
        if origin is None or "*" in self.listed:
            return True
        origin = origin.lower()
        match = _ORIGIN.fullmatch(origin)
        if match is None:
            return origin in self.listed
        scheme, place = match.groups()
        usual = _PORTS[scheme]
        place = place.removesuffix(usual)
        return place == host.lower().removesuffix(usual) or f"{scheme}://{place}" in self.listed


OWN_PAGES = Origins()
"""Nobody is listed."""
