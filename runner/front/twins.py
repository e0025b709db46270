"""Which of two twins reads the parameters of the usual request: the one in C if it was built, else the one in Python.

Laws: they differ in nothing but speed, so nobody else asks which one it is; nothing fails where no compiler was.
Start at quickest.
"""

from __future__ import annotations

import os

from runner.wire import parameters
from runner.wire.parameters import ParseKnown

try:
    from runner.wire._parameters import parse_known as compiled
except ImportError:
    compiled = parameters.parse_known


def quickest() -> ParseKnown:
    """The quicker parse_known there is.

    RUNNER_PURE=1 in the environment makes this machine one without a compiler, to see how the runner works there.
    """
    return parameters.parse_known if os.environ.get("RUNNER_PURE") == "1" else compiled
