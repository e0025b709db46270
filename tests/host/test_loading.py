"""From the text of a target to the callable, or to a message that names the nearest right thing."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch import JSONRPCBatch
from runner.host.loading import Parsed, Target, TargetError, candidates, load, parse_target
from tests.conftest import Project

Load = Callable[[str], Target]

FILES = {
    "loaded_shop.py": """
        def main(environ, start_response): return [b"main"]
        class Api:
            def call(self, environ, start_response): return [b"call"]
            def __call__(self, environ, start_response): return [b"object"]
        api = Api()
        def make(*given): return lambda environ, start_response: [repr(given).encode()]
        def makes_nothing(): return None
        number = 7
    """,
    "loaded_usual.py": "def application(environ, start_response): return [b'usual']\n",
    "loaded_factory.py": "def create_app(): return lambda environ, start_response: [b'made']\n",
    "loaded_nothing.py": "value = 1\ndef other(): pass\n",
    "loaded_asgi.py": """
        import functools
        async def app(scope, receive, send): pass
        class Api:
            async def __call__(self, scope, receive, send): pass
            async def method(self, scope, receive, send): pass
        api = Api()
        def plain(scope, receive, send): return app(scope, receive, send)
        part = functools.partial(app)
        @functools.wraps(app)
        def wrapped(*given): return app(*given)
        class Old:
            def __init__(self, scope): pass
            async def __call__(self, receive, send): pass
    """,
    "loaded_broken.py": "import loaded_missing_inside\n",
    "loaded_gateway.py": """
        from runner.batch import JSONRPCBatch
        batch = JSONRPCBatch("/jsonrpc")
        def make(): return batch
    """,
    "loaded_package/__init__.py": "",
    "loaded_package/web.py": "def app(environ, start_response): return [b'package']\n",
    "loaded-with-dash.py": "def app(environ, start_response): return [b'dash']\n",
}


@pytest.fixture
def loading(project: Project) -> Iterator[Load]:
    """Load a target from the files above; what was imported is forgotten afterwards."""
    directory = project(FILES)
    before, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(directory))

    def found(text: str) -> Target:
        return load(text, str(directory))

    yield found
    sys.path[:] = path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def says(target: Target) -> bytes:
    """What the application answers."""
    return b"".join(target.application({}, None))


@pytest.mark.parametrize(("text", "answer"), [
    ("loaded_shop:main", b"main"), ("loaded_shop:api", b"object"), ("loaded_shop:api.call", b"call"),
    ("loaded_shop:make()", b"()"), ("loaded_shop:make('dev', 2)", b"('dev', 2)"), ("loaded_shop:make([1],)", b"([1],)"),
    ("loaded_usual", b"usual"), ("loaded_usual.py", b"usual"), ("loaded_factory", b"made"),
    ("loaded_shop.py:main", b"main"), ("./loaded_shop.py:main", b"main"), ("loaded_package.web:app", b"package"),
    ("loaded_package/web.py", b"package"), ("loaded-with-dash.py:app", b"dash"),
])
def test_a_target_is_found(loading: Load, text: str, answer: bytes) -> None:
    """In each of its forms."""
    target = loading(text)
    assert (says(target), target.kind) == (answer, "WSGI")


@pytest.mark.parametrize("name", ["app", "api", "api.method", "plain", "part", "wrapped"])
def test_an_asgi_application_is_known_by_its_looks(loading: Load, name: str) -> None:
    """A coroutine function, an object that is called like one, or a callable of scope, receive and send."""
    assert loading(f"loaded_asgi:{name}").kind == "ASGI"


@pytest.mark.parametrize(("interface", "kind"), [("wsgi", "WSGI"), ("asgi", "ASGI")])
def test_looks_do_not_count_against_what_people_say(project: Project, interface: str, kind: str) -> None:
    """For callables that hide what they are."""
    directory = project({"loaded_hidden.py": "def app(*given): pass\n"})
    sys.path.insert(0, str(directory))
    try:
        assert load("loaded_hidden:app", str(directory), interface).kind == kind
    finally:
        sys.path.remove(str(directory))
        sys.modules.pop("loaded_hidden", None)


@pytest.mark.parametrize("text", ["loaded_gateway:batch", "loaded_gateway:make()"])
def test_a_gateway_is_known_by_its_class(loading: Load, text: str) -> None:
    """Nobody calls it as WSGI or ASGI."""
    target = loading(text)
    assert (target.kind, isinstance(target.application, JSONRPCBatch)) == ("batch", True)


@pytest.mark.parametrize(("text", "message"), [
    ("loaded_shpo:main", r"there is no module 'loaded_shpo' in .*; did you mean loaded_shop\?"),
    ("zzzzz:main", r"there is no module 'zzzzz' in .*; here are "),
    ("loaded_package.wbe:app", r"there is no module 'loaded_package.wbe'"),
    ("loaded_shpo.py", r"there is no file .*loaded_shpo.py; did you mean loaded_shop.py\?"),
    ("loaded_shop:mian", r"loaded_shop has no attribute 'mian'; did you mean main\?"),
    ("loaded_shop:zzz", r"loaded_shop has no attribute 'zzz'; it has Api, api, main"),
    ("loaded_shop:api.cal", r"has no attribute 'cal'; did you mean call\?"),
    ("loaded_shop:number", r"loaded_shop:number is not callable but int"),
    ("loaded_shop:makes_nothing()", r"made NoneType, which is not callable; return the application"),
    ("loaded_nothing", r"loaded_nothing has none of app, .*; it has other: write loaded_nothing:NAME"),
    ("loaded_asgi:Old", r"is an application of ASGI 2, and ASGI 3 is served"),
])
def test_a_target_that_is_not_there_names_what_is(loading: Load, text: str, message: str) -> None:
    """With a TargetError, whose exit code is 2."""
    with pytest.raises(TargetError, match=message) as caught:
        loading(text)
    assert caught.value.exit_code == 2


def test_a_missing_import_inside_is_the_application_s_fault(loading: Load) -> None:
    """It is no wrong target: the file may be fixed."""
    with pytest.raises(ModuleNotFoundError, match="loaded_missing_inside"):
        loading("loaded_broken:main")


@pytest.mark.parametrize("text", [
    "", ":", ":main", "a b", "a:b c", "a:b(", "a:b)", "a:(1)", "a:b(c)", "a:b(__import__('os'))", "1a:b", "a..b:c",
    ".:x", "a:b:c", "a:.b",
])
def test_what_is_no_target_is_refused(text: str) -> None:
    """With a remedy, and nothing in it is ever evaluated but literals."""
    with pytest.raises(TargetError, match=r"; write|must be literals|write module:attribute"):
        parse_target(text, "/srv")


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    """No other error."""
    try:
        assert isinstance(parse_target(text, "/srv"), Parsed)
    except TargetError:
        pass


def test_candidates_are_what_could_be_imported(tmp_path: Path) -> None:
    """Modules and packages; no tests, nothing whose name is none."""
    for name in ("app.py", "test_app.py", "my-app.py", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "data").mkdir()
    assert candidates(str(tmp_path)) == ["app", "shop"]
    assert candidates(str(tmp_path / "missing")) == []
