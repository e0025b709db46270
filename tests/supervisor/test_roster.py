"""The rules, one by one: which facts lead to which orders."""

import pytest

from runner.supervisor.life import PATIENT, SLOW, Phase
from runner.supervisor.roster import (
    Finish,
    ForkWorker,
    KeepGeneration,
    KillGeneration,
    KillWorker,
    LookOut,
    RetireGeneration,
    RetireWorker,
    Start,
)
from tests.supervisor.roster_play import Play

# ---- generations ------------------------------------------------------------------------------------------

def test_the_first_order_is_a_start() -> None:
    """And nothing more until something is known of it."""
    play = Play()
    assert play.go() == [Start(1, aftermath=False)]
    assert play.go(later=0.5) == []


def test_what_is_loaded_gets_its_workers() -> None:
    """One for each slot, forked or by themselves as the generation says."""
    play = Play()
    play.go()
    play.roster.note_loaded(1, solo=True)
    assert play.go() == [ForkWorker(1, 0, solo=True), ForkWorker(1, 1, solo=True)]


def test_a_save_starts_the_next_generation() -> None:
    """At once, and only one."""
    play = Play()
    play.live()
    play.roster.note_stale(1)
    assert play.go() == [Start(2, aftermath=False)]
    play.roster.note_stale(1)
    assert play.go() == []


def test_a_wish_during_an_import_waits_for_its_end() -> None:
    """Any number of them is one more generation."""
    play = Play()
    play.go()
    for _ in range(50):
        play.roster.note_reload(play.now)
    assert play.go() == []
    play.roster.note_loaded(1, solo=False)
    assert play.go()[0] == Start(2, aftermath=False)


def test_a_wish_gives_up_an_import_that_seems_to_hang() -> None:
    """After PATIENT seconds the old one is killed and a new one started."""
    play = Play()
    play.go()
    play.go(later=PATIENT)
    play.roster.note_reload(play.now)
    assert play.go() == [Start(2, aftermath=False), KillGeneration(1)]


def test_an_import_that_is_slow_is_looked_after_once() -> None:
    """So that a save can end it, which it cannot notice itself."""
    play = Play()
    play.go()
    assert play.roster.next_deadline(play.now) == play.now + SLOW
    assert play.go(later=SLOW) == [LookOut(1)]
    assert play.go(later=SLOW) == []
    play.roster.note_stale(1)
    assert play.go() == [Start(2, aftermath=False), KillGeneration(1)]


def test_an_import_under_which_files_change_is_tried_again() -> None:
    """Twice at once; whoever keeps changing files then waits a little."""
    play = Play()
    play.go()
    starts = []
    for number in (1, 2, 3):
        play.roster.note_unborn(number, play.now)
        starts.append(Start(number + 1, aftermath=False) in play.go())
    assert starts == [True, True, False]
    assert Start(4, aftermath=False) in play.go(later=0.1)


def test_broken_code_answers() -> None:
    """--on-broken error: its workers replace those of the last good generation."""
    play = Play()
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_broken(2, solo=False)
    assert play.go() == [ForkWorker(2, 0, solo=False), ForkWorker(2, 1, solo=False)]
    play.settle()
    assert (play.phase(1), play.phase(2), len(play.workers(2))) == (None, Phase.LIVE, 2)


def test_broken_code_is_put_aside() -> None:
    """--on-broken keep: the last good generation goes on, and is told so."""
    play = Play(keep=True)
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_broken(2, solo=False)
    assert play.go() == [KeepGeneration(1)]
    assert (play.phase(1), play.phase(2)) == (Phase.LIVE, Phase.ASIDE)


def test_a_fix_replaces_the_one_aside_and_the_kept_one() -> None:
    """Also after a second break, which replaces only the one aside."""
    play = Play(keep=True)
    play.live()
    play.roster.note_stale(1)
    play.go()
    for broken in (2, 3):
        play.roster.note_broken(broken, solo=False)
        play.settle()
        assert (play.phase(1), play.phase(broken)) == (Phase.LIVE, Phase.ASIDE)
        play.roster.note_stale(broken)
        play.settle()
        assert play.phase(broken) is None
    play.roster.note_loaded(4, solo=False)
    play.settle()
    assert {number: play.phase(number) for number in play.roster.generations} == {4: Phase.LIVE}


def test_without_a_good_one_nothing_can_be_kept() -> None:
    """--on-broken keep at the first start: the error is shown."""
    play = Play(keep=True)
    play.go()
    play.roster.note_broken(1, solo=False)
    assert play.go() == [ForkWorker(1, 0, solo=False), ForkWorker(1, 1, solo=False)]


