"""Anything may happen in any order; the rules hold all the same."""

from math import inf
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runner.supervisor import orders
from runner.supervisor.book import SERVING
from runner.supervisor.leaving import FINISHING, HURRY
from runner.supervisor.life import ALONE, Generation, Phase, Worker
from tests.supervisor.roster_play import Play


class Life(RuleBasedStateMachine):
    """Random facts; every order is carried out by the play, those to end somebody by a later rule."""

    @initialize(wanted=st.integers(1, 3), keep=st.booleans(), hold=st.sampled_from([0.0, 1.0, 30.0]))
    def begin(self, wanted: int, keep: bool, hold: float) -> None:
        """An empty roster."""
        self.play = Play(wanted, grace=3.0, keep=keep, hold=hold)
        self.last_start = 0
        self.obey()

    def obey(self, later: float = 0.0) -> None:
        """Decide, obey, and look at what was decided."""
        given = self.play.go(later)
        for start in (order for order in given if isinstance(order, orders.Start | orders.Explain)):
            assert start.number == self.last_start + 1
            self.last_start = start.number
        assert len({(type(order), order) for order in given}) == len(given), "an order was given twice"
        stopping = self.play.roster.stopping
        assert not (stopping and {orders.Start, orders.Explain, orders.ForkWorker} & set(map(type, given)))

    def generations(self, *phases: Phase) -> list[Generation]:
        """Those in one of the phases."""
        return [each for each in self.play.roster.generations.values() if each.phase in phases]

    def pick(self, data: Any, things: list[Any]) -> Any:
        """One of them, or None if there is none."""
        return data.draw(st.sampled_from(things)) if things else None

    # ---- what generations do --------------------------------------------------------------------------------

    @rule(outcome=st.sampled_from(["loaded", "solo", "late", "broken", "unborn", "dies", "unstarted"]))
    def import_ends(self, outcome: str) -> None:
        """The one under construction comes to an end, one way or another."""
        book = self.play.roster
        loading = book.loading()
        if loading is None:
            return
        match outcome:
            case "loaded" | "solo" if not loading.aftermath:
                book.note_loaded(loading.number, solo=outcome == "solo")
            case "late" if not loading.aftermath:
                book.note_loaded(loading.number, solo=False, late=True)
            case "unborn":
                book.note_unborn(loading.number)
            case "dies":
                book.note_generation_gone(loading.number, self.play.now)
            case "unstarted":
                book.note_unstarted(loading.number, self.play.now)
            case _:
                book.note_broken(loading.number, solo=False)
        self.obey()

    @rule(outcome=st.sampled_from(["ready", "dies", "unstarted"]))
    def page_starts(self, outcome: str) -> None:
        """The one that says how long the import takes is there, or comes to nothing."""
        book = self.play.roster
        page = book.page()
        if page is None or page.phase is not Phase.LOADING:
            return
        match outcome:
            case "ready":
                book.note_page(page.number)
            case "dies":
                book.note_generation_gone(page.number, self.play.now)
            case "unstarted":
                book.note_unstarted(page.number, self.play.now)
        self.obey()

    @rule(data=st.data())
    def save(self, data: Any) -> None:
        """A generation learns that it is stale, the one under construction by its lookout."""
        told = [g for g in self.generations(*SERVING, Phase.ASIDE) if not (g.kept or g.subject)]
        told += [g for g in self.generations(Phase.LOADING) if g.lookout and not g.subject]
        generation = self.pick(data, told)
        if generation is not None:
            self.play.roster.note_stale(generation.number)
            self.obey()

    @rule(data=st.data())
    def generation_ends(self, data: Any) -> None:
        """Killed from outside, or gone as it was asked to."""
        generation = self.pick(data, self.generations(*SERVING, Phase.ASIDE, Phase.LEAVING))
        if generation is not None:
            self.play.roster.note_generation_gone(generation.number, self.play.now)
            self.obey()

    @rule(data=st.data())
    def spent(self, data: Any) -> None:
        """One that has answered first cannot be forked."""
        told = [g for g in self.generations(*SERVING, Phase.LEAVING) if not (g.broken or g.subject)]
        generation = self.pick(data, told)
        if generation is not None:
            _, unborn = self.play.roster.note_spent(generation.number, self.play.now)
            for key in unborn:
                self.play.roster.note_worker_gone(key, self.play.now)
            self.obey()

    # ---- what workers do ------------------------------------------------------------------------------------

    def worker(self, data: Any) -> Worker | None:
        """Any of them."""
        return self.pick(data, list(self.play.roster.workers.values()))  # type: ignore[no-any-return]

    @rule(data=st.data(), what=st.sampled_from(["ready", "retires", "streams", "calls", "ends"]))
    def worker_acts(self, data: Any, what: str) -> None:
        """It accepts, leaves by itself, only streams or no longer does, or ends with or without having been asked."""
        worker = self.worker(data)
        if worker is None:
            return
        match what:
            case "ready":
                self.play.roster.note_ready(worker.key)
            case "retires" if not worker.leaving:
                self.play.roster.note_retiring(worker.key, self.play.now)
            case "streams" | "calls" if worker.leaving:
                self.play.roster.note_streaming(worker.key, int(what == "streams"), self.play.now)
            case _:
                self.play.roster.note_worker_gone(worker.key, self.play.now)
        self.obey()

    # ---- what people and time do ----------------------------------------------------------------------------

    @rule()
    def reload(self) -> None:
        """Somebody asks for a new generation."""
        self.play.roster.note_reload(self.play.now)
        self.obey()

    @rule(by=st.sampled_from([-1, 1]))
    def scale(self, by: int) -> None:
        """Somebody asks for more or fewer workers."""
        if self.play.roster.wanted + by <= 4:
            self.play.roster.note_scale(by)
            self.obey()

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 6.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes, past whatever was to be done in it."""
        self.obey(seconds)

    @rule(attempts=st.integers(2, 6), slow=st.booleans())
    def storm(self, attempts: int, slow: bool) -> None:
        """Somebody saves faster than a build: each attempt is interrupted, and from the second one on it is of use."""
        book, began = self.play.roster, self.last_start
        book.note_reload(self.play.now)
        self.obey(later=6.0)
        for _ in range(attempts + 1):
            self.obey(later=1.0 if slow else 0.2)
            loading = book.loading()
            assert loading is not None, "nothing is built, and nobody has asked for a pause"
            if loading.lookout:
                book.note_stale(loading.number)
                self.obey()
            if loading.phase is Phase.LOADING and loading.voids and not loading.aftermath:
                book.note_loaded(loading.number, solo=False, late=True)
            else:
                book.note_unborn(loading.number)
            self.obey()
        self.obey(later=ALONE)
        current = book.current()
        assert current is not None and current.number >= began
        assert sorted(self.play.workers(current.number)) == list(range(book.wanted))

    # ---- what always holds --------------------------------------------------------------------------------

    @invariant()
    def one_is_built_at_a_time(self) -> None:
        """Never two under construction, and one page at most beside it, which has workers only if it must."""
        assert len([each for each in self.generations(Phase.LOADING) if not each.subject]) <= 1
        book = self.play.roster
        pages = [each for each in self.generations(Phase.LOADING, *SERVING) if each.subject]
        assert [each.subject for each in pages] in ([], [loading.number if (loading := book.loading()) else 0])
        assert book.current() not in pages or len(self.generations(*SERVING)) == 1

    @invariant()
    def at_most_one_worker_a_slot_and_generation(self) -> None:
        """Not counting those that leave."""
        seen = [(w.slot, w.generation) for w in self.play.roster.workers.values() if not w.leaving]
        assert len(set(seen)) == len(seen)

    @invariant()
    def few_finish_answers(self) -> None:
        """Beside the newest generation that answers; who is one too many has little time."""
        current = self.play.roster.current()
        if current is not None:
            workers = [w for w in self.play.roster.workers.values() if w.leaving and not w.killed]
            assert all(w.deadline <= self.play.now + HURRY + w.spread for w in workers if w.hurried)
            # Who has no longer than that anyway is not hurried.
            busy = [w for w in workers if w.deadline > self.play.now + HURRY + w.spread]
            assert len({w.generation for w in busy} - {current.number}) <= FINISHING
            recycled = [w.slot for w in busy if w.generation == current.number]
            assert all(recycled.count(slot) <= FINISHING for slot in recycled)

    @invariant()
    def who_only_streams_is_let_be(self) -> None:
        """Unless there are too many, or everything ends: then nobody has longer than all others."""
        book = self.play.roster
        for worker in book.workers.values():
            if worker.streams and not (worker.hurried or book.stopping):
                assert (worker.deadline, worker.cut) == (inf, False)
            if worker.leaving and book.stopping:
                assert worker.deadline <= book.stop_deadline

    @invariant()
    def nothing_waits_without_a_deadline(self) -> None:
        """The supervisor sleeps until the next one, so what was due before is done, and what is due later has one."""
        deadline = self.play.roster.next_deadline()
        assert deadline is None or deadline > self.play.now
        book = self.play.roster
        waiting = book.due and book.loading() is None and not book.stopping
        waiting = waiting or any(w.deadline < inf and not w.killed for w in book.workers.values())
        assert not waiting or deadline is not None

    def teardown(self) -> None:
        """Let all that is left go well: exactly the wanted workers of the newest generation remain, then nobody."""
        if not hasattr(self, "play"):
            return
        play, book = self.play, self.play.roster
        for _ in range(12):
            play.go(later=6.0)
            loading = book.loading()
            if loading is not None:
                if loading.aftermath:
                    book.note_broken(loading.number, solo=False)
                else:
                    book.note_loaded(loading.number, solo=False)
            for generation in self.generations(Phase.OUTDATED):
                assert book.due or book.loading() or generation.kept
            play.settle()
        if not book.due and book.loading() is None:
            current = book.current()
            assert current is not None
            assert sorted(w.slot for w in book.workers.values() if w.ready) == list(range(book.wanted))
            assert {w.generation for w in book.workers.values()} == {current.number}
        book.note_stop(play.now, fast=True)
        for _ in range(6):
            play.go(later=2.0)
            for worker in list(book.workers.values()):
                book.note_worker_gone(worker.key, play.now)
            for generation in self.generations(Phase.LEAVING):
                if generation.told:
                    book.note_generation_gone(generation.number, play.now)
        assert play.finished


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40)
