"""Who is alive, who is wanted, what to do next.

The supervisor notes facts and obeys orders; everything between the two is decided here, from tables and numbers, so
that each rule is a test of a few lines. What there is to know of a generation and of a worker stands in life.py.

Laws: pure: no clock (time comes in), no process, no socket; one generation is built at a time, and the newest save
wins. Start at Roster.decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from runner.supervisor.life import LIFE, PATIENT, SLOW, UNSETTLED_DELAY, Backoff, Fact, Generation, Phase, Worker


class Start(NamedTuple):
    """Start generation *number*; *aftermath*: the last attempt's process died, do not import again just now."""

    number: int
    aftermath: bool


class ForkWorker(NamedTuple):
    """Have generation *number* make the worker of *slot*; *solo*: as a process that imports by itself."""

    number: int
    slot: int
    solo: bool


class RetireWorker(NamedTuple):
    """Ask this worker to leave."""

    key: int


class KillWorker(NamedTuple):
    """End this worker now; *reason* for the log."""

    key: int
    reason: str


class RetireGeneration(NamedTuple):
    """Ask this generation to leave."""

    number: int


class KillGeneration(NamedTuple):
    """End this generation now."""

    number: int


class KeepGeneration(NamedTuple):
    """Tell this generation to go on although stale."""

    number: int


class LookOut(NamedTuple):
    """Have somebody watch what this generation has read, for it is importing for a long time."""

    number: int


class Finish(NamedTuple):
    """Nobody is left: end the supervisor."""


Order = (
    Start | LookOut | KeepGeneration | RetireGeneration | KillGeneration
    | ForkWorker | RetireWorker | KillWorker | Finish
)


