"""Flask and Django as people use them: async views, the ORM, forms, uploads, streams; inline and in threads."""

import contextlib
import json

import pytest

from tests.conftest import Project, Runner
from tests.support.client import Conversation, FastCGI, fetch, parameters

CALLS = {"inline": ("--workers", "1"), "threads": ("--workers", "1", "--threads", "4")}

FLASK = """
    import asyncio
    from flask import Flask, Response, g, request, session, stream_with_context

    app = Flask(__name__)
    app.secret_key = "for the test only"

    @app.get("/async")
    async def view():
        await asyncio.sleep(0.001)
        return {"async": True}

    @app.post("/form")
    def form():
        session["name"] = request.form["name"]
        return request.form["name"]

    @app.post("/upload")
    def upload():
        return str(sum(len(part) for part in iter(lambda: request.files["file"].read(65536), b"")))

    @app.get("/stream/<name>")
    def stream(name):
        g.name = name
        return Response(stream_with_context(f"{g.name}{request.path}," for _ in range(50)))

    @app.get("/fail")
    def fail():
        raise ValueError("the application's own page answers")
"""

DJANGO = """
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="for the test only", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "book.sqlite3"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup()

    from asgiref.sync import async_to_sync, sync_to_async
    from django.core.wsgi import get_wsgi_application
    from django.db import connection, models
    from django.http import JsonResponse, StreamingHttpResponse
    from django.urls import path

    class Entry(models.Model):
        text = models.TextField()
        class Meta:
            app_label = "book"

    with connection.schema_editor() as editor:
        if Entry._meta.db_table not in connection.introspection.table_names():
            editor.create_model(Entry)
    connection.close()

    def sign(request):
        Entry.objects.create(text=request.body.decode())
        return JsonResponse({"entries": Entry.objects.count()})

    async def view(request):
        return JsonResponse({"entries": await Entry.objects.acount()})

    def lazy(request):
        return StreamingHttpResponse(f"{entry.text}," for entry in Entry.objects.iterator())

    urlpatterns = [path("sign", sign), path("async", view), path("lazy", lazy)]
    application = get_wsgi_application()
"""


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_flask_with_its_async_views_and_streams_that_keep_their_request(
    project: Project, runner: Runner, options: tuple[str, ...]
) -> None:
    """Its async views refuse to work where a loop is visible; interleaved streams must not mix."""
    served = runner(project({"app.py": FLASK}), "app:app", *options)
    assert json.loads(fetch(served.http, "/async").body) == {"async": True}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = fetch(served.http, "/form", method="POST", headers=form, body=b"name=%E2%82%AC")
    assert (reply.text, (reply.header("set-cookie") or "").startswith("session=")) == ("\u20ac", True)
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
    upload = part + bytes(2 << 20) + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert fetch(served.http, "/upload", method="POST", headers=kind, body=upload).text == str(2 << 20)
    with contextlib.ExitStack() as stack:
        open_ones = [stack.enter_context(Conversation(served.http)) for _ in range(3)]
        for number, conversation in enumerate(open_ones):
            conversation.request("GET", f"/stream/{number}")
        for number, conversation in enumerate(open_ones):
            assert conversation.reply().text == f"{number}/stream/{number}," * 50
    assert fetch(served.http, "/fail").status == 500


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_django_with_its_orm_and_its_async_views(project: Project, runner: Runner, options: tuple[str, ...]) -> None:
    """Its ORM refuses to work where a loop is visible (SynchronousOnlyOperation)."""
    served = runner(project({"app.py": DJANGO}), "app:application", *options)
    for number in (1, 2):
        body = b"entry %d" % number
        with FastCGI(served.fastcgi) as client:
            reply = client.request(parameters("/sign", method="POST", length=len(body)), body)
        assert json.loads(reply.body) == {"entries": number}
    assert json.loads(fetch(served.http, "/async").body) == {"entries": 2}
    assert fetch(served.http, "/lazy").body == b"entry 1,entry 2,"
