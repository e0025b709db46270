"""What becomes of an application's failure."""

import pytest

from runner.errors import ClientGone, ResourcesClosed
from runner.host.faults import Faults
from runner.request import Exchange
from tests.front.rig import Rig, get, poisoned


def shown(error: BaseException, *, begun: bool = False, path: str = "/") -> tuple[bytes, list[bytes]]:
    """What the client gets when *error* came, perhaps after a first part; and the log."""

    def answer(exchange: Exchange) -> None:
        if begun:
            exchange.start(200, "OK", [])
            exchange.send(b"part")
        Faults(rig.service.log, debug=False).show(exchange, error)

    with Rig() as rig:
        rig.fastcgi(answer)
        rig.send(get(keep=False, PATH_INFO=path))
        return rig.rest(), rig.service.lines()


def test_a_failure_is_a_page_with_the_number_of_its_log_line() -> None:
    """And nothing else of it."""
    raw, log = shown(ValueError("hunter2"))
    assert b"Status: 500" in raw
    assert b"hunter2" not in raw
    reference = log[0].partition(b"reference ")[2][:8]
    assert reference in raw


def test_after_its_beginning_an_answer_is_cut_visibly() -> None:
    """No page could follow the part that has left."""
    raw, _ = shown(ValueError("x"), begun=True)
    assert poisoned(raw)


def test_a_body_that_never_became_whole_is_the_clients_affair() -> None:
    """A 400, and no line of an error."""
    raw, log = shown(ClientGone("half a body"))
    assert b"Status: 400" in raw
    assert log == []


@pytest.mark.parametrize("gone", [True, False])
def test_a_resource_that_is_refused_to_a_client_that_has_left_is_no_error(gone: bool) -> None:
    """To one that is there it is: the application asks after the end of its answer."""

    def answer(exchange: Exchange) -> None:
        if gone:
            rig.peer.close()
            assert exchange.look()
        Faults(rig.service.log, debug=False).show(exchange, ResourcesClosed("'db' was to be opened"))

    with Rig() as rig:
        rig.fastcgi(answer)
        rig.send(get(keep=False))
        rig.until(lambda: rig.service.outcomes)
        assert bool(rig.service.lines()) is not gone


@pytest.mark.parametrize("path", ["/a\nb", "/\x1b[31m"])
def test_a_path_cannot_write_lines_of_the_log(path: str) -> None:
    """It is what a client has sent."""
    _, log = shown(ValueError("x"), path=path)
    assert b"\x1b" not in b"".join(log)
    assert b"failed, reference" in log[0]
