"""What becomes of a request that meets newer code on the disk.

    --on-change hold            another process has it: the next generation answers, nobody sees anything
    --on-change redirect        only the request that *finds* the change:
        internal, any method        another process has it: who made it asked for an answer, not for a place
        POST                        finished by the code that has read it: a client may not send it twice by itself
        Upgrade, CORS preflight     another process has it: neither follows a redirect
        everything else             307 to the same URL; the next generation answers it
                                every later one: another process has it, so nobody is redirected twice for one save

Laws: pure; the redirect stays on this host whatever the URL looks like, and nobody may keep it.
RFC 9110 section 15.4.8.
"""

from __future__ import annotations

from enum import Enum, auto

from runner.front.variables import request_uri
from runner.request import Answer, Request


class Course(Enum):
    """The three ways out."""

    FINISH = auto()
    REDIRECT = auto()
    HAND_OVER = auto()


def choose(request: Request, *, redirects: bool, found: bool) -> Course:
    """Which way *request* takes. *redirects*: the mode is redirect; *found*: nobody had met the change before it."""
    if not redirects or not found or request.internal:
        return Course.HAND_OVER
    if request.method == "POST":
        return Course.FINISH
    if request.upgrade or (request.method == "OPTIONS" and "HTTP_ORIGIN" in request.variables):
        return Course.HAND_OVER
    return Course.REDIRECT


def redirect(request: Request) -> Answer:
    """The 307: same method, same body, same URL."""
    location = request_uri(request.variables)
    headers = [("Location", location), ("Cache-Control", "no-store"), ("Content-Type", "text/plain; charset=utf-8")]
    return Answer(307, headers, b"The application has just changed; ask again.\n")