def test_a_death_while_loading_is_explained() -> None:
    """By a generation that imports nothing; then the import is tried again, ever more rarely."""
    play = Play()
    play.go()
    play.roster.note_generation_gone(1, play.now)
    assert play.go() == [Start(2, aftermath=True)]
    play.roster.note_broken(2, solo=False)
    play.settle()
    waits = []
    for number in range(3, 11):
        deadline = play.roster.next_deadline(play.now)
        assert deadline is not None
        waits.append(round(deadline - play.now, 3))
        assert play.go(later=deadline - play.now) == [Start(number, aftermath=False)]
        play.roster.note_generation_gone(number, play.now)
        play.go()
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_save_ends_the_wait() -> None:
    """The explaining generation is stale: the import is tried at once."""
    play = Play()
    play.go()
    for number in (1, 3, 4, 5):
        play.roster.note_generation_gone(number, play.now)
        play.go()
        if number == 1:
            play.roster.note_broken(2, solo=False)
        play.settle()
        deadline = play.roster.next_deadline(play.now)
        play.go(later=(deadline or play.now) - play.now)
    play.roster.note_generation_gone(6, play.now)
    play.settle()
    play.roster.note_stale(2)
    assert Start(7, aftermath=False) in play.go()


def test_a_second_death_after_a_save_is_explained_anew() -> None:
    """The first explanation is stale: its workers have paused, and it watches no longer."""
    play = Play()
    play.go()
    play.roster.note_generation_gone(1, play.now)
    play.go()
    play.roster.note_broken(2, solo=False)
    play.settle()
    play.roster.note_stale(2)
    play.go()
    play.roster.note_generation_gone(3, play.now)
    assert play.go() == [Start(4, aftermath=True)]


def test_with_keep_a_death_while_loading_is_watched() -> None:
    """The last good generation goes on, and somebody waits aside for the fix."""
    play = Play(keep=True)
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_generation_gone(2, play.now)
    assert play.go() == [Start(3, aftermath=True), KeepGeneration(1)]
    play.roster.note_broken(3, solo=False)
    play.go()
    assert (play.phase(1), play.phase(3)) == (Phase.LIVE, Phase.ASIDE)


def test_no_process_to_be_had_explains_nothing() -> None:
    """The machine is at fault, not the code: wait and try again."""
    play = Play()
    play.go()
    play.roster.note_unstarted(1, play.now)
    assert play.go() == []
    assert play.go(later=0.1) == [Start(2, aftermath=False)]


def test_a_live_generation_that_dies_is_started_again() -> None:
    """Its workers go on until the successor's are ready; dying again and again costs waits."""
    play = Play()
    play.live()
    play.roster.note_generation_gone(1, play.now)
    assert play.go() == [Start(2, aftermath=False)]
    assert len(play.workers(1)) == 2
    play.roster.note_loaded(2, solo=False)
    play.go()
    play.roster.note_generation_gone(2, play.now)
    assert play.go() == []
    assert play.go(later=0.1) == [Start(3, aftermath=False)]


# ---- workers ------------------------------------------------------------------------------------------------

def test_a_crashed_worker_is_replaced_at_once_then_later() -> None:
    """The first time without a wait, so that an accident costs nothing; then with longer and longer ones."""
    play = Play(wanted=1)
    play.live()
    waits = []
    for _ in range(4):
        play.roster.note_worker_gone(play.workers(1)[0], play.now)
        began = play.now
        if not play.go():
            deadline = play.roster.next_deadline(play.now)
            assert deadline is not None
            play.go(later=deadline - play.now)
        waits.append(round(play.now - began, 3))
        assert list(play.workers(1)) == [0]
    assert waits == [0.0, 0.1, 0.2, 0.4]


def test_one_slot_s_wait_is_not_another_s() -> None:
    """A worker that crashes again and again does not delay its sibling's replacement."""
    play = Play()
    play.live()
    for _ in range(2):
        play.roster.note_worker_gone(play.workers(1)[0], play.now)
        play.go()
    play.roster.note_worker_gone(play.workers(1)[1], play.now)
    assert play.go() == [ForkWorker(1, 1, solo=False)]


def test_a_stale_generation_forks_nobody() -> None:
    """Its successor's worker will have that slot."""
    play = Play()
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_worker_gone(play.workers(1)[0], play.now)
    assert play.go() == []


