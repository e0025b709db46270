"""A roster, and a supervisor that carries out its orders in no time: what tests of the rules are written with."""

from runner.supervisor import orders
from runner.supervisor.book import SERVING
from runner.supervisor.life import FIRST, Phase
from runner.supervisor.orders import Order
from runner.supervisor.roster import Roster


class Play:
    """Facts go in by the roster's own methods and those here; `go` decides and obeys until there is nothing to do.

    orders  all that were given since the last `go`
    """

    def __init__(self, wanted: int = 2, grace: float = 30.0, *, keep: bool = False, hold: float = 0.0) -> None:
        self.roster = Roster(wanted, grace, keep, hold)
        self.now = 1000.0
        self.orders: list[Order] = []
        self.finished = False

    def go(self, later: float = 0.0) -> list[Order]:
        """Let *later* seconds pass, then decide and obey. More than a few rounds would be a loop without an end."""
        self.now += later
        self.orders = []
        for _ in range(20):
            given = self.roster.decide(self.now)
            if not given:
                return self.orders
            self.orders += given
            for order in given:
                self._obey(order)
            if self.finished:
                return self.orders
        raise AssertionError(f"it never comes to rest: {self.orders[-10:]}")

    def _obey(self, order: Order) -> None:
        match order:
            case orders.ForkWorker(number, slot, _):
                assert self.roster.generations[number].phase in SERVING
                self.roster.note_forking(number, slot, self.now)
            case orders.Finish():
                self.finished = True

    # ---- facts in one word --------------------------------------------------------------------------------

    @property
    def newest(self) -> int:
        """The number of the newest generation."""
        return self.roster.newest

    def live(self) -> int:
        """Start, load, and let all workers be ready; the generation's number."""
        self.go()
        self.roster.note_loaded(self.newest, solo=False)
        self.settle()
        return self.newest

    def superseded(self) -> None:
        """The first generation is live, stale since then, and the second one has just been imported."""
        self.live()
        self.roster.note_stale(1)
        self.go()
        self.roster.note_loaded(2, solo=False)

    def settle(self) -> None:
        """Whoever is forked becomes ready, whoever is asked to leave goes, until all is calm."""
        for _ in range(10):
            self.go()
            busy = False
            for worker in list(self.roster.workers.values()):
                if worker.leaving:
                    busy = True
                    self.roster.note_worker_gone(worker.key, self.now)
                elif not worker.ready:
                    busy = True
                    self.roster.note_ready(worker.key)
            for generation in list(self.roster.generations.values()):
                if generation.phase is Phase.LEAVING and generation.told:
                    busy = True
                    self.roster.note_generation_gone(generation.number, self.now)
            due = self.roster.next_deadline()
            if not busy and (due is None or due > self.now + FIRST):
                return
            self.now += 0.0 if busy else FIRST
        raise AssertionError("it never becomes calm")

    def workers(self, number: int) -> dict[int, int]:
        """Keys of the workers of one generation, by slot, without those that leave."""
        return {w.slot: w.key for w in self.roster.workers.values() if w.generation == number and not w.leaving}

    def phase(self, number: int) -> Phase | None:
        """Of a generation; None if it is history."""
        generation = self.roster.generations.get(number)
        return generation.phase if generation else None

    def given(self, kind: type[Order]) -> list[Order]:
        """The orders of one kind among the last."""
        return [order for order in self.orders if isinstance(order, kind)]
