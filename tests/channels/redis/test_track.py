"""How far a channel has been heard, and what can be believed."""

from runner.channels.message import Message, Page, Position
from runner.channels.redis.track import Told, Track


def message(offset: int, epoch: str = "a", tag: int = 7) -> Message:
    """One of channel "news"."""
    return Message("news", str(offset), Position(epoch, offset, tag))


def settled(offset: int = 5) -> Track:
    """One of which all has been heard."""
    track = Track("news", Position("a", offset, 7))
    assert track.doubt()
    track.begin()
    assert not track.read(Page([], track.position))
    return track


def test_the_next_one_is_heard() -> None:
    """And counts as heard."""
    track = settled()
    assert [track.told(message(offset)) for offset in (6, 7)] == [Told.HEAR, Told.HEAR]
    assert track.position == Position("a", 7, 7)


def test_one_that_was_read_before_it_was_told_is_left() -> None:
    """Two connections: what one says may be news of yesterday to the other."""
    track = settled()
    assert [track.told(message(offset)) for offset in (4, 5, 6)] == [Told.LEAVE, Told.LEAVE, Told.HEAR]


def test_a_gap_is_doubted() -> None:
    """Nothing is heard after it before the gap has been read."""
    track = settled()
    assert track.told(message(7)) == Told.DOUBT
    assert track.doubt()
    assert track.told(message(6)) == Told.LEAVE


def test_another_epoch_is_doubted() -> None:
    """Whatever its offset."""
    assert {settled().told(message(offset, "b")) for offset in (4, 5, 6, 7)} == {Told.DOUBT}


def test_nothing_is_believed_before_the_first_reading() -> None:
    """Its position may be one that the store has lost."""
    track = Track("news", Position("a", 5, 7))
    assert track.told(message(6)) == Told.LEAVE


def test_what_is_told_during_a_reading_is_read_afterwards() -> None:
    """It may have been published after the page was made."""
    track = Track("news", Position("a", 5, 7))
    track.doubt()
    track.begin()
    assert track.told(message(6)) == Told.LEAVE
    assert track.read(Page([], Position("a", 5, 7)))
    track.begin()
    assert not track.read(Page([message(6)], Position("a", 6, 7)))
    assert track.told(message(7)) == Told.HEAR


def test_one_reads_at_a_time() -> None:
    """Who doubts during a reading makes that one read again."""
    track = Track("news", Position("a", 5, 7))
    assert track.doubt()
    track.begin()
    assert not track.doubt()
    assert track.read(Page([], track.position))
    assert not track.settled


def test_the_whole_of_many_pages_is_read() -> None:
    """Until there is no more."""
    track = Track("news", Position("a", 5, 7))
    track.doubt()
    track.begin()
    assert track.read(Page([message(6)], Position("a", 6, 7), more=True))