def test_a_worker_leaves_only_after_its_successor_is_ready() -> None:
    """Slot by slot; the generation leaves after its last worker."""
    play = Play()
    play.live()
    old = play.workers(1)
    play.roster.note_stale(1)
    play.go()
    play.roster.note_loaded(2, solo=False)
    play.go()
    assert play.given(RetireWorker) == []
    new = play.workers(2)
    play.roster.note_ready(new[1])
    assert play.go() == [RetireWorker(old[1])]
    play.roster.note_ready(new[0])
    assert play.go() == [RetireWorker(old[0])]
    for key in old.values():
        play.roster.note_worker_gone(key, play.now)
    assert play.go() == [RetireGeneration(1)]


def test_a_worker_that_leaves_by_itself_is_replaced_without_a_wait() -> None:
    """However often: that is recycling, no crash."""
    play = Play(wanted=1)
    play.live()
    for _ in range(10):
        key = play.workers(1)[0]
        play.roster.note_retiring(key, play.now)
        assert play.go() == [ForkWorker(1, 0, solo=False)]
        play.roster.note_worker_gone(key, play.now)
        play.settle()


def test_more_and_fewer_workers() -> None:
    """By one, from 1 to 1000."""
    play = Play(wanted=1)
    play.live()
    play.roster.note_scale(1)
    assert play.go() == [ForkWorker(1, 1, solo=False)]
    extra = play.workers(1)[1]
    play.roster.note_scale(-5)
    assert play.go() == [RetireWorker(extra)]
    assert play.roster.wanted == 1


def test_patience_with_a_leaving_worker_ends() -> None:
    """After the grace it is killed, once."""
    play = Play(wanted=1, grace=3.0)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_retiring(key, play.now)
    play.go()
    assert play.roster.next_deadline(play.now) == play.now + 3.0
    assert play.go(later=2.9) == []
    (order,) = play.go(later=0.1)
    assert isinstance(order, KillWorker) and order.key == key
    assert play.go(later=5.0) == []


# ---- the end ------------------------------------------------------------------------------------------------

def test_a_graceful_end() -> None:
    """Workers are asked, then, when the last is gone, the generation; then it is over."""
    play = Play(wanted=1)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_stop(play.now, fast=False)
    assert play.go() == [RetireWorker(key)]
    play.roster.note_worker_gone(key, play.now)
    assert play.go() == [RetireGeneration(1)]
    play.roster.note_generation_gone(1, play.now)
    assert play.go() == [Finish()]


def test_the_end_has_a_deadline() -> None:
    """Then the rest is killed, and a generation that does not go by itself after it."""
    play = Play(wanted=1, grace=3.0)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_stop(play.now, fast=False)
    play.go()
    assert [type(order) for order in play.go(later=3.0)] == [KillWorker]
    play.roster.note_worker_gone(key, play.now)
    assert play.go() == [RetireGeneration(1)]
    assert play.go(later=1.0) == [KillGeneration(1)]


def test_the_end_can_be_now() -> None:
    """The second wish, or the first one if it says so, and later graceful wishes do not soften it."""
    play = Play(wanted=1)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_stop(play.now, fast=False)
    play.go()
    play.roster.note_stop(play.now, fast=True)
    play.roster.note_stop(play.now, fast=False)
    (order,) = play.go()
    assert isinstance(order, KillWorker) and order.key == key


def test_a_worker_that_was_leaving_keeps_its_own_deadline() -> None:
    """An end that comes later does not prolong it, and nobody spins until then."""
    play = Play(wanted=1, grace=10.0)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_retiring(key, play.now)
    play.go()
    play.now += 8.0
    play.roster.note_stop(play.now, fast=False)
    play.go()
    assert play.roster.next_deadline(play.now) == play.now + 2.0
    assert KillWorker in map(type, play.go(later=2.0))
    deadline = play.roster.next_deadline(play.now)
    assert deadline is None or deadline > play.now


def test_the_end_during_an_import() -> None:
    """It is asked, and after a second killed, for it may not hear."""
    play = Play()
    play.go()
    play.roster.note_stop(play.now, fast=False)
    assert play.go() == [RetireGeneration(1)]
    assert play.go(later=1.0) == [KillGeneration(1)]
    play.roster.note_generation_gone(1, play.now)
    assert play.go() == [Finish()]


@pytest.mark.parametrize("keep", [False, True])
def test_nothing_is_started_once_the_end_has_begun(keep: bool) -> None:
    """Whatever dies or changes meanwhile."""
    play = Play(keep=keep)
    play.live()
    play.roster.note_stop(play.now, fast=False)
    play.go()
    play.roster.note_reload(play.now)
    play.roster.note_stale(1)
    play.roster.note_worker_gone(next(iter(play.roster.workers)), play.now)
    assert not {Start, ForkWorker} & set(map(type, play.go(later=1.0)))
