"""Django on the ASGI host: views and middleware of both kinds, the ORM, streams, clients that leave."""

import json
from collections.abc import Iterator

import pytest

from tests.end_to_end.asgi_stage import NOTES, Shown, read_until, show
from tests.support import nginx
from tests.support.client import Conversation, FastCGI, fetch, parameters
from tests.support.sites import open_site

DJANGO = NOTES + """
import asyncio
import django
from django.conf import settings

settings.configure(
    SECRET_KEY="for the test only", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "book.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField", MIDDLEWARE=[f"{__name__}.named", f"{__name__}.anamed"],
)
django.setup()

from django.core.asgi import get_asgi_application
from django.db import connection, models
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import path
from django.utils.decorators import async_only_middleware, sync_only_middleware

class Entry(models.Model):
    text = models.TextField()
    class Meta:
        app_label = "book"

with connection.schema_editor() as editor:
    if Entry._meta.db_table not in connection.introspection.table_names():
        editor.create_model(Entry)
connection.close()

@sync_only_middleware
def named(get_response):
    def middleware(request):
        response = get_response(request)
        response["x-sync"] = current().path
        return response
    return middleware

@async_only_middleware
def anamed(get_response):
    async def middleware(request):
        response = await get_response(request)
        response["x-async"] = current().path
        return response
    return middleware

def sign(request):
    resources.open("thing")
    Entry.objects.create(text=request.body.decode())
    return JsonResponse({"entries": Entry.objects.count(), "path": current().path})

async def asign(request):
    resources.open("thing")
    await Entry.objects.acreate(text=request.body.decode())
    return JsonResponse({"entries": await Entry.objects.acount(), "path": current().path})

async def stream(request):
    async def parts():
        async for entry in Entry.objects.all():
            yield f"{entry.text} {current().path},"
    return StreamingHttpResponse(parts())

async def endless(request):
    async def parts():
        try:
            while True:
                yield "part "
                await asyncio.sleep(0.01)
        finally:
            note("left")
    resources.open("thing")
    return StreamingHttpResponse(parts())

async def idle(request):
    resources.open("thing")
    note("waits")
    try:
        await asyncio.sleep(600)
    finally:
        note("left")

def fail(request):
    resources.open("thing")
    raise ValueError("its own fault")

urlpatterns = [path(view.__name__, view) for view in (sign, asign, stream, endless, idle, fail)]
application = get_asgi_application()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """One run for all tests here."""
    with show(tmp_path_factory.mktemp("run"), DJANGO, "app:application") as shown:
        yield shown


@pytest.fixture
def django(running: Shown) -> Iterator[Shown]:
    """That run, as if nothing had been."""
    shown = Shown(running.stage, running.served)
    yield shown
    print(shown.log)


def test_django_views_of_both_kinds_with_the_orm(django: Shown) -> None:
    """Under a synchronous and an asynchronous middleware, over both fronts; each sees its own request."""
    number = 0
    for target in ("/sign", "/asign") * 3:
        number += 1
        body = b"entry %d" % number
        with FastCGI(django.served.fastcgi) as client:
            reply = client.request(parameters(target, method="POST", length=len(body)), body).reply
        assert json.loads(reply.body) == {"entries": number, "path": target}
        assert (reply.header("x-sync"), reply.header("x-async")) == (target, target)
    parts = [f"entry {each} /stream," for each in range(1, number + 1)]
    assert fetch(django.served.http, "/stream").text == "".join(parts)
    assert fetch(django.served.http, "/fail").status == 500
    django.check_closed(number + 1)


@pytest.mark.parametrize("path", ["/idle", "/endless"])
def test_django_is_told_that_a_client_has_left(django: Shown, path: str) -> None:
    """Its view is cancelled, its stream is closed."""
    with open_site(django.served, nginx.Site()) as address, Conversation(address) as leaving:
        leaving.request("GET", path)
        if path == "/idle":
            django.until("waits")
        else:
            read_until(leaving.socket, b"part ")
        leaving.close()
        django.until("left")
    django.check_closed(1)
