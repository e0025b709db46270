"""The rules, one by one: which facts lead to which orders."""

import pytest

from runner.process.messages import PACE
from runner.supervisor.leaving import CUT, FINISHING, HURRY
from runner.supervisor.life import ALONE, FIRST, PATIENT, SLOW, Phase
from runner.supervisor.orders import (
    CutWorker,
    Explain,
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
    assert play.roster.next_deadline() == play.now + SLOW
    assert play.go(later=SLOW) == [LookOut(1)]
    assert play.go(later=SLOW) == []
    play.roster.note_stale(1)
    assert play.go() == [Start(2, voids=1), KillGeneration(1)]


def test_an_import_under_which_files_change_is_tried_again() -> None:
    """At once, however often: requests wait. Each attempt is told how many came to nothing before it."""
    play = Play()
    play.go()
    for number in range(1, 8):
        play.roster.note_unborn(number)
        assert Start(number + 1, voids=number) in play.go()


def test_what_is_late_has_workers_and_a_successor_at_once() -> None:
    """Its workers answer those who have waited since before its import, and the next build begins."""
    play = Play()
    play.go()
    play.roster.note_unborn(1)
    play.go()
    play.roster.note_loaded(2, solo=False, late=True)
    assert play.go() == [
        Start(3, voids=1), ForkWorker(2, 0, solo=False), ForkWorker(2, 1, solo=False)
    ]
    assert play.phase(2) is Phase.OUTDATED


def test_one_that_is_proven_ends_the_row() -> None:
    """The next void attempt is the first one again."""
    play = Play()
    play.go()
    play.roster.note_unborn(1)
    play.go()
    play.roster.note_loaded(2, solo=False)
    play.roster.note_stale(2)
    assert Start(3) in play.go()


def test_a_broken_one_that_is_late_is_shown_and_outdated() -> None:
    """Otherwise whoever saves without a pause would never see why nothing comes."""
    play = Play(wanted=1)
    play.go()
    play.roster.note_broken(1, solo=False, late=True)
    assert play.go() == [Start(2, voids=1), ForkWorker(1, 0, solo=False)]
    assert play.phase(1) is Phase.OUTDATED


def test_the_last_word_of_one_that_was_given_up_changes_nothing() -> None:
    """It was on its way while the kill was; the old generation's workers stay."""
    for late in (False, True):
        play = Play(keep=True)
        play.live()
        play.roster.note_reload(play.now)
        play.go()
        play.now += PATIENT
        play.roster.note_reload(play.now)
        play.go()
        play.roster.note_broken(2, solo=False, late=late)
        play.roster.note_loaded(2, solo=False, late=late)
        play.roster.note_unborn(2)
        assert play.go() == []
        assert (play.phase(1), play.phase(2), play.phase(3)) == (Phase.LIVE, Phase.LEAVING, Phase.LOADING)


def test_a_doubted_import_that_may_be_late_is_given_time() -> None:
    """5 s, and twice as long each time: what is interrupted for ever ends some day, what hangs is superseded."""
    play = Play()
    play.go()
    given = []
    for number in range(1, 6):
        play.go(later=SLOW)
        began = play.roster.generations[number].since
        play.roster.note_stale(number)
        if not play.go():
            deadline = play.roster.next_deadline()
            assert deadline is not None
            play.go(later=deadline - play.now)
        assert play.given(Start) == [Start(number + 1, voids=number)]
        assert play.given(KillGeneration) == [KillGeneration(number)]
        given.append(play.now - began)
    assert given == [SLOW, PATIENT, 2 * PATIENT, 4 * PATIENT, 8 * PATIENT]


def test_a_doubted_import_may_still_end_well() -> None:
    """Within its time it is late, or even fresh, if what was saved is what had been there."""
    play = Play()
    play.go()
    play.roster.note_unborn(1)
    play.go()
    play.go(later=SLOW)
    play.roster.note_stale(2)
    assert play.go() == []
    play.roster.note_loaded(2, solo=False, late=True)
    assert Start(3, voids=1) in play.go(later=SLOW)


def test_broken_code_answers() -> None:
    """--on-broken error: its workers replace those of the last good generation."""
    play = Play()
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_broken(2, solo=False)
    assert play.go() == [ForkWorker(2, 0, solo=False)]
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


def test_one_that_is_kept_is_told_although_nothing_of_it_has_changed() -> None:
    """A reload by order failed: it would find itself stale by the next save, which is the other one's affair."""
    play = Play(keep=True)
    play.live()
    play.roster.note_reload(play.now)
    play.go()
    play.roster.note_broken(2, solo=False)
    assert KeepGeneration(1) in play.go()
    assert play.phase(1) is Phase.LIVE
    assert KeepGeneration(1) not in play.go()


def test_what_is_late_is_not_what_is_kept() -> None:
    """It may be a mixture of two saves. The proven one stays, without workers, until another one is proven."""
    play = Play(keep=True)
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_unborn(2)
    for number in (3, 4):
        play.go()
        play.roster.note_loaded(number, solo=False, late=True)
        play.settle()
        assert (list(play.workers(1)), list(play.workers(number))) == ([], [0, 1])
        assert (play.phase(1), play.phase(number)) == (Phase.OUTDATED, Phase.OUTDATED)
    play.roster.note_broken(5, solo=False)
    play.settle()
    assert {n: play.phase(n) for n in play.roster.generations} == {1: Phase.LIVE, 5: Phase.ASIDE}
    assert list(play.workers(1)) == [0, 1]
    play.roster.note_stale(5)
    play.go()
    play.roster.note_loaded(6, solo=False)
    play.settle()
    assert {n: play.phase(n) for n in play.roster.generations} == {6: Phase.LIVE}


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
        deadline = play.roster.next_deadline()
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
        deadline = play.roster.next_deadline()
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


# ---- an import that takes long ------------------------------------------------------------------------------

def page(hold: float = 30.0) -> Play:
    """Generation 1 is importing, and 2 says so."""
    play = Play(wanted=1, hold=hold)
    play.go()
    play.go(later=hold)
    play.roster.note_page(2)
    play.settle()
    return play


def test_an_import_that_takes_long_is_explained_meanwhile() -> None:
    """Once, by a generation with workers of its own; the import goes on."""
    play = Play(wanted=1, hold=30.0)
    play.go()
    since = play.now
    play.go(later=SLOW)
    assert play.roster.next_deadline() == since + 30.0
    assert play.go(later=29.0) == [Explain(2, 1, since)]
    play.roster.note_page(2)
    assert play.go() == [ForkWorker(2, 0, solo=False)]
    assert play.go(later=600.0) == []
    assert (play.phase(1), play.roster.next_deadline()) == (Phase.LOADING, None)


def test_nobody_is_told_if_nobody_wants_to_know() -> None:
    """`--hold-timeout 0` waits for ever."""
    play = Play(hold=0.0)
    play.go()
    play.go(later=SLOW)
    assert play.roster.next_deadline() is None


def test_what_is_imported_in_the_end_takes_the_page_s_place() -> None:
    """Although its number is the lower one; the next generation is numbered on."""
    play = page()
    old = play.workers(2)[0]
    play.roster.note_loaded(1, solo=False)
    assert play.go() == [RetireWorker(old), ForkWorker(1, 0, solo=False)]
    play.settle()
    assert {n: play.phase(n) for n in play.roster.generations} == {1: Phase.LIVE, 2: Phase.GONE}
    play.roster.note_stale(1)
    assert play.go() == [Start(3)]


@pytest.mark.parametrize("how", ["broken", "unborn", "dies", "saved", "wished"])
def test_the_page_ends_with_the_import_it_speaks_of(how: str) -> None:
    """However that ends. Who comes now waits for the newer code."""
    play = page()
    key = play.workers(2)[0]
    match how:
        case "broken":
            play.roster.note_broken(1, solo=False)
        case "unborn":
            play.roster.note_unborn(1)
        case "dies":
            play.roster.note_generation_gone(1, play.now)
        case "saved":
            play.roster.note_stale(1)
        case "wished":
            play.roster.note_reload(play.now)
    assert RetireWorker(key) in play.go()
    play.settle()
    assert play.phase(2) in (None, Phase.GONE)


def test_the_next_import_that_takes_long_has_a_page_of_its_own() -> None:
    """After its own time, however many there were before."""
    play = page(hold=5.0)
    for number in (1, 3, 5, 7):
        play.roster.note_reload(play.now)
        play.settle()
        since = play.now
        play.go(later=SLOW)
        assert play.go(later=4.0) == [Explain(number + 3, number + 2, since)]
        play.roster.note_page(number + 3)
        play.settle()


def test_a_stale_generation_is_better_than_a_page() -> None:
    """It knows who has waited since before the save; the page is there, without workers, should it die."""
    play = Play(wanted=1, hold=30.0)
    play.live()
    play.roster.note_stale(1)
    play.go()
    assert Explain in map(type, play.go(later=30.0))
    play.roster.note_page(3)
    assert play.go() == []
    play.roster.note_generation_gone(1, play.now)
    play.go()
    assert (list(play.workers(1)), list(play.workers(3))) == ([0], [])
    play.roster.note_worker_gone(play.workers(1)[0], play.now)
    assert play.go() == [ForkWorker(3, 0, solo=False)]


def test_a_page_is_not_what_is_kept() -> None:
    """With --on-broken keep the last good generation is."""
    play = Play(wanted=1, keep=True, hold=30.0)
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.go(later=30.0)
    play.roster.note_page(3)
    play.go()
    play.roster.note_broken(2, solo=False)
    play.settle()
    assert (play.phase(1), play.phase(2), list(play.workers(1))) == (Phase.LIVE, Phase.ASIDE, [0])


def test_a_page_that_dies_is_started_again() -> None:
    """Once without a wait; no import is started for it."""
    play = page()
    for key in play.workers(2).values():
        play.roster.note_worker_gone(key, play.now)
    play.roster.note_generation_gone(2, play.now)
    assert list(map(type, play.go())) == [Explain]
    play.roster.note_unstarted(3, play.now)
    assert play.go() == []
    assert list(map(type, play.go(later=0.2))) == [Explain]
    assert not play.roster.due


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
            deadline = play.roster.next_deadline()
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


def test_a_stale_generation_has_its_workers() -> None:
    """Stale before they were up, or after one died: they answer what has waited since before the save."""
    play = Play()
    play.go()
    play.roster.note_loaded(1, solo=False)
    play.roster.note_stale(1)
    assert play.go() == [Start(2), ForkWorker(1, 0, solo=False), ForkWorker(1, 1, solo=False)]
    play.settle()
    play.roster.note_worker_gone(play.workers(1)[0], play.now)
    assert play.go() == [ForkWorker(1, 0, solo=False)]


def test_a_stale_generation_s_crashing_worker_has_its_waits() -> None:
    """As that of a live one; saves end them, and each save means one build, not one fork after the other."""
    play = Play(wanted=1)
    play.live()
    play.roster.note_stale(1)
    play.go()
    forks = 0
    for _ in range(20):
        for key in play.workers(1).values():
            play.roster.note_worker_gone(key, play.now)
        play.go(later=0.01)
        forks += len(play.given(ForkWorker))
    assert forks == 2


def crowd(play: Play, generations: int) -> list[int]:
    """One worker of each of so many generations that finishes answers, and the newest one's; their keys."""
    play.live()
    keys = [play.workers(1)[0]]
    for number in range(2, generations + 2):
        play.roster.note_stale(number - 1)
        play.go()
        play.roster.note_loaded(number, solo=False)
        play.go()
        keys.append(play.workers(number)[0])
        play.roster.note_ready(keys[-1])
        assert play.go(later=FIRST) == [RetireWorker(keys[-2])]
    return keys


def test_too_many_generations_that_finish_answers_lose_the_oldest() -> None:
    """Four may, beside the newest one; the workers of older ones soon cut what they send, and are killed, once, and
    with the reason."""
    play = Play(wanted=1)
    keys = crowd(play, FINISHING + 2)
    first, second = keys[:2]   # which was one too many FIRST later
    assert play.roster.next_deadline() == pytest.approx(play.now + HURRY - CUT - FIRST)
    reason = "4 younger generations that are no longer the newest one have workers, too"
    assert play.go(later=HURRY - CUT - FIRST) == [CutWorker(first, reason)]
    assert play.go(later=FIRST) == [CutWorker(second, reason)]
    assert play.roster.next_deadline() == pytest.approx(play.now + CUT - FIRST)
    assert play.go(later=CUT - FIRST) == [KillWorker(first, reason)]
    assert play.go(later=FIRST) == [KillWorker(second, reason)]
    assert play.go(later=HURRY) == []


def test_who_leaves_soon_is_not_one_too_many() -> None:
    """Saves that follow each other fast cut no answer that is about to end."""
    play = Play(wanted=1)
    keys = crowd(play, FINISHING + 1)
    play.roster.note_worker_gone(keys[0], play.now + HURRY / 2)
    assert play.go(later=HURRY) == [RetireGeneration(1)]


def test_streams_are_counted_too() -> None:
    """They have no deadline until they are too many; and then no word of theirs gives them one that is later."""
    play = Play(wanted=1, grace=3.0)
    keys = crowd(play, FINISHING)
    for key in keys[:-1]:
        play.roster.note_streaming(key, 1, play.now)
    assert play.go(later=100.0) == []
    assert play.roster.next_deadline() is None
    play.roster.note_stale(play.newest)
    play.go()
    play.roster.note_loaded(play.newest, solo=False)
    play.go()
    play.roster.note_ready(play.workers(play.newest)[0])
    play.go(later=FIRST)
    play.roster.note_streaming(keys[0], 0, play.now)
    play.roster.note_streaming(keys[0], 2, play.now)
    assert [type(order) for order in play.go(later=HURRY - CUT)] == [CutWorker]
    (order,) = play.go(later=CUT + 1 / PACE)
    assert isinstance(order, KillWorker) and order.key == keys[0]


def test_who_waits_for_a_successor_is_not_one_too_many() -> None:
    """However many saves there are before that one is ready: connections come to it, and nobody else has them."""
    play = Play(wanted=1)
    play.live()
    for number in range(2, FINISHING + 4):
        play.roster.note_stale(number - 1)
        play.go()
        play.roster.note_loaded(number, solo=False)
        play.go(later=HURRY)
        assert not play.given(KillWorker)


def test_without_a_newer_one_nobody_is_too_many() -> None:
    """Dead generations' workers serve on until there is one."""
    play = Play(wanted=1)
    play.live()
    play.roster.note_generation_gone(1, play.now)
    assert KillWorker not in map(type, play.go(later=100.0))
    assert list(play.workers(1)) == [0]


def test_a_stale_generation_has_fewer_workers_if_people_wish() -> None:
    """The wish does not wait for the next generation."""
    play = Play()
    play.live()
    play.roster.note_stale(1)
    play.go()
    extra = play.workers(1)[1]
    play.roster.note_scale(-1)
    assert play.go() == [RetireWorker(extra)]


def test_the_first_of_a_newer_generation_comes_up_alone() -> None:
    """Those who wait are answered sooner; but if it does not come the others do not wait for it for long."""
    play = Play(wanted=3)
    play.superseded()
    assert play.go() == [ForkWorker(2, 0, solo=False)]
    assert play.go(later=ALONE / 2) == []
    assert play.roster.next_deadline() == play.now + ALONE / 2
    assert play.go(later=ALONE / 2) == [ForkWorker(2, 1, solo=False), ForkWorker(2, 2, solo=False)]


def test_its_first_answer_is_not_disturbed() -> None:
    """By the fork of another one or by the end of an old one, also if it is ready before it has given that answer."""
    play = Play()
    play.superseded()
    old = play.workers(1)
    play.go()
    play.roster.note_ready(play.workers(2)[0])
    assert play.go(later=FIRST / 2) == []
    assert play.roster.next_deadline() == play.now + FIRST / 2
    assert play.go(later=FIRST / 2) == [RetireWorker(old[0]), ForkWorker(2, 1, solo=False)]


def test_what_comes_due_right_after_a_decision_is_not_slept_through() -> None:
    """The clock has gone on before anybody asks how long there is to sleep; here for the end of being alone."""
    play = Play()
    play.superseded()
    play.go()
    play.roster.note_ready(play.workers(2)[0])
    due = play.now + FIRST
    play.go(later=FIRST * 0.999)
    play.now += FIRST
    assert play.roster.next_deadline() == due < play.now


def test_no_slot_is_left_behind() -> None:
    """By saves that follow each other sooner than a second worker can come up."""
    play = Play()
    play.superseded()
    play.go()
    play.roster.note_ready(play.workers(2)[0])
    play.roster.note_stale(2)
    play.go()
    play.roster.note_loaded(3, solo=False)
    assert play.go() == [ForkWorker(3, 0, solo=False), ForkWorker(3, 1, solo=False)]


def test_the_first_one_dies() -> None:
    """Then another one is the first."""
    play = Play()
    play.superseded()
    play.go()
    play.roster.note_worker_gone(play.workers(2)[0], play.now)
    assert play.go() == [ForkWorker(2, 0, solo=False)]
    play.roster.note_worker_gone(play.workers(2)[0], play.now)
    assert play.go() == [ForkWorker(2, 1, solo=False)]


def test_where_nobody_is_replaced_all_come_up_together() -> None:
    """At a start."""
    play = Play()
    play.go()
    play.roster.note_loaded(1, solo=False)
    assert play.go() == [ForkWorker(1, 0, solo=False), ForkWorker(1, 1, solo=False)]


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
    play.roster.note_ready(play.workers(2)[0])
    assert play.go(later=FIRST) == [RetireWorker(old[0]), ForkWorker(2, 1, solo=False)]
    play.roster.note_ready(play.workers(2)[1])
    assert play.go() == [RetireWorker(old[1])]
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
    """After the grace it is killed, once; shortly before that it cuts what it sends."""
    play = Play(wanted=1, grace=3.0)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_retiring(key, play.now)
    play.go()
    assert play.roster.next_deadline() == play.now + 3.0 - CUT
    reason = "still busy 3 s after it was asked to retire"
    assert play.go(later=3.0 - CUT) == [CutWorker(key, reason)]
    assert play.roster.next_deadline() == play.now + CUT
    assert play.go(later=CUT) == [KillWorker(key, reason)]
    assert play.go(later=5.0) == []


@pytest.mark.parametrize("why", ["reload", "recycled", "fewer"])
def test_streams_may_take_as_long_as_they_like(why: str) -> None:
    """Whyever their worker leaves; from the moment when there is something else again it has the grace."""
    play = Play(wanted=2, grace=3.0)
    play.live()
    key = play.workers(1)[1]
    match why:
        case "reload":
            play.roster.note_stale(1)
            play.go()
            play.roster.note_loaded(2, solo=False)
            play.go(later=ALONE)
            play.go(later=ALONE)
            play.roster.note_ready(play.workers(2)[1])
        case "recycled":
            play.roster.note_retiring(key, play.now)
        case "fewer":
            play.roster.note_scale(-1)
    play.go()
    play.roster.note_streaming(key, 2, play.now)
    assert not {CutWorker, KillWorker} & set(map(type, play.go(later=1000.0)))
    play.roster.note_streaming(key, 0, play.now)
    assert play.go(later=2.0) == []
    assert [type(order) for order in play.go(later=1.0)] == [KillWorker]


def test_recycled_workers_with_streams_are_not_too_many_either() -> None:
    """Of one slot four may finish them: who is replaced after so many requests must not fill the memory."""
    play = Play(wanted=2)
    play.live()
    keys = []
    for _ in range(FINISHING + 1):
        keys.append(play.workers(1)[0])
        play.roster.note_retiring(keys[-1], play.now)
        play.roster.note_streaming(keys[-1], 1, play.now)
        play.go()
        play.roster.note_ready(play.workers(1)[0])
        assert play.given(KillWorker) == []
    reason = "4 younger workers in its place have answers to finish, too"
    assert play.go(later=HURRY - CUT) == [CutWorker(keys[0], reason, 1 / PACE)]
    assert play.go(later=CUT + 1 / PACE) == [KillWorker(keys[0], reason)]
    assert play.go(later=100.0) == []


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


def test_the_end_does_not_wait_for_streams() -> None:
    """Those of workers that left before have no longer than all others, whatever they say."""
    play = Play(wanted=1, grace=3.0)
    play.live()
    key = play.workers(1)[0]
    play.roster.note_retiring(key, play.now)
    play.roster.note_streaming(key, 1, play.now)
    play.go(later=100.0)
    play.roster.note_stop(play.now, fast=False)
    play.go()
    play.roster.note_streaming(key, 2, play.now)
    reason = "it is still busy, and the time to stop is over"
    assert CutWorker(key, reason) in play.go(later=3.0 - CUT)
    assert KillWorker(key, reason) in play.go(later=CUT)


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
    assert play.roster.next_deadline() == play.now + 2.0 - CUT
    assert KillWorker in map(type, play.go(later=2.0))
    deadline = play.roster.next_deadline()
    assert deadline is None or deadline > play.now


def test_the_end_during_an_import() -> None:
    """It is killed at once, for it does not hear, also while workers finish their answers."""
    play = Play(wanted=1)
    play.live()
    play.roster.note_stale(1)
    play.go()
    play.roster.note_stop(play.now, fast=False)
    key = play.workers(1)[0]
    given = play.go()
    assert list(map(type, given)) == [RetireWorker, KillGeneration]
    assert given == [RetireWorker(key), KillGeneration(2)]
    play.roster.note_generation_gone(2, play.now)
    play.roster.note_worker_gone(key, play.now)
    assert play.go() == [RetireGeneration(1)]


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


def test_who_is_spent_leaves_and_another_one_is_made() -> None:
    """At once, for it is no failure; who it was to fork is not missed."""
    play = Play()
    number = play.live()
    play.roster.note_stale(number)
    play.go()
    play.roster.note_loaded(play.newest, solo=False)
    play.go()
    spent = play.newest
    pending = [key for key, worker in play.roster.workers.items() if worker.generation == spent]
    key, unborn = play.roster.note_spent(spent, play.now)
    assert unborn == pending
    for each in unborn:
        play.roster.note_worker_gone(each, play.now)
    assert Start(spent + 1) in play.go()
    assert play.roster.workers[key].leaving
    assert play.roster.workers[key].deadline == play.now + play.roster.grace
    play.roster.note_loaded(play.newest, solo=False)
    play.settle()
    assert sorted(play.workers(play.newest)) == [0, 1]


def test_who_is_spent_and_replaced_already_makes_nothing_due() -> None:
    """A newer one is there."""
    play = Play()
    number = play.live()
    play.roster.note_reload(play.now)
    play.go()
    play.roster.note_loaded(play.newest, solo=False)
    play.roster.note_spent(number, play.now)
    assert not play.roster.due
