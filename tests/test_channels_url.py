"""Where channels are kept, as people write it: what is ours is taken out, what is secret is shown to nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.channels_url import ChannelsURL, mask, parse_channels_url
from runner.errors import UsageError


@pytest.mark.parametrize(("text", "meant"), [
    ("memory:", ChannelsURL("memory:", "memory", 1000, 300.0)),
    ("memory://", ChannelsURL("memory:", "memory", 1000, 300.0)),
    ("memory:?history=5&age=2m", ChannelsURL("memory:", "memory", 5, 120.0)),
    ("redis://host", ChannelsURL("redis://host", "redis")),
    ("redis://:s%40@host:1/3", ChannelsURL("redis://:s%40@host:1/3", "redis")),
    ("rediss://[::1]:6380/0?ssl_cert_reqs=none", ChannelsURL("rediss://[::1]:6380/0?ssl_cert_reqs=none", "redis")),
    ("redis://host?age=1h&db=2&history=10", ChannelsURL("redis://host?db=2", "redis", 10, 3600.0)),
    ("unix:///run/r.sock?db=1&age=60", ChannelsURL("unix:///run/r.sock?db=1", "redis", 1000, 60.0)),
    ("redis+unix:///run/r.sock", ChannelsURL("unix:///run/r.sock", "redis")),
    ("unix://me:secret@/run/r.sock", ChannelsURL("unix://me:secret@/run/r.sock", "redis")),
])  # fmt: skip
def test_what_a_text_means(text: str, meant: ChannelsURL) -> None:
    """history= and age= are ours, wherever they stand; the rest is for redis-py, as it was written."""
    assert parse_channels_url(text) == meant


@pytest.mark.parametrize(("text", "remedy"), [
    ("", "write for example memory:"),
    ("memory", "write for example memory:"),
    ("redis", "write for example memory:"),
    ("postgres://host", "write for example memory:"),
    ("REDIS://host", "write for example memory:"),
    ("redis:host", "write for example memory:"),
    ("redis://", "write for example memory:"),
    ("redis://host:99999", "write for example memory:"),
    ("redis://[::1", "write for example memory:"),
    ("redis://host/shop", "number of the database"),
    ("redis://host /0", "white space"),
    ("memory://host", "write memory:"),
    ("memory:?histroy=5", "did you mean 'history'"),
    ("memory:?size=5", "there are history and age"),
    ("redis://host?histroy=5", "did you mean 'history'"),
    ("memory:?history=0", "write history=1000"),
    ("memory:?history=many", "write history=1000"),
    ("memory:?history=5&history=6", "write it once"),
    ("memory:?age=off", "write for example age=300s"),
    ("memory:?age=25h", "write for example age=300s"),
    ("unix:/run/r.sock", "unix:///run/redis.sock"),
    ("unix://", "unix:///run/redis.sock"),
    ("redis://:a#b@host", "write %23"),
])
def test_what_is_refused(text: str, remedy: str) -> None:
    """In one line, with what to write in its place."""
    with pytest.raises(UsageError) as caught:
        parse_channels_url(text)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [
    "redis://:geheim@host:99999", "redis://me:geheim@host/shop", "redis://:ge#geheim@host", "redis://geheim@[::1",
    "redis://host/x?password=geheim", "redis://host/x?p%61ssword=geheim", "postgres://me:geheim@host", "me:geheim@host",
    "redis://:ge?geheim@host/x", "redis://:ge/geheim@host", "redis://:ge@geheim@host/x",
    "redis://host/x?db=1&ssl_password=geheim", "redis://:geheim geheim@host",
])
def test_no_refusal_tells_a_password(text: str) -> None:
    """Also where it was not written as it must be."""
    with pytest.raises(UsageError) as caught:
        parse_channels_url(text)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(("text", "shown"), [
    ("memory:", "memory:"),
    ("memory:?history=5&age=2m", "memory:?history=5&age=2m"),
    ("redis://host:6379/0", "redis://host:6379/0"),
    ("redis://:geheim@host:6379/0?history=5", "redis://***@host:6379/0?history=5"),
    ("unix:///r.sock?password=geheim&db=1&age=2m", "unix:///r.sock?password=***&db=***&age=2m"),
    ("redis://host?password=a@b", "redis://***@b"),
])
def test_what_is_shown_of_a_text(text: str, shown: str) -> None:
    """The place, and what is ours; what may be secret is three stars."""
    assert mask(text) == shown


@given(st.text() | st.from_regex(r"(redis|rediss|unix|memory)://[a-z:@/?#%\[\]&=0-9]*", fullmatch=True))
def test_any_text_is_a_place_or_a_usage_error(text: str) -> None:
    """No other exception, in one line; what is read can be read again."""
    try:
        found = parse_channels_url(text)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert parse_channels_url(found.url).url == found.url
