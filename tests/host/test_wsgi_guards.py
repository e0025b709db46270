"""What a host tells of a request's begin and end, and what is the present request meanwhile."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from runner.errors import NoRequest
from runner.host.wsgi import Host
from runner.request import Exchange, Request, current
from runner.wire import records
from tests.front.rig import Rig, get
from tests.host.calls import CLOSES, Body, Start, answering

HEAD = [("Content-Type", "text/plain")]


class Witness:
    """A guard that notes what it is told, and which request is the present one then."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Request]] = []
        self.fails = False

    def begin(self, exchange: Exchange) -> None:
        """See Guard."""
        if self.fails:
            raise ValueError("in begin")
        self.told.append(("begin", current()))

    def end(self, exchange: Exchange) -> None:
        """See Guard."""
        if self.told[-1][0] != "end":
            self.told.append(("end", current()))


@pytest.mark.parametrize("case", CLOSES)
def test_each_request_has_a_begin_and_an_end(case: str) -> None:
    """However its answer ends."""
    _, how, raw, _ = CLOSES[case]
    witness = Witness()
    with Rig() as rig:
        host = Host(answering(Body(b"ab"), **how), rig.service.log, threads=1, debug=False, guards=[witness])
        rig.fastcgi(host.handle)
        rig.send(raw)
        rig.until(lambda: rig.service.outcomes)
    assert [what for what, _ in witness.told] == ["begin", "end"]


def test_the_end_is_told_after_close_and_before_the_last_byte() -> None:
    """Who has the whole answer can rely on what was done at its end."""
    order: list[str] = []

    class Told(Witness):
        def end(self, exchange: Exchange) -> None:
            assert bytes((1, records.END_REQUEST)) not in rig.peer.recv(1 << 16)
            order.append("end")

    class Closing(Body):
        def close(self) -> None:
            order.append("close")

    with Rig() as rig:
        host = Host(answering(Closing(b"part", b"")), rig.service.log, threads=1, debug=False, guards=[Told()])
        rig.fastcgi(host.handle)
        rig.send(get(keep=False))
        rig.until(lambda: rig.service.outcomes)
    assert order[:2] == ["close", "end"]


def test_the_present_request_is_the_same_all_the_way() -> None:
    """In the call, each step of the answer, its close() and the guards; and after that there is none."""
    seen: list[Request] = []

    class Answer:
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(3):
                seen.append(current())
                yield b"x"

        def close(self) -> None:
            seen.append(current())

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        seen.append(current())
        assert current().environ is environ
        start("200 OK", HEAD)
        return Answer()

    witness = Witness()
    with Rig() as rig:
        rig.fastcgi(Host(application, rig.service.log, threads=1, debug=False, guards=[witness]).handle)
        rig.send(get(keep=False))
        rig.until(lambda: rig.service.outcomes)
    assert len(seen) == 5
    assert {*seen, *(request for _, request in witness.told)} == {seen[0]}
    assert seen[0].over
    with pytest.raises(NoRequest):
        current()


def test_a_guard_that_fails_is_a_failure_of_the_request() -> None:
    """Its answer is a 500; the process lives."""
    witness = Witness()
    witness.fails = True
    witness.told.append(("end", Request({}, "http", 0.0)))
    with Rig() as rig:
        rig.fastcgi(Host(answering(Body(b"a")), rig.service.log, threads=1, debug=False, guards=[witness]).handle)
        rig.send(get(keep=False))
        rig.until(lambda: rig.service.outcomes)
        assert rig.service.outcomes[0].status == 500
        assert b"ValueError: in begin" in rig.service.lines()[0]
