"""When the kernel's change queue cannot tell everything: nothing is missed, and what costs more is said once.

The kernel's refusals are made by a library that stands before it (tests/support/kernel.py): its limits are for the
whole machine, and nobody else's runner is to meet them.
"""

import mmap
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import BLIND, REQUEST, Mode, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, check_said_once, value
from tests.support.kernel import refusing
from tests.support.project import edit, replace
from tests.support.runner_process import Served
from tests.support.trouble import ready_pids, report

LATE = """
def main(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    start_response("200 OK", [])
    return [str(__import__(name).VALUE).encode() if name else b"fine"]
"""
QUEUE = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def three_saves(served: Served, path: Path, target: str = "/", place: Path | None = None) -> None:
    """Each of three saves is answered; *place* is the application's, if that is not the file's."""
    for number in (1, 2, 3):
        (edit if number % 2 else replace)(path, value(number))
        assert agree(served, place or path.parent, target).text == str(number)


# ---- limits -----------------------------------------------------------------------------------------------------


@in_turn()
def test_no_watch_is_left(project: Project, runner: Runner, mode: Mode) -> None:
    """ENOSPC for every watch: files are looked at; the remedy is named."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=refusing(watches=0))
    three_saves(served, place / "module.py")
    check_said_once(served, f"cannot watch {place} (No space left on device)")
    assert "max_user_watches" in served.output


@in_turn()
def test_the_watches_run_out(project: Project, runner: Runner, mode: Mode) -> None:
    """ENOSPC after a few: the directory that has none is looked at, the others are watched as ever."""
    place = project({**FILES, "app.py": "import deep.down\n" + FILES["app.py"], "deep/down.py": ""})
    served = runner(place, "app:main", *mode, env=refusing(watches=6))
    three_saves(served, place / "module.py")
    edit(place / "deep" / "down.py", "import module\nmodule.VALUE = 'deep'")
    assert agree(served, place).text == "deep"
    assert "max_user_watches" in "".join(report(served)["notes"])


@in_turn()
def test_no_instance_is_left(project: Project, runner: Runner, mode: Mode) -> None:
    """EMFILE for the instance: files are looked at."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=refusing(instances=0))
    three_saves(served, place / "module.py")
    check_said_once(served, "no inotify (Too many open files)")


@in_turn()
def test_a_limit_that_is_met_late(project: Project, runner: Runner, mode: Mode) -> None:
    """The watch that a request's import would need is refused: the worker's module is looked at all the same."""
    place = project({"app.py": LATE, "far/late.py": value(0)})
    app = "import sys\nsys.path.append(sys.path[0] + '/far')\n" + LATE
    edit(place / "app.py", app)
    served = runner(place, "app:main", *mode, env=refusing(watches=0))
    assert ask(served, "/late").text == "0"
    served.wait_for(re.escape(f"cannot watch {place}/far (No space left on device)"))
    edit(place / "far" / "late.py", value(1))
    assert agree(served, place, "/late").text == "1"
    check_said_once(served, f"cannot watch {place}/far (No space left on device)")


# ---- the queue overflows ----------------------------------------------------------------------------------------


def overflow(path: Path) -> None:
    """More events than the queue holds; equal ones that follow each other would be one."""
    other = path.with_name("other")
    other.touch()
    for number in range(QUEUE // 2 + 10):
        os.chmod(path, 0o600 + number % 2)
        os.chmod(other, 0o600 + number % 2)


@in_turn("change", ["edit", "shadow", "directory"], modes=REQUEST)
def test_the_queue_overflows(project: Project, runner: Runner, change: str, mode: Mode) -> None:
    """The event of the save itself is lost: an edited file, a new name, a replaced directory are found by looking."""
    place = project({**FILES, "app.py": FILES["app.py"].replace("module", "pack.module"), "pack/module.py": value(0),
                     "next/module.py": value(1), "noise": ""})  # fmt: skip
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "0"
    overflow(place / "noise")
    match change:
        case "edit":
            edit(place / "pack" / "module.py", value(1))
        case "shadow":
            code = "class module: VALUE = 1\nimport sys; sys.modules['pack.module'] = module"
            edit(place / "pack" / "__init__.py", code)
        case "directory":
            (place / "pack").rename(place / "old")
            (place / "next").rename(place / "pack")
    assert agree(served, place).text == "1"
    edit(place / "pack" / "module.py", value(2))
    assert change == "shadow" or agree(served, place).text == "2"


@in_turn(modes=REQUEST)
def test_an_overflow_without_a_change(project: Project, runner: Runner, mode: Mode) -> None:
    """Noise alone reloads nothing, and what is saved after it is seen."""
    place = project({**FILES, "noise": ""})
    served = runner(place, "app:main", *mode)
    overflow(place / "noise")
    assert ask(served)[1:] == ("0", 0)
    assert report(served)["generation"] == 1
    edit(place / "module.py", value(1))
    assert agree(served, place).text == "1"


# ---- watches that go --------------------------------------------------------------------------------------------


@in_turn(modes=REQUEST)
def test_the_watched_directory_goes_and_comes(project: Project, runner: Runner, mode: Mode) -> None:
    """A directory is removed and made again with equal content: no reload is owed, and the new one is watched."""
    place = project({**FILES, "app.py": FILES["app.py"].replace("module", "pack.module"), "pack/module.py": value(0)})
    served = runner(place, "app:main", *mode)
    assert ask(served).text == "0"
    for number in (0, 1):
        shutil.rmtree(place / "pack")
        (place / "pack").mkdir()
        edit(place / "pack" / "module.py", value(number))
        assert agree(served, place).text == str(number)
        edit(place / "pack" / "module.py", value(number + 5))
        assert agree(served, place).text == str(number + 5)


# ---- other ways to write ----------------------------------------------------------------------------------------


@in_turn()
def test_a_hard_link(project: Project, runner: Runner, tmp_path: Path, mode: Mode) -> None:
    """A module that has another name elsewhere is written through that name."""
    place = project(FILES)
    other = tmp_path / "elsewhere.py"
    os.link(place / "module.py", other)
    served = runner(place, "app:main", *mode)
    for number in (1, 2, 3):
        edit(other, value(number))
        assert agree(served, place).text == str(number)


@in_turn()
def test_a_hard_link_that_is_made_later(project: Project, runner: Runner, tmp_path: Path, mode: Mode) -> None:
    """The other name is made while the application runs: where files are looked at, writing through it is seen.

    The kernel tells of the new link to watches on the file itself only, and a watch for each file is too dear.
    """
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=BLIND)
    assert ask(served).text == "0"
    os.link(place / "module.py", tmp_path / "elsewhere.py")
    edit(tmp_path / "elsewhere.py", value(1))
    assert agree(served, place).text == "1"


