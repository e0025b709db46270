"""Who there is: the generations and the workers, and how to find the one that is meant.

Laws: pure: a record with look-ups, no rules; those are in roster.py. A generation that is gone, but for the newest one,
is history.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.supervisor.life import LIFE, Fact, Generation, Phase, Worker

SERVING = (Phase.LIVE, Phase.OUTDATED)
"""The phases in which a generation has workers of its own."""


@dataclass(kw_only=True)
class Book:
    """The record.

    generations  e.g. {4: Generation(4, Phase.OUTDATED), 5: Generation(5, Phase.LOADING)}
    workers      e.g. {17: Worker(17, slot=0, generation=4, …)}
    newest       the number of the newest generation, whatever became of it
    """

    generations: dict[int, Generation] = field(default_factory=dict)
    workers: dict[int, Worker] = field(default_factory=dict)
    newest: int = 0
    _keys: int = 0

    def enter(self, now: float, *, aftermath: bool = False, voids: int = 0, subject: int = 0) -> None:
        """A new generation, of the next number, which is then the newest."""
        self.newest += 1
        self.generations[self.newest] = Generation(
            self.newest, now, aftermath=aftermath, voids=voids, subject=subject
        )

    def enlist(self, slot: int, generation: int, now: float) -> int:
        """A new worker; its key."""
        self._keys += 1
        self.workers[self._keys] = Worker(self._keys, slot, generation, now)
        return self._keys

    def streams(self) -> int:
        """Answers that have begun, of workers that leave and are busy with nothing else."""
        return sum(worker.streams for worker in self.workers.values())

    def current(self) -> Generation | None:
        """The generation that answers, or would if its workers were up; a page only if there is no other one."""
        alive = [g for g in self.generations.values() if g.phase in SERVING]
        return max(alive, key=lambda g: (not g.subject, g.number), default=None)

    def loading(self) -> Generation | None:
        """The generation under construction."""
        return next((g for g in self.generations.values() if g.phase is Phase.LOADING and not g.subject), None)

    def page(self) -> Generation | None:
        """The generation that only says how long the import takes."""
        return next((g for g in self.generations.values() if g.subject and g.phase in (Phase.LOADING, *SERVING)), None)

    def last_good(self) -> Generation | None:
        """The newest one that was proven, for a late one may be a mixture."""
        good = [g for g in self.generations.values() if g.phase in SERVING and not (g.broken or g.late or g.subject)]
        return max(good, key=lambda g: g.number, default=None)

    def newest_served(self) -> int:
        """The newest generation that has workers, alive itself or not; 0 if there are none."""
        return max((worker.generation for worker in self.workers.values()), default=0)

    def served(self, number: int) -> bool:
        """There are workers of this generation."""
        return any(worker.generation == number for worker in self.workers.values())

    def step(self, number: int, fact: Fact) -> Generation:
        """Something happened to a generation."""
        generation = self.generations[number]
        generation.phase = LIFE[generation.phase, fact]
        if generation.phase is Phase.GONE:
            for known in [n for n, g in self.generations.items() if g.phase is Phase.GONE and n < self.newest]:
                del self.generations[known]
        return generation

    def note_good_until(self, number: int, moment: float) -> None:
        """What began before then may be answered by this generation, whatever was saved since (monotonic seconds)."""
        self.generations[number].good_until = moment

    def replace_before(self, number: int, spared: Generation | None = None) -> None:
        """A newer one takes the place of all others, but for *spared*."""
        for generation in self.generations.values():
            if generation.number < number and generation is not spared:
                generation.phase = LIFE[generation.phase, Fact.REPLACED]
