"""The application that is measured: it says hello, and is made of as many modules as one likes.

Law: what a request costs the application must not depend on the number of modules, so that a difference is the
server's. Start at write.
"""

from pathlib import Path

PER_PACKAGE = 50

_APPLICATION = '''\
"""Says hello; generated."""
{imports}

BODY = b"Hello, world\\n"
HEADERS = [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]


def main(environ, start_response):
    start_response("200 OK", HEADERS)
    return [BODY]
'''

_MODULE = '''\
"""One of many; generated."""
NUMBER = {number}


class Thing:
    def __init__(self, name):
        self.name = name

    def describe(self):
        return f"{{self.name}} of module {{NUMBER}}"


def make(name="thing"):
    return Thing(name)
'''


def write(directory: Path, modules: int) -> Path:
    """Write app.py, whose `main` is a WSGI application, and *modules* modules that it imports; returns *directory*."""
    names = []
    for number in range(modules):
        package = directory / f"part_{number // PER_PACKAGE:03}"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / f"module_{number:04}.py").write_text(_MODULE.format(number=number), encoding="ascii")
        names.append(f"{package.name}.module_{number:04}")
    imports = "\n".join(f"import {name}" for name in names)
    (directory / "app.py").write_text(_APPLICATION.format(imports=imports), encoding="ascii")
    return directory