@in_turn()
def test_a_memory_map(project: Project, runner: Runner, mode: Mode) -> None:
    """A store into a map has no event; the end of the map, after the descriptor was closed, is the end of the save."""
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    with (place / "module.py").open("r+b") as file:
        view = mmap.mmap(file.fileno(), 0)
    view[8:9] = b"5"
    view.close()
    assert agree(served, place).text == "5"


@in_turn()
def test_a_descriptor_that_stays_open(project: Project, runner: Runner, mode: Mode) -> None:
    """Somebody keeps the file open for writing for good, as a logger would: renaming over it is a save all the same."""
    place = project(FILES)
    served = runner(place, "app:main", *mode)
    with (place / "module.py").open("a") as file:
        replace(place / "module.py", value(1))
        assert agree(served, place).text == "1"
        file.write("VALUE = 'nobody reads this'")
        file.flush()
        assert agree(served, place).text == "1"


# ---- file systems -----------------------------------------------------------------------------------------------


@in_turn()
def test_a_file_system_in_memory(runner: Runner, mode: Mode) -> None:
    """tmpfs tells everything: nothing to note."""
    place = Path("/dev/shm") / f"runner-{os.getpid()}"
    place.mkdir()
    try:
        for name, text in FILES.items():
            edit(place / name, text)
        served = runner(place, "app:main", *mode)
        three_saves(served, place / "module.py")
        assert report(served)["notes"] == []
    finally:
        shutil.rmtree(place)


@in_turn()
def test_a_foreign_file_system(project: Project, runner: Runner, mode: Mode) -> None:
    """Where the mount table names what this kernel does not write alone, files are looked at, and that is said once."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=refusing(mounts={place: "nfs4"}))
    three_saves(served, place / "module.py")
    check_said_once(served, f"{place} is on nfs4")


LEFT = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n"


@in_turn("left", ["", LEFT])
def test_a_late_foreign_file_system(project: Project, runner: Runner, left: str, mode: Mode) -> None:
    """A request imports from such a directory, in a worker that was forked or that imported by itself: from then on it
    is looked at, and that is said, once, however many workers and generations find it out."""
    place = project({"app.py": left + LATE, "far/__init__.py": value(0)})
    served = runner(place, "app:main", *mode, env=refusing(mounts={place / "far": "nfs4"}))
    assert f"{place}/far is on nfs4" not in served.output
    assert ask(served, "/far").text == "0"
    served.wait_for(re.escape(f"{place}/far is on nfs4"))
    three_saves(served, place / "far" / "__init__.py", "/far", place)
    check_said_once(served, f"{place}/far is on nfs4")


def test_what_a_worker_meets_that_imports_by_itself(project: Project, runner: Runner) -> None:
    """One that comes later imports more than those before, and says what that entails."""
    more = "import os\nif os.path.exists('../more'): import far\n"
    place = project({"app.py": LEFT + more + LATE, "far/__init__.py": ""})
    served = runner(place, "app:main", env=refusing(mounts={place / "far": "nfs4"}))
    (place.parent / "more").touch()
    os.kill(min(ready_pids(served).values()), signal.SIGTERM)
    served.wait_for(re.escape(f"{place}/far is on nfs4"))
    check_said_once(served, f"{place}/far is on nfs4")


@in_turn()
def test_only_a_part_is_foreign(project: Project, runner: Runner, mode: Mode) -> None:
    """One directory of several is on such a file system: it alone is named, and everything is answered."""
    app = "import sys\nsys.path.append(sys.path[0] + '/share')\nimport other\n" + FILES["app.py"]
    app = app.replace("module.VALUE", "(module.VALUE, other.VALUE)")
    place = project({**FILES, "app.py": app, "share/other.py": value(0)})
    served = runner(place, "app:main", *mode, env=refusing(mounts={place / "share": "fuse.sshfs"}))
    edit(place / "share" / "other.py", value(1))
    assert agree(served, place).text == "(0, 1)"
    edit(place / "module.py", value(1))
    assert agree(served, place).text == "(1, 1)"
    check_said_once(served, "is on fuse.sshfs")
    assert f"{place} is on" not in served.output


SHARED = """
import subprocess, sys
subprocess.run(["mount", "--bind", sys.argv[1], sys.argv[2]], check=True)
open(sys.argv[2] + "/module.py", "w").write("VALUE = 1")
"""


@in_turn()
def test_a_bind_mount(project: Project, runner: Runner, tmp_path: Path, mode: Mode) -> None:
    """The code is written through another mount of the same directory, in a container as it were."""
    place = project(FILES)
    (tmp_path / "other").mkdir()
    served = runner(place, "app:main", *mode)
    subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", SHARED, place, tmp_path / "other"],
        check=True,
    )
    assert agree(served, place).text == "1"
