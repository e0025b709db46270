"""Releases, renamed directories and restored files: what lies at a path is not what lay there.

The rule is always the same: a fresh interpreter started now would find what is there now.
"""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Project, Runner
from tests.end_to_end.cases.modes import Mode, each_eye, in_turn
from tests.end_to_end.reloading import FILES, agree, ask, save, value
from tests.support.project import edit

EPOCH = (10**9, 10**9)
RELEASES = {f"{release}/{name}": text for release in ("one", "two") for name, text in FILES.items()}


def swap(place: Path, link: str, target: str) -> None:
    """Have *link* lead to *target* in one step, as deployments do."""
    (place / "next").symlink_to(target)
    os.replace(place / "next", place / link)


# ---- deployments ------------------------------------------------------------------------------------------------


@in_turn(often=2)
def test_a_deployment(project: Project, runner: Runner, mode: Mode) -> None:
    """`current` is swapped to and fro between two releases that differ in one file: the one it leads to answers."""
    place = project({**RELEASES, "two/module.py": value(2)})
    (place / "current").symlink_to("one")
    served = runner(place, "app:main", "--chdir", "current", *mode)
    for release, text in (("two", "2"), ("one", "0"), ("two", "2")):
        swap(place, "current", release)
        assert agree(served, place / "current").text == text


