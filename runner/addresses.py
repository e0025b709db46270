"""Where a listener is bound, as people write it.

    unix:/path   host:port   [::1]:port   :port   port   fd://N

Laws: pure; what is shown parses back to the same address; what is refused is a UsageError that gives a good example.
Start at parse_address. unix(7), ip(7).
"""

import ipaddress
import os
import re
from typing import Literal, NamedTuple

from runner.errors import UsageError

_TCP = re.compile(r"(?:(?:\[(?P<six>[^\[\]]+)\]|(?P<name>[\w.-]*)):)?(?P<port>[0-9]{1,5})", re.ASCII)
_UNIX_LONGEST = 107   # bytes; unix(7): sun_path has 108, and the last one is a zero


class Address(NamedTuple):
    """Where a listener is bound; `str(address)` is the text that parses back to the same address."""

    kind: Literal["unix", "tcp", "fd"]
    path: str = ""      # of a unix socket, absolute: /run/shop/web.sock
    host: str = ""      # a name or an IP address, without brackets: ::1
    port: int = 0       # 0 lets the kernel choose one
    number: int = -1    # of an inherited descriptor

    def __str__(self) -> str:
        match self.kind:
            case "unix":
                return f"unix:{self.path}"
            case "fd":
                return f"fd://{self.number}"
            case "tcp":
                return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, directory: str = "") -> Address:
    """`unix:/path`, `host:port`, `[::1]:port`, `:port` or `port` (both on 127.0.0.1), or `fd://N`.

    A relative unix path is below *directory*, or the current one if that is empty. Raises UsageError.
    """
    if text.startswith("unix:"):
        return Address("unix", path=_unix_path(text, directory))
    if re.fullmatch(r"fd://[0-9]{1,5}", text, re.ASCII):
        return Address("fd", number=int(text.removeprefix("fd://")))
    found = _TCP.fullmatch(text)
    if not found or (found["six"] and not _is_ip6(found["six"])):
        raise UsageError(f"{text!r} is not an address; "
                         "write for example 127.0.0.1:8000, unix:/run/app.sock or fd://3")
    if int(found["port"]) > 65535:
        raise UsageError(f"{text!r} has a port above 65535; write for example 127.0.0.1:8000")
    return Address("tcp", host=found["six"] or found["name"] or "127.0.0.1", port=int(found["port"]))


def _unix_path(text: str, directory: str) -> str:
    name = text.removeprefix("unix:")
    if not name or name.endswith("/") or "\0" in name:
        raise UsageError(f"{text!r} names no socket; write for example unix:/run/app.sock")
    path = os.path.abspath(os.path.join(directory, name))
    if len(os.fsencode(path)) > _UNIX_LONGEST:
        raise UsageError(f"{path!r} is longer than {_UNIX_LONGEST} bytes, the kernel's limit for a socket; "
                         "write a shorter path, for example unix:/run/app.sock")
    return path


def _is_ip6(text: str) -> bool:
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False
