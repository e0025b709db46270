"""A guest book: one WSGI callable, `main`, and before its JSON-RPC endpoint a gateway, `batch`. Here is how they run.

    cd app_example && runner serve app:main --mount /jsonrpc/batch=app:batch --mount /live=runner.channels:endpoint
    curl http://127.0.0.1:8000/jsonrpc/batch --json '[{"jsonrpc": "2.0", "method": "latest", "id": 1}]'

Then change a word in this file, in guestbook.py or in page.html, save, and reload the page in the browser. Pages that
are open show each new entry by themselves, whoever signs where, and whatever is edited meanwhile.

What a visitor types is shown to others, so it is escaped. There is no account that a forged form could
misuse, so there is no CSRF token; an application with a log-in needs one. Every address is built from
SCRIPT_NAME, which is where the web server has put us: the same code works at / and below /app.
"""

import asyncio
import csv
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from string import Template
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import guestbook
import rpc
from markupsafe import Markup, escape
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType
from werkzeug.routing import Map, MapAdapter, Rule
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from runner import resources
from runner.batch import JSONRPCBatch
from runner.streaming import Respond, delayed

TITLE = "Guest book"
# Read while we are imported, which makes the page, too, a file whose saving shows at the next request.
PAGE = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
ENTRY = Markup("<li id=entry-{number}><p>{message}</p><footer><b>{name}</b> <time>{signed_at}</time></footer></li>\n")

URLS = Map([
    Rule("/", methods=["GET"], endpoint="show"),
    Rule("/sign", methods=["POST"], endpoint="sign"),
    Rule("/export.csv", methods=["GET"], endpoint="export"),
    Rule("/jsonrpc", methods=["POST"], endpoint="call"),
    Rule("/next", methods=["GET"], endpoint="wait"),
])


def main(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer one request; the only name that a server has to know."""
    urls = URLS.bind_to_environ(environ)
    try:
        endpoint, _ = urls.match()
        response = ENDPOINTS[endpoint](Request(environ), urls)
    except HTTPException as error:
        return error(environ, start_response)
    return response(environ, start_response)


def show(request: Request, urls: MapAdapter) -> Response:
    """Show the page: the form, and the latest entries."""
    position = guestbook.position()
    entries = Markup("").join(ENTRY.format(**entry._asdict()) for entry in guestbook.latest(50))
    addresses = {name: urls.build(name) for name in ("sign", "export")}
    live = {"live": f"{urls.script_name}live", "channel": guestbook.CHANNEL, "position": position}
    return Response(PAGE.substitute(title=escape(TITLE), entries=entries, **live, **addresses), mimetype="text/html")


def sign(request: Request, urls: MapAdapter) -> Response:
    """Add the entry, then send the browser back with 303, so that reloading the page does not sign again."""
    name, message = (request.form.get(field, "").strip() for field in ("name", "message"))
    if not name or not message:
        raise BadRequest("A name and a message, please.")
    guestbook.sign(name[:80], message[:1000])
    return redirect(urls.build("show"), 303)


def export(request: Request, urls: MapAdapter) -> Response:
    """Stream every entry as CSV, a line at a time: a book of any size takes the memory of one line."""
    response = Response(_csv(guestbook.everything()), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=guestbook.csv"
    return response


def call(request: Request, urls: MapAdapter) -> Response:
    """Answer a program's request; a notification with nothing. No form of another site can send this type unasked."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send application/json, please.")
    answer = rpc.answer(request.get_data())
    if answer is None:
        response = Response(status=204)
        del response.headers["Content-Type"]
        return response
    return Response(json.dumps(answer), mimetype="application/json")


def wait(request: Request, urls: MapAdapter) -> WSGIApplication:
    """Answer when the next visitor has signed; until then neither the worker nor one of its threads is occupied."""
    def start(respond: Respond) -> None:
        # asyncio itself keeps no task alive.
        waiting.add(task := asyncio.get_running_loop().create_task(_watch(respond)))
        task.add_done_callback(waiting.discard)
    return lambda environ, start_response: delayed(start)


async def _watch(respond: Respond) -> None:
    try:
        before = guestbook.last()
        for _ in range(200):
            await asyncio.sleep(0.1)
            if guestbook.last() != before:
                entry = guestbook.latest(1)[0]
                text = f"{entry.name}: {entry.message}\n"
                respond("200 OK", [("Content-Type", "text/plain; charset=utf-8")], text.encode())
                return
        respond("204 No Content", [], b"")
    except resources.ResourcesClosed:
        return   # whoever waited has left


class _Line:
    """A file for csv.writer that hands back what is written: writerow() returns what write() does."""

    def write(self, text: str) -> str:
        return text


def _csv(entries: Iterable[guestbook.Entry]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(guestbook.Entry._fields[1:])
    yield from (writer.writerow(entry[1:]) for entry in entries)


waiting: set[asyncio.Task[None]] = set()
ENDPOINTS: dict[str, Callable[[Request, MapAdapter], WSGIApplication]] = {
    "show": show, "sign": sign, "export": export, "call": call, "wait": wait,
}
# Each item of a batch is a request of its own to the endpoint.
batch = JSONRPCBatch(path="/jsonrpc")
