"""A second thread that looks at what the loop's thread is doing: awake while there is something to see, else asleep.

    asleep    no wake-up at all, until the loop's thread says that there is something to see
    awake     it turns its own loop: a pause, a look, and sleep again once there is nothing

Laws: to be awake costs the loop's thread nothing but one test of `asleep`. Nothing may follow from there being this
thread: it hears no signal, is not waited for by anybody's end, is not there in a forked child.
Start at Onlooker.sleep.
"""

from __future__ import annotations

# Bound by name, now: an application that patches these modules (gevent) would turn this thread into a coroutine.
import os
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from signal import SIG_BLOCK, pthread_sigmask, valid_signals
from time import monotonic

from runner.log import Log


class Onlooker:
    """*watch* runs in the thread, from the first `wake` on, and returns soon after `closed`.

    *name*: the thread's in the log. asleep: `wake` must be called when there is something to see; woken: the monotonic
    seconds of the last time that was done; thread: which one it is (threading.get_ident), 0 before that;
    closed: nothing more is to be seen, here or in this forked child.
    """

    def __init__(self, name: str, watch: Callable[[], None], log: Log) -> None:
        self.asleep = True
        self.closed = False
        self.woken = 0.0
        self._name = name
        self._watch = watch
        self._log = log
        self._living = False
        self.thread = 0
        self._gate = allocate_lock()  # held, except for the moment between being woken and having got up
        self._gate.acquire()
        os.register_at_fork(after_in_child=self._forked)

    # ---- on the loop's thread -------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something to see, and `asleep` was found set."""
        self.asleep = False
        self.woken = monotonic()
        if not self._living and not self.closed:
            self._living = True
            try:
                self.thread = start_new_thread(self._run, ())
            except RuntimeError:
                remedy = "raise the limit of processes (ulimit -u)"
                self._log.once_a_minute(self._name, f"there is no thread for the {self._name}; {remedy}")
        elif self._gate.locked():
            self._gate.release()

    def close(self) -> None:
        """The thread ends."""
        self.closed = True
        self.wake()

    def _forked(self) -> None:
        # The child has one thread, this one is not it, and nobody is to be woken.
        self.closed = True
        self.asleep = False

    # ---- on its own -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        # A signal that the kernel gave to this thread would not interrupt the code it is meant for.
        pthread_sigmask(SIG_BLOCK, valid_signals())
        self._watch()

    def sleep(self, nothing: Callable[[], bool]) -> float:
        """Sleep, if there is still *nothing* to see, until woken.

        Return when that was: earlier than now if the code that woke it kept the interpreter lock.
        """
        # What begins between the two lines finds asleep set, or is found by nothing(); often both.
        self.asleep = True
        slept = nothing() and self._gate.acquire()
        self.asleep = False
        return self.woken if slept else monotonic()
