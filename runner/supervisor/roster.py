"""Who is alive, who is wanted, what to do next.

The supervisor notes facts and obeys orders; everything between the two is decided here, from tables and numbers, so
that each rule is a test of a few lines. What there is to know of a generation and of a worker stands in life.py, who
there is in book.py, how long a worker that leaves may take in leaving.py.

Laws: pure: no clock (time comes in), no process, no socket; one generation is built at a time, and the newest save
wins; whoever goes on saving cannot keep generations from coming. Start at Roster.decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from runner.supervisor import leaving
from runner.supervisor.book import SERVING, Book
from runner.supervisor.life import ALONE, LIFE, PATIENT, SLOW, Backoff, Fact, Generation, Phase, Worker
from runner.supervisor.orders import (
    Explain,
    Finish,
    ForkWorker,
    KeepGeneration,
    KillGeneration,
    LookOut,
    Order,
    RetireGeneration,
    RetireWorker,
    Start,
)


@dataclass
class Roster(Book):
    """The book and its rules. *wanted* workers; *grace* seconds a retiring worker is given; *keep*: --on-broken keep;
    *hold*: seconds of importing after which somebody has to say so, 0: nobody.

    due          a new generation is to be built, as soon as none is under construction and no wait is on
    explain      the process of the last attempt died: one that only says so is wanted at once
    voids        attempts in a row of which nothing came, because files changed under them
    """

    wanted: int
    grace: float
    keep: bool = False
    hold: float = 0.0
    stopping: bool = False
    stop_deadline: float = 0.0
    due: bool = True
    explain: bool = False
    voids: int = 0
    starts: Backoff = field(default_factory=Backoff)
    slots: dict[int, Backoff] = field(default_factory=dict)
    pages: Backoff = field(default_factory=Backoff)
    _decided: float = 0.0

    # ---- facts --------------------------------------------------------------------------------------------

    def note_loaded(self, number: int, *, solo: bool, late: bool = False) -> None:
        """The application is imported and fresh; or *late*, and what is on disk is newer again."""
        generation = self._end_import(number, Fact.LOADED, late=late)
        if generation is None:
            return
        generation.solo, generation.late = solo, late
        # A mixture of two saves is good for those who wait, but with --on-broken keep it is not what would be kept.
        self.replace_before(number, self.last_good() if self.keep and late else None)
        if late:
            self.note_stale(number)

    def note_broken(self, number: int, *, solo: bool, late: bool = False) -> None:
        """The import failed; the generation could answer with the error."""
        generation = self._end_import(number, Fact.BROKEN, late=late)
        if generation is None:
            return
        generation.broken, generation.solo = True, solo
        kept = self._keep_last_good()
        if kept is not None:
            generation.phase = Phase.ASIDE
        self.replace_before(number, kept)
        if late:
            self.note_stale(number)

    def note_unborn(self, number: int) -> None:
        """Files changed while they were imported."""
        if self.generations[number].phase is Phase.LOADING:
            self._give_up(number, Fact.UNBORN)

    def note_stale(self, number: int) -> None:
        """Files of this generation changed. A save is what everybody who failed was waiting for."""
        generation = self.generations[number]
        before = generation.phase
        if before is Phase.LOADING:
            generation.doubted = True
        elif self.step(number, Fact.STALE).phase is not before:
            self._note_save()

    def note_page(self, number: int) -> None:
        """The one that says how long the import takes is there."""
        self.step(number, Fact.LOADED)

    def note_generation_gone(self, number: int, now: float) -> None:
        """The process ended, for whatever reason."""
        generation = self.generations[number]
        before = generation.phase
        self.step(number, Fact.GONE)
        if generation.subject:
            if before is not Phase.LEAVING:
                self.pages.fail(now, free=1)
        elif before is Phase.LOADING:
            self.due = True
            self.starts.fail(now, free=0)
            self._keep_last_good()
            # One that explains the death, and watches for the fix, is enough; a stale one watches no longer.
            explained = any(g.aftermath and g.phase in (Phase.LIVE, Phase.ASIDE) for g in self.generations.values())
            self.explain = not generation.aftermath and not explained
        elif before in (*SERVING, Phase.ASIDE):
            self.due = True
            self.starts.fail(now, free=1)

    def note_spent(self, number: int, now: float) -> tuple[int, list[int]]:
        """Its process is a worker that leaves, and no generation any more: the worker's key, and the keys of those that
        it was to fork and will not."""
        unborn = [w.key for w in self.workers.values() if w.generation == number and not w.ready]
        for key in unborn:
            leaving.leave(self.workers[key], now, self.grace)
        key = self.enlist(0, number, now)
        leaving.leave(self.workers[key], now, self.grace)
        serves = self.generations[number].phase in SERVING
        self.step(number, Fact.GONE)
        self.due = self.due or serves
        return key, unborn

    def note_unstarted(self, number: int, now: float) -> None:
        """There was no process to be had for this generation."""
        if self.step(number, Fact.GONE).subject:
            self.pages.fail(now, free=0)
            return
        self.due = True
        self.starts.fail(now, free=0)
        self._keep_last_good()

    def note_forking(self, number: int, slot: int, now: float) -> int:
        """A worker was ordered; its key."""
        return self.enlist(slot, number, now)

    def note_ready(self, key: int) -> None:
        """The worker accepts."""
        self.workers[key].ready = True

    def note_retiring(self, key: int, now: float) -> None:
        """The worker leaves by its own decision."""
        leaving.leave(self.workers[key], now, self.grace)

    def note_streaming(self, key: int, count: int, now: float) -> None:
        """A worker that leaves is busy with so many answers that have begun, and with nothing else; 0: no longer so."""
        leaving.stream(self.workers[key], count, now, self.grace)

    def note_worker_gone(self, key: int, now: float) -> None:
        """The worker's process ended; unasked means that it crashed."""
        worker = self.workers.pop(key)
        if not worker.leaving and not self.stopping:
            self.slots.setdefault(worker.slot, Backoff()).fail(now, free=1)

    def note_reload(self, now: float) -> None:
        """Somebody asked for a new generation. An import that seems to hang is given up for it."""
        self.due = True
        self.starts.forgive()
        loading = self.loading()
        if loading is not None and now - loading.since >= PATIENT:
            self.step(loading.number, Fact.REPLACED).deaf = True

    def note_stop(self, now: float, *, fast: bool) -> None:
        """Somebody asked for the end; *fast* the second time or by wish."""
        self.stopping = True
        deadline = now if fast else now + self.grace
        self.stop_deadline = min(deadline, self.stop_deadline or deadline)

    def note_scale(self, by: int) -> None:
        """More or fewer workers."""
        self.wanted = max(1, min(1000, self.wanted + by))

    # ---- decisions ----------------------------------------------------------------------------------------

    def decide(self, now: float) -> list[Order]:
        """What to do now. Each order is given once; the supervisor must carry out all of them."""
        self._decided = now
        if self.stopping:
            return self._decide_end(now)
        starts = [*self._decide_start(now), *self._decide_page(now)]
        return [*starts, *self._decide_workers(now), *self._decide_leave(now)]

    def next_deadline(self) -> float | None:
        """When `decide` could have something new to say if nothing else happens; that may have passed since."""
        # By a later clock, what had come due since the decision was never decided: in one of a hundred runs the workers
        # of an older generation stayed, and the second one of the newer did not come, until something else happened.
        now = self._decided
        moments = [moment for w in self.workers.values() if (moment := leaving.next_step(w)) < inf]
        moments += [g.deadline for g in self.generations.values() if g.deadline and g.phase is Phase.LEAVING]
        moments += [b.not_before for b in self.slots.values() if b.not_before > now]
        loading = self.loading()
        if loading is not None and not loading.lookout:
            moments.append(loading.since + SLOW)
        elif loading is not None and loading.doubted:
            moments.append(loading.doubted_until)
        if (current := self.current()) is not None and (together := self._together(current.number, now)) > now:
            moments.append(together)
        if (page := self._page_due()) is not None:
            moments.append(page)
        if self.due and self.starts.not_before > now:
            moments.append(self.starts.not_before)
        return min(moments, default=None)

    def _decide_start(self, now: float) -> list[Order]:
        loading = self.loading()
        if loading is not None and loading.doubted and now >= loading.doubted_until:
            self._give_up(loading.number, Fact.STALE).deaf = True
        elif loading is not None:
            if loading.lookout or now < loading.since + SLOW:
                return []
            loading.lookout = True
            return [LookOut(loading.number)]
        if not (self.explain or (self.due and now >= self.starts.not_before)):
            return []
        aftermath, self.explain = self.explain, False
        self.due = self.due and aftermath
        self.enter(now, aftermath=aftermath, voids=self.voids)
        return [Start(self.newest, aftermath, self.voids)]

    def _page_due(self) -> float | None:
        """When somebody has to say that the import takes long."""
        loading = self.loading()
        if loading is None or loading.aftermath or not self.hold or self.page() is not None:
            return None
        return max(loading.since + self.hold, self.pages.not_before)

    def _decide_page(self, now: float) -> list[Order]:
        page, loading, due = self.page(), self.loading(), self._page_due()
        orders: list[Order] = []
        if page is not None and (loading is None or loading.number != page.subject):
            # Whoever comes now waits for the newer code, or has it.
            self.step(page.number, Fact.REPLACED)
        if loading is not None and due is not None and now >= due:
            self.enter(now, subject=loading.number)
            orders.append(Explain(self.newest, loading.number, loading.since))
        over = {g.number for g in self.generations.values() if g.subject and g.phase is Phase.LEAVING}
        return orders + [self._retire(w, now) for w in self.workers.values() if w.generation in over and not w.leaving]

    def _decide_workers(self, now: float) -> list[Order]:
        # An outdated one gets its workers as well: they answer whoever has waited since before the save.
        current = self.current()
        # Those of a generation that died serve on; a page is not better.
        if current is None or (current.subject and any(w.generation != current.number for w in self._ready())):
            return []
        orders: list[Order] = []
        together = self._together(current.number, now)
        for slot in range(self.wanted):
            backoff = self.slots.get(slot)
            here = [w for w in self.workers.values() if w.slot == slot and not w.leaving]
            due = together <= now and (not backoff or backoff.not_before <= now)
            if due and not any(w.generation == current.number for w in here):
                orders.append(ForkWorker(current.number, slot, current.solo))
                together = max(together, self._together(current.number, now, first=True))
            # Not while the first answer is on its way either: to end a process takes milliseconds of a processor.
            if together <= now and any(w.generation == current.number and w.ready for w in here):
                orders += [self._retire(w, now) for w in here if w.generation != current.number]
        extra = [w for w in self.workers.values() if w.slot >= self.wanted and not w.leaving]
        orders += [self._retire(w, now) for w in extra]
        leaving.hurry(self.workers.values(), current.number, now)
        return orders

    def _together(self, number: int, now: float, *, first: bool = False) -> float:
        """When more than one worker of this generation may come up; *first*: after the order for the first one.

        Who saves again and again would have the first slot replaced each time, and the others never: they are only kept
        waiting while all that they replace are of one generation.
        """
        workers = [w for w in self.workers.values() if not w.leaving]
        own = [w for w in workers if w.generation == number]
        if len({w.generation for w in workers} - {number}) != 1:
            return 0.0
        return own[0].alone_until if own else now + ALONE if first else 0.0

    def _decide_leave(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for generation in self.generations.values():
            if generation.phase is Phase.OUTDATED and generation.kept:
                generation.phase = LIFE[generation.phase, Fact.KEPT]
                orders.append(KeepGeneration(generation.number))
            elif generation.phase is Phase.LEAVING and not self.served(generation.number):
                orders += self._leave(generation, now)
        for worker in self.workers.values():
            orders += leaving.end(worker, now, f"still busy {self.grace:g} s after it was asked to retire")
        return orders

    def _decide_end(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for worker in self.workers.values():
            if not worker.leaving:
                orders.append(self._retire(worker, now))
            worker.deadline = min(worker.deadline, self.stop_deadline)
            orders += leaving.end(worker, now, "it is still busy, and the time to stop is over")
        alive = [g for g in self.generations.values() if g.phase is not Phase.GONE]
        for generation in alive:
            # One that imports hears nothing, and has nobody to wait for.
            generation.deaf = generation.deaf or generation.phase is Phase.LOADING
            if generation.deaf or not self.workers:
                orders += self._leave(generation, now)
        return [*orders, Finish()] if not self.workers and not alive else orders

    def _ready(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if worker.ready and not worker.leaving]

    def _retire(self, worker: Worker, now: float) -> RetireWorker:
        leaving.leave(worker, now, self.grace)
        return RetireWorker(worker.key)

    def _leave(self, generation: Generation, now: float) -> list[Order]:
        generation.phase = Phase.LEAVING
        if not generation.told:
            generation.told = True
            if generation.deaf:
                return [KillGeneration(generation.number)]
            generation.deadline = now + 1.0
            return [RetireGeneration(generation.number)]
        if generation.deadline and now >= generation.deadline:
            generation.deadline = 0.0
            return [KillGeneration(generation.number)]
        return []

    def _end_import(self, number: int, fact: Fact, *, late: bool) -> Generation | None:
        """None if it had been given up meanwhile: its last word was on its way."""
        if self.generations[number].phase is not Phase.LOADING:
            return None
        self.voids = 1 if late else 0
        return self.step(number, fact)

    def _give_up(self, number: int, fact: Fact) -> Generation:
        """Nothing comes of this attempt, because files changed under it."""
        self.voids += 1
        self._note_save()
        return self.step(number, fact)

    def _note_save(self) -> None:
        self.due = True
        self.starts.forgive()
        for backoff in self.slots.values():
            backoff.forgive()

    def _keep_last_good(self) -> Generation | None:
        """With --on-broken keep: the one that goes on, and nobody else does."""
        last_good = self.last_good() if self.keep else None
        if last_good is not None:
            if not last_good.kept and last_good.phase is Phase.LIVE:
                last_good.phase = Phase.OUTDATED  # it has to be told, too, before it finds itself stale
            last_good.kept = True
            for generation in self.generations.values():
                if generation.late:
                    generation.phase = LIFE[generation.phase, Fact.REPLACED]
        return last_good
