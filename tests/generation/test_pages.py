"""What a process has written since it was forked; and what of that is copied before it is written."""

import mmap
import os
import subprocess
import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.generation import pages

FORKED = """
import mmap, os, sys
from array import array
from runner.generation import pages
SIZE, COUNT = mmap.PAGESIZE, 64
memory = mmap.mmap(-1, SIZE * COUNT, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for number in range(COUNT):
    memory[number * SIZE] = 1
import ctypes
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))

def ours(told):
    entries = array("Q")
    entries.frombytes(told)
    places = {entry - entry % SIZE + SIZE * more for entry in entries for more in range(entry % SIZE + 1)}
    return {(place - start) // SIZE for place in places if start <= place < start + SIZE * COUNT}

{most}
pid = os.fork()
if not pid:
    for number in (3, 4, 5, 9):
        memory[number * SIZE] = 2
    told = pages.written()
    some = pages.without(pages.written(), told)
    memory[10 * SIZE] = 1
    more = pages.without(pages.written(), told)
    other = os.fork()
    if not other:
        # All is shared again; what is copied now is what is the child's alone.
        before = ours(pages.written())
        pages.have_ready(told)
        after = ours(pages.written())
        print(sorted(before), sorted(after), [memory[number * SIZE] for number in (3, 9, 10)], flush=True)
        os._exit(0)
    os.waitpid(other, 0)
    print(sorted(ours(told)), sorted(ours(some)), sorted(ours(more)), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def forked(most: str = "") -> list[str]:
    """What the two processes say."""
    code = FORKED.replace("{most}", most)
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()


def test_what_was_written_is_told_and_copied() -> None:
    """Pages, and no others, and of them those that were not told before; nothing in them changes."""
    copied, told = forked()
    assert told == "[3, 4, 5, 9] [] [10]"
    assert copied == "[] [3, 4, 5, 9] [2, 2, 1]"


def test_no_more_is_copied_than_there_is_room_for() -> None:
    """The first ones."""
    copied, _ = forked("pages.MOST = 0")
    assert copied == "[] [] [2, 2, 1]"


@given(st.sets(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_those_that_are_not_among_others(some: set[int], others: set[int]) -> None:
    """However they are put together."""

    def told(numbers: set[int]) -> bytes:
        return array("Q", [number * mmap.PAGESIZE for number in numbers]).tobytes()

    runs = pages.without(told(some), b"")
    left = array("Q")
    left.frombytes(pages.without(runs, pages.without(told(others), b"")))
    found = {entry // mmap.PAGESIZE + more for entry in left for more in range(entry % mmap.PAGESIZE + 1)}
    assert found == some - others


NEW = """
import resource
from array import array
from runner.generation import pages
{most}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Nothing of a process lies there.
told = array("Q", [(1 << 46) + (at << 20) + 255 for at in range(4)]).tobytes()
pages.have_ready(told)
before = faults()
kept = [bytes(400) for _ in range(5000)]
print(faults() - before)
"""


@pytest.mark.parametrize(
    ("most", "fewest", "highest"),
    [("", 0, 100), ("pages.MOST = 0", 400, 2000), ("pages._POPULATE_WRITE = 999", 400, 2000)],
    ids=["room", "no room", "an old kernel"],
)
def test_where_pages_were_new_there_are_new_ones(most: str, fewest: int, highest: int) -> None:
    """Whoever makes objects then finds memory that is there; as much as there is room for. A system that cannot copy
    ahead does not tell which were new, either."""
    code = NEW.replace("{most}", most)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert fewest <= int(done.stdout) <= highest


@pytest.mark.parametrize("told", [b"", bytes(8), (2**63).to_bytes(8, sys.byteorder)])
def test_what_is_nowhere_is_passed_over(told: bytes) -> None:
    """Memory that was new there is not here."""
    pages.have_ready(told)


def test_where_nothing_is_told_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without a page map."""

    def refuse(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(os, "pread", refuse)
    assert pages.written() == b""
