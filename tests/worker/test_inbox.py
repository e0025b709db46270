"""Messages that arrive while the loop is blocked: parcels are given again, all else is kept for it in order."""

import os
from collections.abc import Iterator

import pytest

from runner.process import messages
from runner.process.channel import Channel, pair
from runner.process.messages import Account, Keep, Parcel, Reopen, Retire, Taken
from runner.worker.inbox import MOST, Inbox
from tests.support.memory import open_files
from tests.support.stage import drain


class Post:
    """A worker's inbox, and the supervisor's end of its channel."""

    def __init__(self) -> None:
        self.supervisor, theirs = pair()
        self.woken = 0
        self.channel = Channel(theirs)
        self.asked: list[Account] = []
        self.inbox = Inbox(self.channel, self._wake, self.asked.append)

    def parcel(self, number: int, refused: str = "") -> None:
        """Send a parcel; a pipe stands for the connection."""
        read, write = os.pipe()
        self.supervisor.send(Parcel(number, "", 0.0, 0, refused), read)
        os.close(read)
        os.close(write)

    def heard(self) -> list[messages.Message]:
        """What the supervisor heard since; descriptors are closed."""
        return drain(self.supervisor.receive)

    def rest(self) -> list[messages.Message]:
        """What is left for the loop."""
        return drain(self.inbox.receive)

    def _wake(self) -> None:
        self.woken += 1


@pytest.fixture
def post() -> Iterator[Post]:
    """See Post; no descriptor may be left."""
    before = open_files()
    post = Post()
    yield post
    post.channel.close()
    post.supervisor.close()
    assert open_files() == before


def test_parcels_are_given_again(post: Post) -> None:
    """One a step, the oldest first; each is taken before it is given, or two would have it."""
    post.parcel(1)
    post.parcel(2)
    steps = post.inbox.returns()
    next(steps)
    assert post.heard() == [Taken(), Parcel(1, "", 0.0, 0)]
    next(steps)
    assert post.heard() == [Taken(), Parcel(2, "", 0.0, 0)]
    assert next(steps, None) is None and not list(steps)


def test_all_else_is_kept_in_order_and_comes_before_what_is_newer(post: Post) -> None:
    """The loop is woken, for nothing makes the channel readable any more."""
    post.supervisor.send(Keep())
    post.parcel(1)
    post.supervisor.send(Reopen())
    assert len(list(post.inbox.returns())) == 1
    assert post.woken == 1
    post.supervisor.send(Retire())
    assert post.rest() == [Keep(), Reopen(), Retire()]


def test_a_parcel_that_was_not_given_again_is_the_loops(post: Post) -> None:
    """The call came back first."""
    post.parcel(1)
    post.parcel(2)
    next(post.inbox.returns())
    assert post.rest() == [Parcel(2, "", 0.0, 0)]


def test_what_is_to_be_refused_here_stays(post: Post) -> None:
    """And so does what came after it: the supervisor is told of the oldest first."""
    post.parcel(1, refused="it is late")
    post.parcel(2)
    assert list(post.inbox.returns()) == []
    assert post.rest() == [Parcel(1, "", 0.0, 0, "it is late"), Parcel(2, "", 0.0, 0)]


def test_the_end_of_the_supervisor_is_left_to_the_loop(post: Post) -> None:
    """It reads it again."""
    post.supervisor.send(Retire())
    post.supervisor.close()
    assert list(post.inbox.returns()) == []
    assert post.inbox.receive() == (Retire(), [])
    with pytest.raises(EOFError):
        post.inbox.receive()


def test_questions_are_answered_while_the_loop_is_blocked(post: Post) -> None:
    """Each once; all else is kept for the loop, in order."""
    for message in (Keep(), Account(1), Reopen(), Account(2)):
        post.supervisor.send(message)
    assert len(list(post.inbox.answers())) == 2
    assert post.asked == [Account(1), Account(2)]
    assert list(post.inbox.answers()) == []
    assert post.rest() == [Keep(), Reopen()]


def test_who_is_sent_much_is_left_time_for_the_rest(post: Post) -> None:
    """After so many messages the loop has its turn, and is called again for those that are left, in their order."""
    sent = [Account(number) for number in range(MOST + 2)]
    for message in sent:
        post.supervisor.send(message)
    first = post.rest()
    assert (first, post.woken) == (sent[:MOST], 1)
    assert (post.rest(), post.woken) == (sent[MOST:], 1)
