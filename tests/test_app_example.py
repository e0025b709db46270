"""The example application, tested as any WSGI application is: in this process, with werkzeug's client.

Every exchange goes through wsgiref.validate, which fails on whatever PEP 3333 forbids.
"""

import csv
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.types import WSGIApplication
from wsgiref.validate import validator

import pytest
from werkzeug.test import Client, TestResponse

from runner import resources

FOLDER = Path(__file__).parent.parent / "app_example"


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WSGIApplication]:
    """Import the application from its folder, with a book of its own; forget both modules afterwards."""
    monkeypatch.setenv("GUESTBOOK_DB", str(tmp_path / "book.sqlite3"))
    monkeypatch.syspath_prepend(FOLDER)
    for name in ("app", "guestbook", "rpc"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with resources.scope():   # as if the whole test were one request
        yield importlib.import_module("app").main
    for name in ("app", "guestbook", "rpc"):
        sys.modules.pop(name, None)


class Browser(Client):
    """Reads and closes every answer, as the validator demands; with `buffered=False` leaves that to you."""

    def open(self, *arguments: Any, buffered: bool = True, **options: Any) -> TestResponse:
        """Send a request; all the other methods end up here."""
        return super().open(*arguments, buffered=buffered, **options)


@pytest.fixture
def client(main: WSGIApplication) -> Client:
    """A browser on the other side of the validator."""
    return Browser(validator(main))


def test_an_empty_book_shows_the_form(client: Client) -> None:
    """The first visitor finds a page, not an error about a missing file or table."""
    reply = client.get("/")
    assert reply.status_code == 200
    assert '<form method="post" action="/sign">' in reply.text
    assert "<ul></ul>" in reply.text


def test_an_entry_is_shown_after_signing(client: Client) -> None:
    """POST answers 303 to the page, and the page then has the entry, the newest first."""
    for name in ("Ada", "Grace"):
        reply = client.post("/sign", data={"name": name, "message": f"{name} was here"})
        assert (reply.status_code, reply.headers["Location"]) == (303, "/")
    page = client.get("/").text
    assert page.index("Grace was here") < page.index("Ada was here")


def test_what_visitors_type_is_escaped(client: Client) -> None:
    """Markup in a name or a message is shown as typed and never becomes part of the page."""
    client.post("/sign", data={"name": "<b>x", "message": "<script>alert('$title')</script>"})
    page = client.get("/").text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#39;$title&#39;)&lt;/script&gt;" in page
    assert "<b>&lt;b&gt;x</b>" in page


@pytest.mark.parametrize("form", [{}, {"name": "Ada"}, {"name": " ", "message": "hello"}])
def test_a_blank_entry_is_refused(client: Client, form: dict[str, str]) -> None:
    """Both fields are needed, and spaces alone are not a name."""
    assert client.post("/sign", data=form).status_code == 400
    assert "<ul></ul>" in client.get("/").text


def test_the_export_has_every_entry_in_order(client: Client) -> None:
    """The CSV reads back as what was signed, quotes, commas, line ends and all."""
    signed = [("Ada", 'said "hello", twice'), ("Grace", "two\r\nlines"), ("Łukasz", "grüß dich")]
    for name, message in signed:
        client.post("/sign", data={"name": name, "message": message})
    reply = client.get("/export.csv")
    assert reply.mimetype == "text/csv"
    header, *rows = csv.reader(reply.text.splitlines(keepends=True))
    assert header == ["name", "message", "signed_at"]
    assert [(name, message) for name, message, _ in rows] == signed


def test_the_export_is_a_stream(client: Client) -> None:
    """It has no Content-Length, and leaving it half read closes the book without a warning."""
    client.post("/sign", data={"name": "Ada", "message": "hello"})
    reply = client.get("/export.csv", buffered=False)
    assert "Content-Length" not in reply.headers
    assert next(reply.iter_encoded()) == b"name,message,signed_at\r\n"
    reply.close()


def test_signing_goes_on_during_an_export(client: Client) -> None:
    """A reader in the middle of the book does not lock it."""
    client.post("/sign", data={"name": "Ada", "message": "hello"})
    export = client.get("/export.csv", buffered=False)
    lines = export.iter_encoded()
    next(lines)
    next(lines)
    assert client.post("/sign", data={"name": "Grace", "message": "hello"}).status_code == 303
    export.close()


def ask(client: Client, request: object) -> dict[str, Any]:
    """What a program gets."""
    found: dict[str, Any] = json.loads(client.post("/jsonrpc", json=request).data)
    return found


CALLS: dict[str, tuple[object, object]] = {
    "sign, by position": (["Ada", "hello"], True),
    "sign, by name": ({"message": "hello", "name": "Ada"}, True),
    "sign, blank": (["Ada", " "], -32602),
    "sign, too little": (["Ada"], -32602),
    "sign, too much": (["Ada", "hello", "again"], -32602),
    "sign, of another type": ([1, 2], -32602),
    "latest": (None, []),
    "latest, none": ([0], -32602),
    "latest, true": ([True], -32602),
    "latest, of another name": ({"limit": 1}, -32602),
    "burn": ([], -32601),
}


@pytest.mark.parametrize("title", CALLS)
def test_a_program_is_answered(client: Client, title: str) -> None:
    """With a result, or the code of what it did wrong; and with its id."""
    params, expected = CALLS[title]
    request = {"jsonrpc": "2.0", "method": title.partition(",")[0], "id": "x"}
    reply = ask(client, request if params is None else {**request, "params": params})
    assert reply["id"] == "x"
    assert reply.get("result", reply.get("error", {}).get("code")) == expected


def test_a_program_reads_what_was_signed(client: Client) -> None:
    """The newest first; a notification signs, and is answered with nothing."""
    for name in ("Ada", "Grace"):
        reply = client.post("/jsonrpc", json={"jsonrpc": "2.0", "method": "sign", "params": [name, "hello"]})
        assert (reply.status_code, reply.data) == (204, b"")
    latest = ask(client, {"jsonrpc": "2.0", "method": "latest", "params": {"count": 1}, "id": 1})["result"]
    assert [(entry["name"], entry["message"]) for entry in latest] == [("Grace", "hello")]


@pytest.mark.parametrize(("data", "code"), [("[", -32700), ("[]", -32600), ('{"method": "latest", "id": 1}', -32600)])
def test_what_is_no_request_of_a_program_is_told(client: Client, data: str, code: int) -> None:
    """By the codes of JSON-RPC."""
    reply = json.loads(client.post("/jsonrpc", data=data, content_type="application/json").data)
    assert (reply["error"]["code"], reply["id"]) == (code, None)


def test_a_form_is_no_program(client: Client) -> None:
    """Any site may have a form sent here, in the name of whoever looks at it."""
    assert client.post("/jsonrpc", data={"x": "y"}).status_code == 415


def test_addresses_follow_the_mount(client: Client) -> None:
    """Below /app, every address on the page and in the redirect starts with /app."""
    page = client.get("/", "http://localhost/app").text
    assert 'action="/app/sign"' in page
    assert 'href="/app/export.csv"' in page
    reply = client.post("/sign", "http://localhost/app", data={"name": "Ada", "message": "hello"})
    assert reply.headers["Location"] == "/app/"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("GET", "/sign", 405)])
def test_other_requests_are_refused(client: Client, method: str, path: str, status: int) -> None:
    """An unknown path is 404; a known one with the wrong method is 405."""
    assert client.open(path, method=method).status_code == status
