"""Addresses as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.addresses import Address, parse_address
from runner.errors import UsageError

ADDRESSES = [
    ("unix:/run/app.sock", Address("unix", path="/run/app.sock")),
    ("unix:app.sock", Address("unix", path="/srv/shop/app.sock")),
    ("127.0.0.1:8000", Address("tcp", host="127.0.0.1", port=8000)),
    ("localhost:8000", Address("tcp", host="localhost", port=8000)),
    ("[::1]:8000", Address("tcp", host="::1", port=8000)),
    (":8000", Address("tcp", host="127.0.0.1", port=8000)),
    ("8000", Address("tcp", host="127.0.0.1", port=8000)),
    ("0", Address("tcp", host="127.0.0.1", port=0)),
    ("fd://3", Address("fd", number=3)),
]


@pytest.mark.parametrize(("text", "address"), ADDRESSES)
def test_an_address_is_read_in_each_of_its_forms(text: str, address: Address) -> None:
    """Unix sockets, TCP with and without a host, inherited descriptors."""
    assert parse_address(text, "/srv/shop") == address


@pytest.mark.parametrize("text", [
    "", "localhost", "::1:8000", "[::1]", "[nonsense]:80", "host:", "host:70000", "host:-1", "a b:80",
    "http://127.0.0.1:8000", "unix:", "unix:/run/", "unix:/a\0b", "fd://", "fd://x", "unix:/" + "x" * 107,
])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """The message quotes what was written and shows a good one."""
    with pytest.raises(UsageError, match="for example"):
        parse_address(text, "/srv/shop")


def test_a_unix_path_may_have_107_bytes() -> None:
    """The kernel's limit is the limit, not a byte less."""
    assert len(parse_address("unix:/" + "x" * 106).path) == 107


def test_the_length_of_a_unix_path_is_counted_in_bytes() -> None:
    """60 letters of two bytes are too long."""
    with pytest.raises(UsageError, match="107 bytes"):
        parse_address("unix:/" + "ä" * 60)


@given(st.one_of(
    st.builds(lambda name: Address("unix", path=f"/run/{name}"),
              st.from_regex(r"[a-z0-9 .:-]{0,20}[a-z]", fullmatch=True)),
    st.builds(lambda host, port: Address("tcp", host=str(host), port=port),
              st.one_of(st.ip_addresses(), st.just("localhost")), st.integers(0, 65535)),
    st.builds(lambda number: Address("fd", number=number), st.integers(0, 99999)),
))
def test_an_address_and_its_text_are_the_same_thing(address: Address) -> None:
    """Written and read back, whichever kind it is."""
    assert parse_address(str(address)) == address


@given(st.text())
def test_any_text_is_an_address_or_a_usage_error(text: str) -> None:
    """No other exception leaves the parser."""
    try:
        assert parse_address(text, "/srv")
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