@dataclass
class Roster:
    """The ledger and its rules. *wanted* workers; *grace* seconds a retiring worker is given; *keep*: --on-broken keep.

    generations  e.g. {4: Generation(4, Phase.OUTDATED), 5: Generation(5, Phase.LOADING)}
    workers      e.g. {17: Worker(17, slot=0, generation=4, …)}
    due          a new generation is to be built, as soon as none is under construction and no wait is on
    explain      the process of the last attempt died: one that only says so is wanted at once
    """

    wanted: int
    grace: float
    keep: bool = False
    generations: dict[int, Generation] = field(default_factory=dict)
    workers: dict[int, Worker] = field(default_factory=dict)
    stopping: bool = False
    stop_deadline: float = 0.0
    due: bool = True
    explain: bool = False
    starts: Backoff = field(default_factory=Backoff)
    slots: dict[int, Backoff] = field(default_factory=dict)
    _numbers: int = 0
    _keys: int = 0

    # ---- facts --------------------------------------------------------------------------------------------

    def note_loaded(self, number: int, *, solo: bool) -> None:
        """The application is imported and fresh."""
        generation = self._step(number, Fact.LOADED)
        generation.solo = solo
        self._replace_before(number)

    def note_broken(self, number: int, *, solo: bool) -> None:
        """The import failed; the generation could answer with the error."""
        last_good = self._last_good()
        generation = self._step(number, Fact.BROKEN)
        generation.broken, generation.solo = True, solo
        if self.keep and last_good is not None:
            generation.phase = Phase.ASIDE
            last_good.kept = True
            self._replace_before(number, Phase.ASIDE)
        else:
            self._replace_before(number)

    def note_unborn(self, number: int, now: float) -> None:
        """Files changed while they were imported."""
        self._step(number, Fact.UNBORN)
        self.due = True
        self.starts.fail(now, free=2, longest=UNSETTLED_DELAY)

    def note_stale(self, number: int) -> None:
        """Files of this generation changed. A save is what everybody who failed was waiting for."""
        before = self.generations[number].phase
        if self._step(number, Fact.STALE).phase is not before:
            self.generations[number].deaf = before is Phase.LOADING
            self.due = True
            self.starts.forgive()
            for backoff in self.slots.values():
                backoff.forgive()

    def note_generation_gone(self, number: int, now: float) -> None:
        """The process ended, for whatever reason."""
        generation = self.generations[number]
        before = generation.phase
        self._step(number, Fact.GONE)
        if before is Phase.LOADING:
            self.due = True
            self.starts.fail(now, free=0)
            self._keep_last_good()
            # One that explains the death, and watches for the fix, is enough; a stale one watches no longer.
            explained = any(g.aftermath and g.phase in (Phase.LIVE, Phase.ASIDE) for g in self.generations.values())
            self.explain = not generation.aftermath and not explained
        elif before in (Phase.LIVE, Phase.OUTDATED, Phase.ASIDE):
            self.due = True
            self.starts.fail(now, free=1)

    def note_unstarted(self, number: int, now: float) -> None:
        """There was no process to be had for this generation."""
        self._step(number, Fact.GONE)
        self.due = True
        self.starts.fail(now, free=0)
        self._keep_last_good()

    def note_forking(self, number: int, slot: int, now: float) -> int:
        """A worker was ordered; its key."""
        self._keys += 1
        self.workers[self._keys] = Worker(self._keys, slot, number, now)
        return self._keys

    def note_ready(self, key: int) -> None:
        """The worker accepts."""
        self.workers[key].ready = True

    def note_retiring(self, key: int, now: float) -> None:
        """The worker leaves by its own decision."""
        worker = self.workers[key]
        worker.leaving = worker.told = True
        worker.deadline = now + self.grace

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
            self._step(loading.number, Fact.REPLACED).deaf = True

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
        if self.stopping:
            return self._decide_end(now)
        return [*self._decide_start(now), *self._decide_workers(now), *self._decide_leave(now)]

    def next_deadline(self, now: float) -> float | None:
        """When `decide` could have something new to say if nothing else happens."""
        moments = [w.deadline for w in self.workers.values() if w.deadline and not w.killed]
        moments += [g.deadline for g in self.generations.values() if g.deadline and g.phase is Phase.LEAVING]
        moments += [b.not_before for b in self.slots.values() if b.not_before > now]
        moments += [g.since + SLOW for g in self.generations.values() if g.phase is Phase.LOADING and not g.lookout]
        if self.due and self.starts.not_before > now:
            moments.append(self.starts.not_before)
        return min(moments, default=None)

    def current(self) -> Generation | None:
        """The generation that answers, or would if its workers were up."""
        alive = [g for g in self.generations.values() if g.phase in (Phase.LIVE, Phase.OUTDATED)]
        return max(alive, key=lambda g: g.number, default=None)

    @property
    def newest(self) -> int:
        """The number of the newest generation, whatever became of it."""
        return self._numbers

    def newest_served(self) -> int:
        """The newest generation that has workers, alive itself or not; 0 if there are none."""
        return max((worker.generation for worker in self.workers.values()), default=0)

    def loading(self) -> Generation | None:
        """The generation under construction."""
        return next((g for g in self.generations.values() if g.phase is Phase.LOADING), None)

    def _decide_start(self, now: float) -> list[Order]:
        loading = self.loading()
        if loading is not None:
            if loading.lookout or now < loading.since + SLOW:
                return []
            loading.lookout = True
            return [LookOut(loading.number)]
        if not (self.explain or (self.due and now >= self.starts.not_before)):
            return []
        aftermath, self.explain = self.explain, False
        self.due = self.due and aftermath
        self._numbers += 1
        self.generations[self._numbers] = Generation(self._numbers, now, aftermath=aftermath)
        return [Start(self._numbers, aftermath)]

    def _decide_workers(self, now: float) -> list[Order]:
        current = self.current()
        if current is None or current.phase is not Phase.LIVE:
            return []
        orders: list[Order] = []
        for slot in range(self.wanted):
            backoff = self.slots.get(slot)
            here = [w for w in self.workers.values() if w.slot == slot and not w.leaving]
            if not any(w.generation == current.number for w in here) and (not backoff or backoff.not_before <= now):
                orders.append(ForkWorker(current.number, slot, current.solo))
            if any(w.generation == current.number and w.ready for w in here):
                orders += [self._retire(w, now) for w in here if w.generation < current.number]
        extra = [w for w in self.workers.values() if w.slot >= self.wanted and not w.leaving]
        return orders + [self._retire(w, now) for w in extra]

    def _decide_leave(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for generation in self.generations.values():
            busy = any(w.generation == generation.number for w in self.workers.values())
            if generation.phase is Phase.OUTDATED and generation.kept:
                generation.phase = LIFE[generation.phase, Fact.KEPT]
                orders.append(KeepGeneration(generation.number))
            elif generation.phase is Phase.LEAVING and not busy:
                orders += self._leave(generation, now)
        for worker in self.workers.values():
            if worker.deadline and now >= worker.deadline and not worker.killed:
                worker.killed = True
                orders.append(KillWorker(worker.key, f"still busy {self.grace:g} s after it was asked to retire"))
        return orders

    def _decide_end(self, now: float) -> list[Order]:
        orders: list[Order] = []
        for worker in self.workers.values():
            if not worker.leaving:
                orders.append(self._retire(worker, now))
            worker.deadline = min(worker.deadline, self.stop_deadline)
            if now >= worker.deadline and not worker.killed:
                worker.killed = True
                orders.append(KillWorker(worker.key, "it is still busy, and the time to stop is over"))
        alive = [g for g in self.generations.values() if g.phase is not Phase.GONE]
        if not self.workers:
            for generation in alive:
                orders += self._leave(generation, now)
        return [*orders, Finish()] if not self.workers and not alive else orders

    def _retire(self, worker: Worker, now: float) -> RetireWorker:
        worker.leaving = worker.told = True
        worker.deadline = now + self.grace
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

    def _step(self, number: int, fact: Fact) -> Generation:
        generation = self.generations[number]
        generation.phase = LIFE[generation.phase, fact]
        if generation.phase is Phase.GONE:
            self._forget(number)
        return generation

    def _replace_before(self, number: int, *phases: Phase) -> None:
        for generation in self.generations.values():
            if generation.number < number and generation.phase in (phases or Phase):
                generation.phase = LIFE[generation.phase, Fact.REPLACED]

    def _keep_last_good(self) -> None:
        last_good = self._last_good()
        if self.keep and last_good is not None:
            last_good.kept = True

    def _last_good(self) -> Generation | None:
        good = [g for g in self.generations.values() if g.phase in (Phase.LIVE, Phase.OUTDATED) and not g.broken]
        return max(good, key=lambda g: g.number, default=None)

    def _forget(self, number: int) -> None:
        """Generations that are gone, but for the newest one, are history."""
        for known in [n for n, g in self.generations.items() if g.phase is Phase.GONE and n < self._numbers]:
            del self.generations[known]
