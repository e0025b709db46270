"""Flask and Django as their users write them: served, edited while they are asked, broken and mended.

The projects are written from literals, and no option of a framework that reloads by itself is on, but one: Flask looks
at its templates again only if told to (TEMPLATES_AUTO_RELOAD).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import nginx
from tests.support.places import Address
from tests.support.project import edit, project, replace, restored
from tests.support.runner_process import Served, serve
from tests.support.sites import Direct, Site, open_site, title
from tests.support.visitor import Visitor

FLASK = {
    "app.py": """
        from shop import create_app

        main = create_app()
    """,
    "shop/__init__.py": """
        from flask import Flask

        from shop.pages import pages


        def create_app():
            app = Flask(__name__)
            app.config["TEMPLATES_AUTO_RELOAD"] = True
            app.register_blueprint(pages, url_prefix="/shop")
            return app
    """,
    "shop/pages.py": """
        import asyncio

        from flask import Blueprint, render_template, request

        from shop import prices

        pages = Blueprint("pages", __name__)


        @pages.get("/page")
        def page():
            return render_template("page.html", price=prices.PRICE)


        @pages.post("/order")
        def order():
            return {"ordered": request.form["what"], "price": prices.PRICE}


        @pages.get("/later")
        async def later():
            await asyncio.sleep(0.001)
            return f"later {prices.PRICE}"
    """,
    "shop/prices.py": "PRICE = 1\n",
    "shop/templates/page.html": "It costs {{ price }}.",
}

DJANGO = {
    "app.py": """
        import os

        from django.core.wsgi import get_wsgi_application

        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        main = get_wsgi_application()
    """,
    "site_settings.py": """
        import os

        SECRET_KEY = "not one"
        ALLOWED_HOSTS = ["localhost"]
        ROOT_URLCONF = "site_urls"
        INSTALLED_APPS = ["notes"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["NOTES_DB"]}}
        DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
        GREETING = "hello"
    """,
    "site_urls.py": """
        from django.urls import path

        from notes import views

        urlpatterns = [path("notes", views.notes), path("create", views.create)]
    """,
    "notes/__init__.py": "",
    "notes/models.py": """
        from django.db import models


        class Note(models.Model):
            text = models.CharField(max_length=100)

            def __str__(self):
                return self.text
    """,
    "notes/views.py": """
        from django.conf import settings
        from django.db import connection
        from django.http import JsonResponse

        from notes.models import Note


        def create(request):
            with connection.schema_editor() as editor:
                editor.create_model(Note)
            return JsonResponse({"created": True})


        def notes(request):
            if request.method == "POST":
                Note.objects.create(text=request.POST["text"])
            return JsonResponse({"greeting": settings.GREETING, "notes": [str(note) for note in Note.objects.all()]})
    """,
}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BOTH: list[Site] = [Direct(), nginx.Site(keep_connections=False)]
ONE: list[Site] = [nginx.Site(keep_connections=False)]


MOST = 3
"""Files that a test edits, at most: so often may a client be redirected when they are as they were again."""


class Running(NamedTuple):
    """A project being served, and where it is asked."""

    directory: Path
    address: Address


@pytest.fixture(scope="module")
def flask_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """The Flask project."""
    with served_project(tmp_path_factory.mktemp("flask"), FLASK) as served:
        yield served


@pytest.fixture(scope="module")
def django_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Served]]:
    """The Django project, with its database outside of it."""
    with served_project(tmp_path_factory.mktemp("django"), DJANGO) as served:
        yield served


@contextmanager
def served_project(folder: Path, files: dict[str, str]) -> Iterator[tuple[Path, Served]]:
    """Serve *files* for all tests; each begins with the project as it is here."""
    directory = project(folder / "project", files)
    with serve(directory, "app:main", env={"NOTES_DB": str(folder / "notes.sqlite3")}) as served:
        yield directory, served
        served.stop()
        print(served.output)


@pytest.fixture
def flask(request: pytest.FixtureRequest, flask_served: tuple[Path, Served]) -> Iterator[Running]:
    """A way to the Flask project."""
    directory, served = flask_served
    with open_site(served, request.param) as address:
        with restored(directory):
            yield Running(directory, address)
        with Visitor(address, most=MOST) as visitor:
            assert visitor.ask("/shop/page").text == "It costs 1."


@pytest.fixture
def django(request: pytest.FixtureRequest, django_served: tuple[Path, Served]) -> Iterator[Running]:
    """A way to the Django project, whose table is empty."""
    directory, served = django_served
    (directory.parent / "notes.sqlite3").unlink(missing_ok=True)
    with open_site(served, request.param) as address:
        with Visitor(address) as visitor:
            assert visitor.ask("/create", "POST").status == 200
        with restored(directory):
            yield Running(directory, address)
        with Visitor(address, most=MOST) as visitor:
            assert visitor.ask("/notes").text.startswith('{"greeting": "hello", "notes": ')


@pytest.mark.parametrize("flask", BOTH, ids=title, indirect=True)
def test_flask_shows_each_edit(flask: Running) -> None:
    """A module below a blueprint, the blueprint and its template: each is new at the next request, async views too."""
    shop = flask.directory / "shop"
    with Visitor(flask.address, keep=True) as visitor:
        assert visitor.ask("/shop/page").text == "It costs 1."
        edit(shop / "prices.py", "PRICE = 2\n")
        assert visitor.ask("/shop/later").text == "later 2"
        assert visitor.ask("/shop/page").text == "It costs 2."
        replace(shop / "templates/page.html", "Only {{ price }}!")
        assert visitor.ask("/shop/page").text == "Only 2!"
        _change(shop / "pages.py", "later {", "much later {")
        assert visitor.ask("/shop/later").text == "much later 2"


@pytest.mark.parametrize("flask", ONE, ids=title, indirect=True)
def test_flask_takes_forms_while_it_is_edited(flask: Running) -> None:
    """A POST after each save is answered, not redirected, and the next GET is by the code as saved."""
    with Visitor(flask.address) as visitor:
        for price in range(2, 5):
            edit(flask.directory / "shop/prices.py", f"PRICE = {price}\n")
            reply = visitor.ask("/shop/order", "POST", b"what=tea", FORM)
            assert (reply.status, b'"ordered":"tea"' in reply.body) == (200, True)
            assert visitor.ask("/shop/page").text == f"It costs {price}."


@pytest.mark.parametrize("flask", ONE, ids=title, indirect=True)
@pytest.mark.parametrize(
    "mistake",
    ["PRICE = (\n", "raise RuntimeError('no prices today')\n", "COST = 1\n"],
    ids=["syntax", "at import", "in a view"],
)
def test_flask_comes_back_from_a_mistake(flask: Running, mistake: str) -> None:
    """Whatever was wrong, the page is 500 until the fix is saved, and right at once after it."""
    prices = flask.directory / "shop/prices.py"
    with Visitor(flask.address) as visitor:
        assert visitor.ask("/shop/page").status == 200
        edit(prices, mistake)
        assert visitor.ask("/shop/page").status == 500
        edit(prices, "PRICE = 7\n")
        assert visitor.ask("/shop/page").text == "It costs 7."


@pytest.mark.parametrize("django", BOTH, ids=title, indirect=True)
def test_django_shows_each_edit(django: Running) -> None:
    """A view, the settings and a model: each is new at the next request, and what was stored stays."""
    with Visitor(django.address, keep=True) as visitor:
        assert visitor.ask("/notes", "POST", b"text=milk", FORM).text == '{"greeting": "hello", "notes": ["milk"]}'
        _change(django.directory / "site_settings.py", '"hello"', '"good morning"')
        assert visitor.ask("/notes").text == '{"greeting": "good morning", "notes": ["milk"]}'
        _change(django.directory / "notes/models.py", "return self.text", "return self.text.upper()")
        assert visitor.ask("/notes").text == '{"greeting": "good morning", "notes": ["MILK"]}'
        _change(django.directory / "notes/views.py", '"notes": [', '"all": [')
        assert visitor.ask("/notes").text == '{"greeting": "good morning", "all": ["MILK"]}'


@pytest.mark.parametrize("django", ONE, ids=title, indirect=True)
@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("site_settings.py", "SECRET_KEY", "SECRET KEY"),
        ("notes/models.py", "models.Model", "models.Modell"),
        ("notes/views.py", "settings.GREETING", "settings.NOTHING"),
    ],
    ids=["settings", "model", "view"],
)
def test_django_comes_back_from_a_mistake(django: Running, file: str, before: str, after: str) -> None:
    """Whatever was wrong, the page is 500 until the fix is saved, and right at once after it."""
    with Visitor(django.address) as visitor:
        assert visitor.ask("/notes").status == 200
        _change(django.directory / file, before, after)
        assert visitor.ask("/notes").status == 500
        _change(django.directory / file, after, before)
        assert visitor.ask("/notes").text == '{"greeting": "hello", "notes": []}'


def _change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    edit(file, text.replace(before, after))
