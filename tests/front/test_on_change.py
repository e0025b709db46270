"""What becomes of a request that finds newer code."""

import pytest

from runner.front.on_change import Course, choose, redirect
from runner.request import Request


def request(method: str = "GET", uri: str = "/", *, internal: bool = False, **more: str) -> Request:
    """A request as a front makes it, or the runner itself."""
    variables = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "REQUEST_URI": uri}
    return Request({**variables, **more}, "http", 0.0, internal=internal)


@pytest.mark.parametrize(
    ("asked", "course"),
    [
        (request(), Course.REDIRECT),
        (request("HEAD"), Course.REDIRECT),
        (request("PUT"), Course.REDIRECT),
        (request("DELETE"), Course.REDIRECT),
        (request("OPTIONS"), Course.REDIRECT),
        (request("POST"), Course.FINISH),
        (request("POST", HTTP_UPGRADE="websocket"), Course.FINISH),
        (request("OPTIONS", HTTP_ORIGIN="http://a.example"), Course.HAND_OVER),
        (request(HTTP_UPGRADE="websocket"), Course.HAND_OVER),
        (request("post"), Course.REDIRECT),
        (request(internal=True), Course.HAND_OVER),
        (request("POST", internal=True), Course.HAND_OVER),
        (request("DELETE", internal=True), Course.HAND_OVER),
    ],
)
def test_the_course_of_each_kind_of_request(asked: Request, course: Course) -> None:
    """A POST is never sent twice; what follows no redirect is not given one, the runner's own requests least of all."""
    assert choose(asked, redirects=True, found=True) is course


@pytest.mark.parametrize("asked", [request(), request("POST"), request("OPTIONS"), request(HTTP_UPGRADE="websocket")])
@pytest.mark.parametrize(("redirects", "found"), [(False, True), (False, False), (True, False)])
def test_only_who_finds_a_change_can_be_redirected(asked: Request, redirects: bool, found: bool) -> None:
    """And only in that mode; everything else another process has, a POST as well."""
    assert choose(asked, redirects=redirects, found=found) is Course.HAND_OVER


def test_the_redirect_repeats_the_request_at_once_and_is_kept_by_nobody() -> None:
    """307 keeps method and body; no-store keeps it out of caches."""
    answer = redirect(request(uri="/x?y=1"))
    headers = dict(answer.headers)
    assert (answer.status, headers["Location"], headers["Cache-Control"]) == (307, "/x?y=1", "no-store")


@pytest.mark.parametrize("uri", ["//evil.example/x", "/\\evil.example", "http://evil.example/x"])
def test_the_redirect_never_leaves_this_host(uri: str) -> None:
    """Whatever the URL looks like, the Location is a path of this host."""
    location = dict(redirect(request(uri=uri)).headers)["Location"]
    assert location.startswith("/") and not location.startswith(("//", "/\\"))
