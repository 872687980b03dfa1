"""What stands in the state directory, whoever is first and whatever a power cut has left."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
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


def test_a_site_is_held_however_its_state_directory_is_called(tmp_path: Path) -> None:
    """By another process, through a link, or by a path with detours: it is one lock."""
    state = State(tmp_path / "state")
    state.prepare()
    (tmp_path / "link").symlink_to(state.root)
    program = (
        "import sys; from pathlib import Path; from datetime import timedelta\n"
        "from drkit.state.directory import State\n"
        "with State(Path(sys.argv[1])).site_lock('backup', timedelta()): print('held')"
    )

    def hold(name: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", program, str(name)]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    names = [tmp_path / "link", tmp_path / "state" / ".." / "state", tmp_path / "state"]
    with state.site_lock("expire", timedelta()):
        assert state.busy
        for name in names:
            done = hold(name)
            assert (done.returncode, done.stdout) == (1, "")
            assert f"another drkit works on this site: `drkit expire`, process {os.getpid()}" in done.stderr
    assert hold(names[0]).stdout == "held\n"


def test_two_runs_may_remove_the_same_leftovers(tmp_path: Path) -> None:
    for number in range(20):
        left = tmp_path / f"run-{number}"
        for name in map(str, range(200)):
            (left / name).mkdir(parents=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _, path=left: remove_tree(path), range(2)))
        assert not left.exists()
