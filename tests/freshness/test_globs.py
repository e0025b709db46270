"""What `--watch` names."""

from pathlib import Path

from runner.freshness.globs import Globs


def test_what_matches_by_its_path_alone() -> None:
    """Whether it is there or not; nothing else is, and without patterns nothing at all."""
    globs = Globs(lambda directory: None)
    assert not globs.match("/srv/t/a.html")
    globs.add("/srv/t/**/*.html")
    globs.add("/srv/settings.toml")
    assert globs.match("/srv/t/deep/a.html") and globs.match("/srv/settings.toml")
    assert not (globs.match("/srv/t/a.txt") or globs.match("/srv/t"))


def test_what_is_there_is_found(tmp_path: Path) -> None:
    """Of all patterns, and of one without wildcards its path, there or not."""
    (tmp_path / "t").mkdir()
    for name in ("a.html", "b.html", "c.txt"):
        (tmp_path / "t" / name).touch()
    globs = Globs(lambda directory: None)
    globs.add(f"{tmp_path}/t/*.html")
    globs.add(f"{tmp_path}/absent")
    assert sorted(globs.search()) == [f"{tmp_path}/absent", f"{tmp_path}/t/a.html", f"{tmp_path}/t/b.html"]


def test_a_directory_is_observed_before_anybody_looks_into_it(tmp_path: Path) -> None:
    """What comes to be there while it is observed is found."""
    (tmp_path / "t").mkdir()
    globs = Globs(lambda directory: (Path(directory) / "late.html").touch())
    globs.add(f"{tmp_path}/**/*.html")
    assert sorted(globs.search()) == [f"{tmp_path}/late.html", f"{tmp_path}/t/late.html"]


def test_the_trees_are_those_of_the_last_walk(tmp_path: Path) -> None:
    """A name in one of them says that there is something to search; another search, that there is not."""
    (tmp_path / "t").mkdir()
    globs = Globs(lambda directory: None)
    globs.add(f"{tmp_path}/**/*.html")
    assert globs.search() == [] and not globs.grown()
    assert globs.in_tree(f"{tmp_path}/t") and not globs.in_tree(f"{tmp_path}/t/new")
    (tmp_path / "t" / "new").mkdir()
    assert globs.grown()
    assert globs.search() == [] and not globs.grown()
    assert globs.in_tree(f"{tmp_path}/t/new")
