"""Clients with one kept connection each, asked in the same words whatever they speak. Start at Guest."""

from contextlib import ExitStack

from runner.wire.requester import Requester
from tests.support.client import Conversation, FastCGI, parameters
from tests.support.runner_process import Served


class HTTPGuest:
    """A kept HTTP connection."""

    def __init__(self, served: Served, stack: ExitStack) -> None:
        self._conversation = stack.enter_context(Conversation(served.http))

    def send(self, target: str) -> None:
        """Ask, and do not wait."""
        self._conversation.request("GET", target)

    def text(self) -> str:
        """The answer."""
        return self._conversation.reply().text


class FastCGIGuest:
    """A kept FastCGI connection."""

    def __init__(self, served: Served, stack: ExitStack) -> None:
        self._connection = stack.enter_context(FastCGI(served.fastcgi))

    def send(self, target: str) -> None:
        """Ask, and do not wait."""
        pairs = [(name.encode(), value.encode()) for name, value in parameters(target).items()]
        machine = Requester()
        self._connection.send(machine.request(1, pairs, keep=True) + machine.stdin(1, b""))

    def text(self) -> str:
        """The answer."""
        return self._connection.reply().body.decode()


Guest = HTTPGuest | FastCGIGuest
