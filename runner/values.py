"""How the value of a setting is written: durations, sizes, numbers, words, paths, accounts, peers.

A duration (`30s`, `500ms`, `2m`, `1h`, bare seconds) becomes a float of seconds, exact to the millisecond.
A size (`64M`, `1G`, `512K`, bare bytes; powers of 1024) becomes an int of bytes. For both, zero is `off`.

Laws: pure, apart from the current directory as the last resort of a relative path; whatever is refused is
refused with a UsageError of one line that quotes the text and gives a good example; whatever is shown parses
back to the same value. Start at Kind.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runner.errors import UsageError

LONGEST = 365 * 24 * 3600.0   # seconds; more than a year is a slip of the finger, not a timeout
LARGEST = 2**63 - 1           # bytes; what the kernel's own offsets can count

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?", re.ASCII)
_SIZE = re.compile(r"([0-9]+)([KMGT]?)B?", re.ASCII | re.IGNORECASE)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Kind:
    """One way of writing values: *parse* reads text (a path is below its second argument), *show* writes."""

    metavar: str
    parse: Callable[[str, str], Any]
    show: Callable[[Any], str] = str
    separator: str = ""       # between the items of a list: " " or ","; empty if there is one value
    repeatable: bool = False  # its option may be given several times, one item each
    switch: bool = False      # its option takes no value
    quoted: bool = False      # in a file it must be text: there `0o660` and `660` are different numbers

    def read(self, value: object, directory: str, *, split: bool) -> Any:
        """What *value*, text or whatever else TOML knows, means. With *split* a text holds a whole list.

        Raises UsageError.
        """
        if self.separator:
            return tuple(self.parse(_text(item), directory) for item in self._items(value, split))
        if self.quoted and not isinstance(value, str):
            raise UsageError(f"{value!r} has to be text, or its base is a guess; write for example '660'")
        return self.parse(_text(value), directory)

    def _items(self, value: object, split: bool) -> list[object]:
        if not isinstance(value, str):
            return list(value) if isinstance(value, (list, tuple)) else [value]
        # split(None) takes any run of white space, split(" ") would leave empty items behind.
        items = value.split(self.separator.strip() or None) if split or not self.repeatable else [value]
        return [item.strip() for item in items if item.strip()]


def _text(value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise UsageError(f"{value!r} is not a single value; write for example 4 or 'text'")


# ---- amounts -----------------------------------------------------------------------------------------------

def parse_duration(text: str) -> float:
    """Seconds, from `30s`, `1.5s`, `500ms`, `2m`, `1h`, `30` or `off`. Raises UsageError."""
    if text == "off":
        return 0.0
    found = _DURATION.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a duration; write for example 30s, 500ms, 2m, 1h or off")
    asked = float(found[1]) * _SECONDS[found[2] or "s"]
    # An amount that is rounded down to zero would mean "off", the very opposite of what was asked for.
    if asked > LONGEST or (asked and not round(asked, 3)):
        raise UsageError(f"{text!r} is not between 1ms and 8760h (one year); write for example 30s, or off")
    return round(asked, 3)


def show_duration(seconds: float) -> str:
    """The shortest text that parse_duration reads back as *seconds* (of whole milliseconds)."""
    milliseconds = round(seconds * 1000)
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "off"


def parse_size(text: str) -> int:
    """Bytes, from `64M`, `1G`, `512K`, `4096` or `off`; `MB` is the same as `M`. Raises UsageError."""
    if text == "off":
        return 0
    found = _SIZE.fullmatch(text)
    if not found:
        raise UsageError(f"{text!r} is not a size; write for example 64M, 1G, 512K, 4096 (bytes) or off")
    # The length is looked at first: int() refuses thousands of digits in words of its own.
    size = int(found[1]) * _BYTES[found[2].upper()] if len(found[1]) < 20 else LARGEST + 1
    if size > LARGEST:
        raise UsageError(f"{text!r} is more bytes than a file can have; write for example 1G, or off")
    return size


def show_size(size: int) -> str:
    """The shortest text that parse_size reads back as *size* bytes."""
    for unit in ("T", "G", "M", "K"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size) if size else "off"


# ---- makers of kinds ---------------------------------------------------------------------------------------

def nearest(word: str, names: Iterable[str]) -> str:
    """`; did you mean 'workers'?` for whichever of *names* looks most like *word*; nothing if none does."""
    # Not above: most of what is typed is right.
    import difflib

    close = difflib.get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def choice(*names: str) -> Kind:
    """One of a few words."""
    def parse(text: str, _: str) -> str:
        if text not in names:
            remedy = nearest(text, names) or f"; write for example {names[0]}"
            raise UsageError(f"{text!r} is not one of {', '.join(names)}{remedy}")
        return text
    return Kind("|".join(names), parse)


def whole(lowest: int, highest: int, example: int) -> Kind:
    """A whole number from *lowest* to *highest*."""
    def parse(text: str, _: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise UsageError(f"{text!r} is not a whole number from {lowest} to {highest}; "
                             f"write for example {example}")
        return int(text)
    return Kind("N", parse)


def text_like(metavar: str, pattern: str, wanted: str, example: str) -> Kind:
    """Text of one *pattern*, which an error message calls *wanted*."""
    def parse(text: str, _: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UsageError(f"{text!r} is not {wanted}; write for example {example}")
        return text
    return Kind(metavar, parse)


def path_to(metavar: str, example: str, *, dash: bool = False) -> Kind:
    """A path, made absolute; with *dash* also `-`, which stays what it is."""
    def parse(text: str, directory: str) -> str:
        if not text or "\0" in text:
            raise UsageError(f"{text!r} is not a path; write for example {example}")
        return text if dash and text == "-" else os.path.abspath(os.path.join(directory, text))
    return Kind(metavar, parse)


# ---- kinds -------------------------------------------------------------------------------------------------

def _parse_octal(text: str, _: str) -> int:
    if not re.fullmatch(r"(0o)?0*[0-7]{1,3}", text):
        raise UsageError(f"{text!r} is not an octal mode from 0 to 777; write for example 660")
    return int(text, 8)


def _parse_switch(text: str, _: str) -> bool:
    match text.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case _:
            raise UsageError(f"{text!r} is neither on nor off; write for example on")


def _parse_peer(text: str, _: str) -> str:
    if text in ("unix", "*"):
        return text
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"{text!r} is no IP address or network; "
                         "write for example 127.0.0.1,10.0.0.0/8,unix") from None
    return str(network) if "/" in text else str(network.network_address)


def _parse_mount(text: str, _: str) -> str:
    prefix, _, target = text.partition("=")
    if not re.fullmatch(r"(/[^/\s?#\0]+)+", prefix) or not target.strip():
        raise UsageError(f"{text!r} is not a path and a target; write for example /live=live:app")
    return text


def _parse_origin(text: str, _: str) -> str:
    """As a browser writes it: in lower case, without the scheme's usual port."""
    origin = text.lower()
    found = re.fullmatch(r"(https?)://([^\s/?#@,:]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", origin)
    if found:
        return origin.removesuffix({"http": ":80", "https": ":443"}[found[1]])
    if origin not in ("null", "*"):
        raise UsageError(f"{text!r} is not an origin; write for example https://shop.example, or * for all")
    return origin


