"""The CGI meta-variables of a request: the same ones, whichever web server sent them.

Every web server cuts the URL differently into SCRIPT_NAME and PATH_INFO, sends some headers twice, joins others with
the wrong character, and passes what clients made up. The rules that come out the same for all of them:

    path       SCRIPT_NAME + PATH_INFO is the whole path; the configured prefix is cut off it, never guessed
    twice      Cookie joined with "; ", other headers with ", ", the web server's own variables: the last one wins
    dropped    HTTP_PROXY (becomes $http_proxy of CGI programs), names with a dot (they are the host's own keys)
    identity   REMOTE_USER and AUTH_TYPE only if told to trust them: nginx fills REMOTE_USER from any client's header
    length     CONTENT_LENGTH is digits or not there

Laws: pure; nothing a client sends chooses code, module, environment or configuration. The usual request takes a fast
road to the very same result.
Start at Rules.clean. RFC 3875 section 4.1; PEP 3333 "environ Variables".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

from runner.errors import RemoteProtocolError
from runner.front.twins import quickest
from runner.wire import records
from runner.wire.parameters import ParseKnown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_HEADER = re.compile(r"HTTP_[A-Z0-9_]+")
_DIGITS = re.compile(r"[0-9]{1,18}")

_DROPPED = frozenset(("HTTP_PROXY", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"))
_SINGLE = frozenset(("HTTP_HOST", "CONTENT_LENGTH"))
_IDENTITY = ("REMOTE_USER", "AUTH_TYPE")
_TRUE = frozenset(("on", "1", "true", "https"))
_MOST_KNOWN = 512
_LONGEST_KNOWN = 64

_URL_SAFE = "!#$%&'()*+,-./:;=?@[]_~"
"""RFC 3986: everything that may stand in a path and a query, "%" included since the text is encoded already."""


@dataclass
class Rules:
    """What is configured about requests, and a memory of names already judged.

    root_path          "" or "/app": the only prefix the application is served below
    trust_remote_user  believe REMOTE_USER and AUTH_TYPE
    names              those found good, e.g. {"HTTP_HOST": "HTTP_HOST"}; bounded
    parse              reads the usual request (wire.parameters)
    """

    root_path: str = ""
    trust_remote_user: bool = False
    names: dict[str, str] = field(default_factory=dict)
    parse: ParseKnown = field(default_factory=quickest)

    def clean(self, stream: bytes) -> tuple[dict[str, str], str]:
        """A whole PARAMS stream as variables, and the URL's scheme.

        Raises RemoteProtocolError: 400 for what cannot be true or is no such stream, 404 for a path outside root_path,
        431 for too many parameters.
        """
        limits = records.DEFAULT_LIMITS
        variables = self.parse(stream, self.names, limits.params_count)
        if variables is None:
            variables = self._clean_one_by_one(records.parse_pairs(stream, limits))
            _refuse_nul(variables)
        return variables, self._complete(variables)

    def _clean_one_by_one(self, pairs: list[records.Pair]) -> dict[str, str]:
        variables: dict[str, str] = {}
        for raw, value in pairs:
            name, text = raw.decode("latin-1"), value.decode("latin-1")
            if name in self.names or self._judge(name):
                variables[name] = join(name, variables[name], text) if name in variables else text
        return variables

    def _judge(self, name: str) -> bool:
        """Whether the variable may be passed on."""
        if name.startswith("HTTP_"):
            good = _HEADER.fullmatch(name) is not None and name not in _DROPPED
        else:
            good = _NAME.fullmatch(name) is not None
        if good and len(name) <= _LONGEST_KNOWN:
            if len(self.names) >= _MOST_KNOWN:
                # Clients choose header names: they must neither fill the memory nor, having filled it, keep others out.
                self.names.clear()
            self.names[name] = name
        return good

    def complete(self, variables: dict[str, str]) -> str:
        """Apply the rules to *variables* in place; returns the scheme. Raises RemoteProtocolError with 400 or 404."""
        _refuse_nul(variables)
        return self._complete(variables)

    def _complete(self, variables: dict[str, str]) -> str:
        if not variables.get("REQUEST_METHOD"):
            raise RemoteProtocolError("no REQUEST_METHOD: the web server must pass it (nginx: include fastcgi_params)")
        self._split_path(variables)
        if variables.get("CONTENT_TYPE") == "":
            # nginx's way to say that there was no such header.
            del variables["CONTENT_TYPE"]
        length = variables.get("CONTENT_LENGTH")
        if length is not None:
            if length in ("", "-1"):
                del variables["CONTENT_LENGTH"]
            elif not (_DIGITS.fullmatch(length) and length.isascii()):
                raise RemoteProtocolError("CONTENT_LENGTH must be digits")
        if not self.trust_remote_user:
            for name in _IDENTITY:
                variables.pop(name, None)
        _name_server(variables)
        secure = variables.get("HTTPS", "").lower() in _TRUE or variables.get("REQUEST_SCHEME", "").lower() == "https"
        if secure:
            variables["HTTPS"] = "on"
        else:
            variables.pop("HTTPS", None)
        scheme = "https" if secure else "http"
        if not variables.get("SERVER_PORT"):
            variables["SERVER_PORT"] = "443" if secure else "80"
        variables.setdefault("QUERY_STRING", "")
        variables.setdefault("SERVER_PROTOCOL", "HTTP/1.0")
        return scheme

    def _split_path(self, variables: dict[str, str]) -> None:
        full = variables.get("SCRIPT_NAME", "") + variables.get("PATH_INFO", "")
        if not full:
            full = _path_of(variables.get("REQUEST_URI", "")) or "/"
        if not full.startswith("/"):
            raise RemoteProtocolError(f"the path of a URL begins with '/', not {full.partition('?')[0][:80]!r}")
        root = self.root_path
        rest = full[len(root) :]
        if root and not (full.startswith(root) and (rest == "" or rest[0] == "/")):
            raise RemoteProtocolError(f"nothing is served at this path, only below {root}", 404)
        variables["SCRIPT_NAME"] = root
        variables["PATH_INFO"] = rest


def content_length(variables: dict[str, str]) -> int | None:
    """The announced length of the body in bytes; None if it is not known beforehand."""
    length = variables.get("CONTENT_LENGTH")
    return None if length is None else int(length)


def note_length(variables: dict[str, str], received: int) -> None:
    """The body is complete: a length that was unknown is known now, so say it as every web server could have."""
    if "CONTENT_LENGTH" not in variables and (received or "HTTP_TRANSFER_ENCODING" in variables):
        variables["CONTENT_LENGTH"] = str(received)
    variables.pop("HTTP_TRANSFER_ENCODING", None)


def join(name: str, before: str, value: str) -> str:
    """The value of the variable *name* that was sent twice. Raises RemoteProtocolError where one must be wrong."""
    if name in _SINGLE:
        if before != value:
            raise RemoteProtocolError(f"{name} was sent twice, with different values")
        return value
    if name == "HTTP_COOKIE":
        return f"{before}; {value}"
    return f"{before}, {value}" if name.startswith("HTTP_") else value


def request_uri(variables: dict[str, str]) -> str:
    """The path and query of the request's URL, encoded, fit for a Location on this very host.

    "//evil/x" and "/\\evil" would send a browser to another host, so the first becomes "/.//evil/x" (the same path,
    RFC 3986 section 5.2.4) and whatever is not a URL character is percent-encoded.
    """
    uri = variables.get("REQUEST_URI", "")
    if not uri.startswith("/"):
        # The absolute form (RFC 9112 section 3.2.2), or nothing: use what the web server made of it.
        uri = quote((variables["SCRIPT_NAME"] + variables["PATH_INFO"]).encode("latin-1"), safe="/:@!$&'()*+,;=~")
        if variables["QUERY_STRING"]:
            uri += "?" + variables["QUERY_STRING"]
    uri = quote(uri.encode("latin-1"), safe=_URL_SAFE)
    return "/." + uri if uri.startswith("//") else uri or "/"


def _path_of(uri: str) -> str:
    """The decoded path of a REQUEST_URI, absolute-form included, as latin-1 text of its bytes."""
    if "://" in uri[:10]:
        uri = "/" + uri.split("://", 1)[1].partition("/")[2]
    return unquote_to_bytes(uri.partition("?")[0]).decode("latin-1")


def _refuse_nul(variables: dict[str, str]) -> None:
    """FastCGI 1.0 section 6.1: C code behind an application would read less than was checked here."""
    if "\0" in "".join(variables.values()):
        raise RemoteProtocolError("a variable of the request holds a NUL byte")


def _name_server(variables: dict[str, str]) -> None:
    if not variables.get("SERVER_NAME"):
        host = variables.get("HTTP_HOST", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        variables["SERVER_NAME"] = name or variables.get("SERVER_ADDR", "") or "localhost"
