"""What stands in the state directory, whoever is first and whatever a power cut has left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drkit.state.directory import State, remove_tree


def test_a_machine_has_one_name(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        names = set(pool.map(lambda _: State(tmp_path).machine, range(64)))
    assert len(names) == 1
    assert all(len(name) == 16 for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["machine"]


def test_a_name_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    """Without a name it would be that of every other machine without one."""
    (tmp_path / "machine").touch()
    name = State(tmp_path).machine
    assert len(name) == 16
    assert State(tmp_path).machine == name


def test_two_runs_may_remove_the_same_leftovers(tmp_path: Path) -> None:
    for number in range(20):
        left = tmp_path / f"run-{number}"
        for name in map(str, range(200)):
            (left / name).mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _, path=left: remove_tree(path), range(2)))
        assert not left.exists()