DURATION = Kind("TIME", lambda text, _: parse_duration(text), show_duration)
SIZE = Kind("SIZE", lambda text, _: parse_size(text), show_size)
COUNT = whole(0, 10**9, 1000)
OCTAL = Kind("MODE", _parse_octal, lambda mode: f"{mode:04o}", quoted=True)
SWITCH = Kind("", _parse_switch, lambda on: "on" if on else "off", switch=True)
ORIGINS = Kind("ORIGIN", _parse_origin, separator=",", repeatable=True)
PEERS = Kind("LIST", _parse_peer, separator=",")
GLOBS = Kind("GLOB", text_like("", r"[^\0]+", "a glob", "'*.html'").parse, separator=",", repeatable=True)
_MODULE = text_like("", r"[^\W\d]\w*(\.[^\W\d]\w*)*", "the name of a module", "numpy").parse
MODULES = Kind("NAME", _MODULE, separator=",", repeatable=True)
ACCOUNT = text_like("NAME", r"[^\s:,\0]+", "the name of an account", "www-data")
URL_PATH = text_like("PATH", r"/[^\s?#\0]*", "a path on this server", "/ping")
MOUNTS = Kind("PATH=TARGET", _parse_mount, separator=" ", repeatable=True)
PREFIX = text_like("PATH", r"(/[^/\s?#\0]+)*", "empty, or a path with a / in front and none behind", "/shop")
