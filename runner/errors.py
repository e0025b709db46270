"""Every error of the runner, and what each one means to the person or the peer who meets it.

    RunnerError                  something the runner itself says; exit code 1
    ├── UsageError               the command line, the file or the target is wrong; exit code 2, one line, no traceback
    ├── BootError                the machine refuses: address in use, no permission; exit code 3
    ├── ProtocolError            the other side of a socket, or the application, broke its contract
    │   ├── RemoteProtocolError  the peer did; knows the HTTP status it deserves
    │   └── LocalProtocolError   the application did (PEP 3333, ASGI); the answer is a 500
    ├── ClientGone               the request ended before it was whole; what `wsgi.input` raises
    ├── NoRequest                asked about the present request where there is none
    ├── ResourceError            of runner.resources, all of them the application's to handle
    │   ├── ResourcesClosed      opened after the end of the request, or of its client
    │   ├── UnknownResource      no such name, or not open here
    │   ├── PoolFull             as many as allowed are in use in this worker
    │   └── TooManyOpen          as many as allowed are open in this request
    └── ChannelError             of runner.channels, all of them the application's to handle
        ├── BadChannel           no channel can be called so
        ├── BadMessage           no message, or no position, can look like that
        └── ChannelsUnavailable  there is no store here, or it does not answer

Law: a message says what happened, then what to do about it. Nothing here imports anything.
"""


class RunnerError(Exception):
    """Base of all errors the runner raises on purpose."""

    exit_code = 1


class UsageError(RunnerError):
    """What was asked for does not exist or is spelled wrong; the message names the nearest right thing."""

    exit_code = 2


class BootError(RunnerError):
    """The request was right, but this machine cannot fulfil it now (sockets, permissions, users)."""

    exit_code = 3


class ProtocolError(RunnerError):
    """A contract on the wire or with the application was broken.

    *status* is the HTTP status of the answer, where an answer is still possible.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class RemoteProtocolError(ProtocolError):
    """The peer sent what its protocol forbids; its connection is closed after the answer, if there is one."""


class LocalProtocolError(ProtocolError):
    """The application broke PEP 3333 or ASGI: a bad header, no start, str for bytes, too many bytes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=500)


class ClientGone(RunnerError, ConnectionError):
    """The client left, or sent less than it announced, before its request was complete.

    A ConnectionError too, because that is what applications already catch around reads and writes.
    """


class NoRequest(RunnerError, LookupError):
    """There is no present request: outside of one, after its end, or in a thread that was started without it."""


class ResourceError(RunnerError):
    """Base of what runner.resources raises."""


class ResourcesClosed(ResourceError):
    """The request is over, or its client has left: nothing is opened for it any more."""


class UnknownResource(ResourceError, LookupError):
    """No resource of that name is registered, or the one that was to be released is not open here."""


class PoolFull(ResourceError):
    """All of a worker's are in use."""


class TooManyOpen(ResourceError):
    """A request has more open than `--max-open` allows."""


class ChannelError(RunnerError):
    """Base of what runner.channels raises."""


class BadChannel(ChannelError, ValueError):
    """No channel can be called so."""


class BadMessage(ChannelError, ValueError):
    """Not what a message, or a position, can be."""


class ChannelsUnavailable(ChannelError, ConnectionError):
    """There is no store here, or it did not answer in time; what was being published may or may not be kept."""
