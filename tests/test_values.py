"""How values are written: what is shown parses back, what is refused is refused in one helpful line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import UsageError
from runner.values import (
    LARGEST,
    LONGEST,
    OCTAL,
    ORIGINS,
    PEERS,
    PREFIX,
    SWITCH,
    choice,
    nearest,
    parse_duration,
    parse_size,
    path_to,
    show_duration,
    show_size,
    whole,
)


@pytest.mark.parametrize(("text", "seconds"), [
    ("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), ("1h", 3600.0), ("45", 45.0), ("1.5s", 1.5),
    ("0", 0.0), ("off", 0.0), ("0.001", 0.001), ("8760h", LONGEST),
])
def test_a_duration_is_a_number_of_seconds(text: str, seconds: float) -> None:
    """Each unit, a bare number and `off` mean what they look like."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", [
    "", "s", "-1s", "1d", "1 s", "1e3", "inf", "nan", "1,5s", "30S", "0.1ms", "8761h",
    "\N{ARABIC-INDIC DIGIT THREE}s",
])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Whatever would have to be guessed, and whatever would round down to "off"."""
    with pytest.raises(UsageError, match="write for example 30s"):
        parse_duration(text)


@given(st.integers(0, int(LONGEST) * 1000))
def test_a_shown_duration_parses_back(milliseconds: int) -> None:
    """Every whole number of milliseconds survives being written down."""
    assert parse_duration(show_duration(milliseconds / 1000)) == milliseconds / 1000


@pytest.mark.parametrize(("text", "size"), [
    ("64M", 64 * 2**20), ("1G", 2**30), ("512K", 2**19), ("512k", 2**19), ("64MB", 2**26), ("2T", 2**41),
    ("4096", 4096), ("off", 0), ("0", 0),
])
def test_a_size_is_a_number_of_bytes(text: str, size: int) -> None:
    """Units are powers of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1 G", "64P", "9" * 5000, "9000000T"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Fractions, unknown units, and more than any file can have."""
    with pytest.raises(UsageError, match="write for example"):
        parse_size(text)


@given(st.integers(0, LARGEST))
def test_a_shown_size_parses_back(size: int) -> None:
    """Every number of bytes survives being written down."""
    assert parse_size(show_size(size)) == size


@given(st.text())
def test_any_text_is_an_amount_or_a_usage_error(text: str) -> None:
    """No other exception leaves the parsers, and no message is longer than one line."""
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except UsageError as error:
            assert len(str(error).splitlines()) == 1


@given(st.integers(0, 0o777))
def test_a_shown_mode_parses_back(mode: int) -> None:
    """Modes are octal in both directions."""
    assert OCTAL.read(OCTAL.show(mode), "/", split=False) == mode


@pytest.mark.parametrize("text", ["666", "0666", "0o666"])
def test_a_mode_is_octal_with_or_without_a_prefix(text: str) -> None:
    """`666` is what chmod takes it for."""
    assert OCTAL.read(text, "/", split=False) == 0o666


def test_a_mode_that_is_a_number_is_refused() -> None:
    """TOML's `660` is decimal and its `0o660` is not; both arrive as an int, and one would be wrong."""
    with pytest.raises(UsageError, match="has to be text"):
        OCTAL.read(660, "/", split=False)


@pytest.mark.parametrize(("value", "on"), [
    ("1", True), ("Yes", True), (True, True), ("off", False), (False, False),
])
def test_a_switch_is_on_or_off(value: object, on: bool) -> None:
    """The usual words, and the booleans of TOML."""
    assert SWITCH.read(value, "/", split=False) is on


@pytest.mark.parametrize("value", ["0", "101", "-1", "4.0", "x", "", 4.5, True])
def test_a_number_outside_its_range_is_refused(value: object) -> None:
    """The message holds the limits and a good value."""
    with pytest.raises(UsageError, match="not a whole number from 1 to 100; write for example 7"):
        whole(1, 100, 7).read(value, "/", split=False)


def test_a_word_that_is_nearly_right_is_named() -> None:
    """A bad choice is answered with the nearest good one."""
    with pytest.raises(UsageError, match="did you mean 'eager'"):
        choice("eager", "request", "off").read("eagr", "/", split=False)


def test_nothing_is_near_to_nonsense() -> None:
    """A wild guess is worse than none."""
    assert nearest("zzzz", ["workers", "threads"]) == ""


@pytest.mark.parametrize("text", ["", "/shop", "/a/b"])
def test_a_prefix_is_empty_or_starts_with_a_slash(text: str) -> None:
    """A prefix is what SCRIPT_NAME may be."""
    assert PREFIX.read(text, "/", split=False) == text


@pytest.mark.parametrize("text", ["shop", "/", "/shop/", "//shop", "/a?b", "/a\n"])
def test_another_prefix_is_refused(text: str) -> None:
    """A slash at the end would make every path below it start with two."""
    with pytest.raises(UsageError, match="write for example /shop"):
        PREFIX.read(text, "/", split=False)


def test_peers_are_addresses_networks_or_unix() -> None:
    """A list with commas; networks lose their host bits."""
    assert PEERS.read("::1, 10.1.2.3/8 ,unix,*", "/", split=False) == ("::1", "10.0.0.0/8", "unix", "*")


def test_an_origin_is_written_as_browsers_write_it() -> None:
    """In lower case and without the usual port, so that it can be compared."""
    text = "https://Shop.example:443,http://a:8000 , null,*,http://[::1]:80"
    written = ("https://shop.example", "http://a:8000", "null", "*", "http://[::1]")
    assert ORIGINS.read(text, "/", split=True) == written


@pytest.mark.parametrize("text", ["shop.example", "https://a/", "https://a/b", "ftp://a", "https://", "https://a:b"])
def test_what_no_browser_would_send_is_refused(text: str) -> None:
    """A page, say."""
    with pytest.raises(UsageError, match=r"write for example https://shop\.example, or \* for all"):
        ORIGINS.read(text, "/", split=False)


def test_a_path_is_absolute_at_the_door() -> None:
    """Nobody inside has to know what it was relative to."""
    assert path_to("FILE", "x").read("../log", "/srv/shop", split=False) == "/srv/log"


def test_a_dash_stays_a_dash_where_it_means_standard_output() -> None:
    """`-` is no file in the current directory."""
    assert path_to("PATH", "x", dash=True).read("-", "/srv", split=False) == "-"
