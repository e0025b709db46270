"""What becomes of an application's failure: a line in the log, and an answer or a visible cut.

Law: an answer whose beginning has left is never ended as if it were whole. Start at Faults.show.
"""

from __future__ import annotations

from runner.errors import ClientGone, ResourcesClosed
from runner.host.error_page import Failure
from runner.log import Log, escape
from runner.request import Answer, Exchange, Request

_SHORT = b"The request body did not arrive as a whole; send it again.\n"
_LATE = b"The server is being restarted; ask again.\n"


class Faults:
    """*debug*: show tracebacks to their author."""

    def __init__(self, log: Log, *, debug: bool) -> None:
        self.log = log
        self.debug = debug

    def show(self, exchange: Exchange, error: BaseException) -> None:
        """Answer with the error page, or cut the answer short if its beginning has left."""
        request = exchange.request
        if isinstance(error, ClientGone) or (exchange.gone and isinstance(error, ResourcesClosed)):
            # Nobody's fault here: the application was told by us, and let it through.
            self.log.debug(f"{_subject(request)}: {error}")
            answer = Answer(400, [("Content-Type", "text/plain")], _SHORT)
        else:
            failure = self.report(request, error)
            answer = failure.answer(request.variables, debug=self.debug)
        _end(exchange, answer)

    def cut(self, exchange: Exchange) -> None:
        """End an answer for which there is no more time; RFC 9110 section 15.6.4 if nothing of it has left."""
        self.log.warning(f"{_subject(exchange.request)}: cut, for it was still under way after --graceful-timeout")
        _end(exchange, Answer(503, [("Retry-After", "1"), ("Content-Type", "text/plain")], _LATE))

    def report(self, request: Request, error: BaseException) -> Failure:
        """Log *error* as the application's failure to answer *request*."""
        failure = Failure.of(error)
        self.log.error(failure.log_text(_subject(request)))
        return failure


def _end(exchange: Exchange, answer: Answer) -> None:
    if exchange.committed or exchange.gone:
        exchange.fail()
    else:
        exchange.answer(answer)


def _subject(request: Request) -> str:
    # Escaped here, since a traceback's own line breaks are meant.
    return escape(f"{request.method} {request.path}")