@each_eye
@in_turn()
def test_a_link_in_the_middle_of_the_path(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """One entry of sys.path leads through a link; the release behind it changes, and later the file in it."""
    app = "import sys\nsys.path.insert(1, sys.path[0] + '/lib/current/python')\n" + FILES["app.py"]
    place = project({"app.py": app, "lib/one/python/module.py": value(1), "lib/two/python/module.py": value(2)})
    (place / "lib" / "current").symlink_to("one")
    served = runner(place, "app:main", *mode, env=env)
    assert ask(served).text == "1"
    swap(place / "lib", "current", "two")
    assert agree(served, place).text == "2"
    edit(place / "lib" / "two" / "python" / "module.py", value(3))
    assert agree(served, place).text == "3"


@each_eye
@in_turn()
def test_the_old_release_is_deleted(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """Everybody's working directory is inside the old release, which goes: the new one is entered, and watched."""
    place = project({**RELEASES, "two/module.py": value(2)})
    (place / "current").symlink_to("one")
    served = runner(place, "app:main", *mode, "--chdir", str(place / "current"), env=env)
    swap(place, "current", "two")
    shutil.rmtree(place / "one")
    assert agree(served, place / "current", saves=2).text == "2"
    edit(place / "two" / "module.py", value(3))
    assert agree(served, place / "current").text == "3"


@in_turn()
def test_a_release_that_is_made_anew_in_place(project: Project, runner: Runner, mode: Mode) -> None:
    """The directory it was started in is deleted and made again: the new one is served, and its edits."""
    place = project(RELEASES)
    served = runner(place / "one", "app:main", *mode)
    for number in (1, 2):
        shutil.rmtree(place / "one")
        save(place / "one", {**FILES, "module.py": value(number)})
        assert agree(served, place / "one", saves=3).text == str(number)
        edit(place / "one" / "module.py", value(number * 10))
        assert agree(served, place / "one").text == str(number * 10)


@in_turn()
def test_started_inside_the_link(project: Project, runner: Runner, mode: Mode) -> None:
    """Who was started in `current`, as a shell enters it, follows it after the swap without being told by --chdir."""
    place = project({**RELEASES, "two/module.py": value(2)})
    (place / "current").symlink_to("one")
    served = runner(place / "current", "app:main", *mode, env={"PWD": str(place / "current")})
    swap(place, "current", "two")
    assert agree(served, place / "current").text == "2"


@each_eye
@in_turn()
def test_a_linked_file(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A module that is a link to a file elsewhere: an edit there counts."""
    place = project({"code/app.py": FILES["app.py"], "elsewhere/real.py": value(1)})
    (place / "code" / "module.py").symlink_to("../elsewhere/real.py")
    served = runner(place, "app:main", *mode, "--chdir", "code", env=env)
    edit(place / "elsewhere" / "real.py", value(2))
    assert agree(served, place / "code").text == "2"


# ---- files ------------------------------------------------------------------------------------------------------


def rename_over(place: Path) -> None:
    """mv new.py module.py; the new one has the old one's size and times."""
    shutil.copystat(place / "module.py", place / "new.py")
    os.replace(place / "new.py", place / "module.py")


def copy_with_times(place: Path) -> None:
    """cp -p."""
    os.utime(place / "new.py", EPOCH)
    subprocess.run(["cp", "-p", "new.py", "module.py"], cwd=place, check=True)


def extract(place: Path) -> None:
    """tar x: removed first, made again, with the times of the archive."""
    os.utime(place / "new.py", EPOCH)
    with tarfile.open(place / "archive.tar", "w") as archive:
        archive.add(place / "new.py", "module.py")
    subprocess.run(["tar", "xf", "archive.tar"], cwd=place, check=True)


def synchronise(place: Path) -> None:
    """rsync -a: a hidden file beside, its times set, renamed over."""
    hidden = place / ".module.py.Xy12Z3"
    shutil.copy(place / "new.py", hidden)
    os.utime(hidden, EPOCH)
    os.replace(hidden, place / "module.py")


def back_to_the_backup(place: Path) -> None:
    """mv module.py.bak module.py, the backup older than what it replaces."""
    (place / "new.py").rename(place / "module.py.bak")
    os.utime(place / "module.py.bak", EPOCH)
    os.replace(place / "module.py.bak", place / "module.py")


def delete_and_create(place: Path) -> None:
    """rm, then a new file of the same size and times."""
    seen = (place / "module.py").stat()
    (place / "module.py").unlink()
    (place / "new.py").rename(place / "module.py")
    os.utime(place / "module.py", ns=(seen.st_atime_ns, seen.st_mtime_ns))


def exchange(place: Path) -> None:
    """renameat2 with RENAME_EXCHANGE: both names lead elsewhere in one step."""
    subprocess.run(["mv", "--exchange", "new.py", "module.py"], cwd=place, check=False, stderr=subprocess.DEVNULL)
    if "1" not in (place / "module.py").read_text():  # an mv without it
        (place / "module.py").rename(place / "third")
        (place / "new.py").rename(place / "module.py")


RESTORED: list[Callable[[Path], None]] = [
    rename_over, copy_with_times, extract, synchronise, back_to_the_backup, delete_and_create, exchange,
]  # fmt: skip


@in_turn("change", RESTORED)
@each_eye
def test_a_file_is_replaced(
    project: Project, runner: Runner, change: Callable[[Path], None], env: dict[str, str], mode: Mode
) -> None:
    """Whatever its times and size say, the file that is there now answers."""
    place = project({**FILES, "new.py": value(1)})
    served = runner(place, "app:main", *mode, env=env)
    change(place)
    assert agree(served, place, saves=3).text == "1"


# ---- directories ------------------------------------------------------------------------------------------------

PACKAGE = {"app.py": FILES["app.py"].replace("module", "pack.deep.module")}


def versions(*above: str) -> dict[str, str]:
    """The package in several places, its value the number of the place."""
    return {
        f"{place}/{name}": text
        for number, place in enumerate(above)
        for name, text in {"__init__.py": "", "deep/__init__.py": "", "deep/module.py": value(number)}.items()
    }


@each_eye
@in_turn()
def test_a_renamed_package(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A package is renamed away and another into its place, twice; then a file in the present one is edited."""
    place = project({**PACKAGE, **versions("pack", "next", "last")})
    served = runner(place, "app:main", *mode, env=env)
    for number, name in ((1, "next"), (2, "last")):
        (place / "pack").rename(place / f"old{number}")
        (place / name).rename(place / "pack")
        assert agree(served, place, saves=2).text == str(number)
    edit(place / "pack" / "deep" / "module.py", value(7))
    assert agree(served, place).text == "7"


@in_turn()
def test_a_removed_package_comes_back(project: Project, runner: Runner, mode: Mode) -> None:
    """The watch goes with the directory; what is made anew under its name is noticed, and watched again."""
    place = project({**PACKAGE, **versions("pack")})
    served = runner(place, "app:main", *mode)
    shutil.rmtree(place / "pack")
    assert ask(served).status == 500
    for number in (1, 2):
        save(place, {**versions("pack"), "pack/deep/module.py": value(number)})
        assert agree(served, place, saves=3).text == str(number)


@each_eye
@in_turn()
def test_a_directory_above_data(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A file read at import lies three levels down; a directory in the middle is replaced."""
    module = "VALUE = open('conf/site/live/value').read()"
    place = project({**FILES, "module.py": module, "conf/site/live/value": "1", "next/site/live/value": "2"})
    served = runner(place, "app:main", *mode, env=env)
    (place / "conf").rename(place / "old")
    (place / "next").rename(place / "conf")
    assert agree(served, place, saves=2).text == "2"


@in_turn()
def test_the_application_s_directory_is_replaced(project: Project, runner: Runner, mode: Mode) -> None:
    """A directory above the application is renamed away and another one into its place."""
    place = project({f"{above}/srv/app/{name}": text for above in ("now", "next") for name, text in FILES.items()})
    edit(place / "next" / "srv" / "app" / "module.py", value(1))
    served = runner(place, "app:main", *mode, "--chdir", "now/srv/app")
    (place / "now").rename(place / "old")
    (place / "next").rename(place / "now")
    assert agree(served, place / "now/srv/app", saves=2).text == "1"


@each_eye
@in_turn()
def test_a_module_becomes_a_package_and_back(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """module.py, then module/__init__.py, then both (the package wins), then module.py again."""
    place = project(FILES)
    served = runner(place, "app:main", *mode, env=env)
    save(place, {"beside/__init__.py": value(1)})
    (place / "module.py").unlink()
    (place / "beside").rename(place / "module")
    assert agree(served, place, saves=3).text == "1"
    edit(place / "module.py", value(2))
    assert agree(served, place).text == "1"
    shutil.rmtree(place / "module")
    assert agree(served, place).text == "2"


@each_eye
@in_turn()
def test_a_link_that_leads_nowhere_yet(project: Project, runner: Runner, env: dict[str, str], mode: Mode) -> None:
    """A module that is a link, whose target comes, in a directory that holds nothing else of the application."""
    place = project({"app.py": FILES["app.py"], "store/other.txt": ""})
    (place / "module.py").symlink_to("store/module.py")
    served = runner(place, "app:main", *mode, env=env, ready=False)
    served.wait_for("failed")
    assert ask(served).status == 500
    edit(place / "store" / "module.py", value(1))
    assert agree(served, place).text == "1"
