"""A WSGI application that tells what it was told, and flup6 to serve it: a FastCGI peer that is not ours.

    python -m tests.support.echo /path/of/a/socket

With it the configurations of nginx and Apache are proven without the runner; as
`tests.support.echo:application` it shows what the runner makes of the same requests.
"""

import json
import sys
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from flup.server.fcgi import WSGIServer


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with JSON: every string of the environment, and the body under "body"."""
    told = {name: value for name, value in environ.items() if isinstance(value, str)}
    told["body"] = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode("latin-1")
    answer = json.dumps(told, indent=2, sort_keys=True).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


if __name__ == "__main__":
    WSGIServer(application, bindAddress=sys.argv[1], umask=0).run()
