"""FastCGI requests of one connection: taken, answered, refused, given up."""

import io
from typing import cast

import pytest

from runner.errors import ClientGone
from runner.front.limits import Limits
from runner.request import Answer, Exchange, Served
from runner.wire import records
from runner.wire.requester import End, Requester, Stdout, Unknown, Values
from tests.front.rig import Outcome, Rig, get, ok, params, poisoned, post, record

OK = records.whole(1, b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok")


def echo(exchange: Exchange) -> None:
    """Answer with the request's body."""
    assert exchange.request.body is not None
    body = exchange.request.body.read() or b""
    exchange.start(200, "OK", [])
    exchange.finish(body)


def wait(exchange: Exchange) -> None:
    """Do not answer yet."""


def begin(exchange: Exchange) -> None:
    """Answer the first part of something long."""
    exchange.start(200, "OK", [])
    exchange.send(b"part")


def body_of(raw: bytes) -> bytes:
    """The response body in the STDOUT records of *raw*."""
    events = Requester().feed(raw)
    return b"".join(event.data for event in events if isinstance(event, Stdout)).partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("keep", [True, False])
def test_head_body_and_end_leave_in_one_write_and_the_connection_is_kept_if_asked(keep: bool) -> None:
    """FastCGI 1.0 sections 3.5 and 5.5."""
    with Rig() as rig:
        rig.fastcgi()
        rig.peer.send(get(keep))
        rig.turn()
        assert rig.peer.recv(1 << 16) == OK
        assert rig.connection.closed is not keep
        if keep:
            rig.send(get(keep=False))
            assert rig.rest() == OK
        else:
            assert rig.rest() == b""


def test_a_request_byte_by_byte_is_the_same_request() -> None:
    """However the bytes are cut."""
    with Rig() as rig:
        rig.fastcgi(echo)
        for byte in post(b"hello"):
            rig.send(bytes((byte,)))
        assert body_of(rig.receive(50)) == b"hello"
        assert len(rig.service.requests) == 1


def test_requests_sent_ahead_are_answered_in_turn_without_deep_stacks() -> None:
    """A thousand of them in one buffer, each answered once."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(get() * 1000)
        assert rig.receive(len(OK) * 1000) == OK * 1000


def test_a_flood_of_requests_sent_ahead_waits_in_the_kernel_and_ends_nobody() -> None:
    """What cannot be answered yet is not read, so nothing outgrows a bound."""
    with Rig() as rig:
        rig.fastcgi(wait)
        rig.peer.setblocking(False)
        sent, flood = 0, get() * 3000
        for _ in range(20):
            try:
                sent += rig.peer.send(flood[sent:])
            except BlockingIOError:
                rig.turn()
        rig.service.answer = ok
        ok(rig.service.exchanges[0])
        assert rig.receive(len(OK) * 2000)[: len(OK)] == OK
        assert not rig.connection.closed


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (post(b"hello"), b"hello"),
        (post(b"hello, world", length=5), b"hello"),
        (Requester().request(1, params(REQUEST_METHOD="POST")) + post(b"hello")[-24:], b"hello"),
        (Requester().request(1, params(CONTENT_LENGTH="-1")) + post(b"hello")[-24:], b"hello"),
        (get(CONTENT_LENGTH=""), b""),
    ],
    ids=["exact", "more than announced", "no length", "length -1", "empty length and no body"],
)
def test_the_application_reads_exactly_the_body(raw: bytes, read: bytes) -> None:
    """FastCGI 1.0 section 6.2; a length nobody announced is known at the end."""
    with Rig() as rig:
        rig.fastcgi(echo)
        rig.send(raw)
        assert body_of(rig.receive(50)) == read
        assert rig.service.requests[0].variables.get("CONTENT_LENGTH", "") == (str(len(read)) if read else "")


def test_a_body_shorter_than_announced_is_an_error_to_its_reader() -> None:
    """An early end would look like a whole upload."""
    with Rig() as rig:
        rig.fastcgi(wait)
        rig.send(post(b"hel", length=5))
        body = rig.service.requests[0].body
        assert body is not None
        with pytest.raises(ClientGone):
            body.read()


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_a_refusal_is_a_whole_503_with_the_protocol_status_overloaded(keep: bool, whole: bool) -> None:
    """Web servers make nothing of the status alone; the body that still comes disturbs nobody."""
    raw = post(b"x" * 1000, keep=keep)
    with Rig() as rig:
        rig.fastcgi()
        rig.service.refusal = Answer(503, [("Retry-After", "1")], b"later")
        rig.send(raw if whole else raw[:-500])
        events = rig.replies()
        assert isinstance(events[0], Stdout)
        assert events[0].data.startswith(b"Status: 503 Service Unavailable\r\nRetry-After: 1\r\n")
        assert events[-1] == End(0, records.OVERLOADED)
        if keep:
            rig.service.refusal = None
            rig.send((b"" if whole else raw[-500:]) + get(keep=False))
            assert rig.rest() == OK


def test_a_body_too_large_is_413_before_it_is_read_and_the_connection_is_kept() -> None:
    """What still comes of it is passed over."""
    with Rig() as rig:
        rig.fastcgi(limits=Limits(max_body=10))
        raw = post(b"x" * 100_000)
        rig.send(raw[:300])
        assert b"Status: 413 " in rig.receive(50)
        rig.send(raw[300:] + get(keep=False))
        assert rig.rest() == OK


def test_get_values_and_unknown_management_records_are_answered_and_disturb_nobody() -> None:
    """FastCGI 1.0 sections 4.1 and 4.2: before a request, inside it and after it."""
    ask = record(records.GET_VALUES, 0, records.serialize_pairs([(b"FCGI_MPXS_CONNS", b""), (b"NO", b"")]))
    odd = record(77, 0, b"??")
    with Rig() as rig:
        rig.fastcgi(echo)
        rig.send(ask + odd)
        first = Requester().feed(rig.receive(40))
        assert first == [Values({b"FCGI_MPXS_CONNS": b"0"}), Unknown(77)]
        head = Requester().request(1, params(REQUEST_METHOD="POST", CONTENT_LENGTH="5"))
        rig.send(head + ask + Requester().stdin(1, b"hello") + odd + Requester().stdin(1, b""))
        events = rig.replies()
        assert [type(event) for event in events] == [Values, Unknown, Stdout, End]


def test_who_asks_without_reading_the_answers_is_not_read_either() -> None:
    """Else a small question in a loop would be memory of ours."""
    ask = record(records.GET_VALUES, 0, records.serialize_pairs([(b"FCGI_MPXS_CONNS", b""), (b"NO", b"x" * 80)]))
    flood, sent = ask * 20_000, 0
    with Rig(buffer=4096) as rig:
        rig.fastcgi()
        rig.peer.setblocking(False)
        for _ in range(100):
            try:
                sent += rig.peer.send(flood[sent : sent + 65536])
            except BlockingIOError:
                pass
            rig.turn()
        assert rig.connection.buffered < 1 << 17
        assert sent < len(flood) / 2
        answer = records.serialize_record(
            records.GET_VALUES_RESULT, 0, records.serialize_pairs([(b"FCGI_MPXS_CONNS", b"0")])
        )
        whole = sent // len(ask)
        assert rig.receive(whole * len(answer)) == whole * answer


def test_a_second_request_on_a_busy_connection_is_refused_and_the_first_undisturbed() -> None:
    """FCGI_CANT_MPX_CONN, section 5.5."""
    second = Requester().request(2, params(PATH_INFO="/second")) + Requester().stdin(2, b"no")
    raw = post(b"hello", end=False)
    with Rig() as rig:
        rig.fastcgi(echo)
        rig.send(raw[:-16] + second + raw[-16:] + Requester().stdin(1, b""))
        events = rig.replies()
        if not any(isinstance(event, Stdout) for event in events):
            events += rig.replies()
        assert End(0, records.CANT_MPX_CONN, 2) in events
        assert b"".join(event.data for event in events if isinstance(event, Stdout)).endswith(b"hello")
        assert [request.path for request in rig.service.requests] == ["/"]


@pytest.mark.parametrize("role", [0, 2, 3, 9, 65535])
@pytest.mark.parametrize("keep", [True, False])
def test_another_role_than_responder_is_refused_and_keep_is_honoured(role: int, keep: bool) -> None:
    """A page taken for "may this user come in?" would let everybody in."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(Requester().request(1, params(), keep=keep, role=role) + Requester().stdin(1, b""))
        assert rig.replies() == [End(0, records.UNKNOWN_ROLE)]
        assert rig.service.requests == []
        assert rig.connection.closed is not keep


def test_an_abort_before_the_head_is_whole_ends_the_request() -> None:
    """Nobody was told of it, so nobody is asked."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(get()[:16] + record(records.ABORT_REQUEST) + get())
        assert rig.receive(24 + len(OK)).endswith(OK)


def test_an_abort_during_the_body_ends_the_request_and_keeps_the_connection() -> None:
    """The application never sees half an upload."""
    with Rig() as rig:
        rig.fastcgi()
        rig.send(post(b"hel", length=5, end=False) + record(records.ABORT_REQUEST))
        assert rig.replies() == [End(1, records.REQUEST_COMPLETE)]
        rig.send(get())
        assert rig.receive() == OK
        assert len(rig.service.exchanges) == 1


def test_an_abort_of_a_stream_wakes_its_producer_and_the_end_follows_at_once() -> None:
    """FastCGI 1.0 section 5.4; the connection stays usable."""
    with Rig() as rig:
        rig.fastcgi(begin)
        rig.send(get())
        exchange = rig.service.exchanges[0]
        exchange.resume = exchange.fail
        rig.send(record(records.ABORT_REQUEST))
        assert rig.replies()[-1] == End(1, records.REQUEST_COMPLETE)
        assert rig.service.outcomes == [Outcome(200, 4, False)]
        rig.service.answer = ok
        rig.send(record(records.ABORT_REQUEST) + get())
        assert rig.receive() == OK


def test_records_of_inactive_ids_are_ignored() -> None:
    """FastCGI 1.0 section 3.3."""
    stray = record(records.STDIN, 7, b"x") + record(records.ABORT_REQUEST, 7) + record(records.PARAMS, 7, b"x")
    with Rig() as rig:
        rig.fastcgi(echo)
        rig.send(stray + post(b"hello") + stray)
        assert body_of(rig.receive(56)) == b"hello"


def test_an_answer_that_is_cut_ends_in_a_poison_record() -> None:
    """One, however late the host hears of it."""
    def begin(exchange: Exchange) -> None:
        exchange.start(200, "OK", [])
        exchange.send(b"abc")

    with Rig() as rig:
        rig.fastcgi(begin)
        rig.send(get())
        (exchange,) = rig.service.exchanges
        cast(Served, exchange).cut()
        rig.turn()
        exchange.fail()
        raw = rig.rest()
        assert poisoned(raw) and raw.count(records.POISON) == 1


def test_an_answer_that_fails_half_way_ends_in_a_poison_record() -> None:
    """nginx takes a plain close for the end of a whole one."""
    with Rig() as rig:
        rig.fastcgi(begin)
        rig.send(get())
        rig.service.exchanges[0].fail()
        raw = rig.rest()
        assert poisoned(raw)
        assert raw.startswith(records.stdout(1, b"Status: 200 OK\r\n\r\npart"))


def test_garbage_during_an_answer_cuts_it_off_and_wakes_its_producer() -> None:
    """Half of an answer must not look whole because its reader went mad."""
    with Rig() as rig:
        rig.fastcgi(begin)
        rig.send(get())
        exchange = rig.service.exchanges[0]
        exchange.resume = exchange.fail
        rig.send(b"\xff" * 8)
        assert poisoned(rig.rest())
        assert [outcome.whole for outcome in rig.service.outcomes] == [False]


def test_the_end_of_the_connection_is_the_clients_leaving() -> None:
    """No web server half-closes, and nginx says it in no other way."""
    with Rig() as rig:
        rig.fastcgi(begin)
        rig.send(get())
        exchange = rig.service.exchanges[0]
        woken: list[bool] = []
        exchange.resume = lambda: woken.append(exchange.gone)
        rig.peer.close()
        rig.until(lambda: woken)
        exchange.fail()
        assert (woken, rig.service.outcomes) == ([True], [Outcome(200, 4, False)])
        rig.until(lambda: not rig.connections)


def test_the_end_of_the_connection_during_the_body_gives_the_body_back() -> None:
    """The application is not called."""
    with Rig() as rig:
        front = rig.fastcgi()
        rig.send(post(b"hel", length=5, end=False))
        body = front._body
        assert body is not None
        rig.peer.close()
        rig.until(lambda: not rig.connections)
        assert rig.service.exchanges == []
        assert isinstance(body._file, io.BytesIO) and body._file.closed
