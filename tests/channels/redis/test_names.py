"""What a channel's keys are called in a Redis."""

from hypothesis import given
from hypothesis import strategies as st

from runner.channels.redis import names

CHANNELS = st.from_regex(r"[a-c{}:]{1,8}", fullmatch=True)
IDS = st.from_regex(r"[a-c{}: ]{1,8}", fullmatch=True)


@given(CHANNELS, IDS, CHANNELS, IDS)
def test_no_two_things_have_the_same_key(channel: str, id: str, other: str, other_id: str) -> None:
    """Whatever the channels and the messages are called."""
    of_one = {names.meta(channel), names.stream(channel), names.name(channel, id)}
    of_other = {names.meta(other), names.stream(other), names.name(other, other_id)}
    assert len(of_one) == 3
    if channel != other:
        assert not of_one & of_other


@given(CHANNELS, IDS)
def test_the_keys_of_a_channel_have_one_hash_tag(channel: str, id: str) -> None:
    """What stands between the first "{" and the next "}" decides where a key is; it is never empty."""
    keys = [names.meta(channel), names.stream(channel), names.name(channel, id)]
    tags = {key.partition("{")[2].partition("}")[0] for key in keys}
    assert len(tags) == 1 and tags != {""}


@given(CHANNELS, st.integers(0, 20))
def test_a_bell_says_whose_it_is(channel: str, db: int) -> None:
    """And the same channel in another database has another one."""
    assert names.rung(names.bell(channel, db).encode()) == channel
    assert names.bell(channel, db) != names.bell(channel, db + 1)
