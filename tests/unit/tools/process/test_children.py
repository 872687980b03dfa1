"""How children end, with whoever started them or is interrupted; on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drkit.tools.process import execute
from tests.unit.tools.living import alive, sh, soon, succeeded


def test_a_caller_that_stops_early_kills_the_whole_group() -> None:
    script = "sleep 1000 & echo $!; echo $$; wait"
    lines = execute.lines(sh(script), ended=succeeded)
    grandchild, child = int(next(lines)), int(next(lines))
    assert alive(child)
    assert alive(grandchild)
    assert isinstance(lines, Generator)
    lines.close()
    assert soon(lambda: not alive(child) and not alive(grandchild))


@pytest.mark.parametrize("nothing_behind", [False, True])
def test_who_leaves_nothing_behind_is_killed_and_not_asked_to_end(
    tmp_path: Path, *, nothing_behind: bool
) -> None:
    asked = tmp_path / "asked"
    script = f"trap 'touch {asked}; exit' TERM; echo $$; sleep 1000 & wait"
    lines = execute.lines(replace(sh(script), nothing_behind=nothing_behind), ended=succeeded)
    child = int(next(lines))
    lines.close()
    assert soon(lambda: not alive(child))
    assert asked.exists() == (not nothing_behind)


@dataclass
class Follower:
    """An owner that does nothing but to hold a file."""

    descriptor: int

    def lives(self) -> None:
        pass

    def ended(self, code: int | None) -> None:
        os.close(self.descriptor)


def test_a_program_has_given_its_number_before_it_does_anything(tmp_path: Path) -> None:
    """Whoever waits for drkit to write it down may find that it was killed before."""
    file = tmp_path / "record"
    file.write_text("first\n")
    owner = Follower(os.open(file, os.O_RDWR))
    done = execute.run(replace(sh(f"cat {file}; echo $$"), owner=lambda: owner))
    first, noted, own = done.text.split()
    assert (first, noted) == ("first", own)


def test_what_a_child_leaves_behind_goes_with_it() -> None:
    done = execute.run(sh("sleep 1000 >/dev/null 2>&1 & echo $!"))
    assert soon(lambda: not alive(int(done.text)))


def test_who_has_gone_away_with_its_words_is_not_waited_for() -> None:
    """A helper in a session of its own may hold a child's standard error for ever: ssh's, for one."""
    command = sh("echo said >&2; setsid sleep 1000 </dev/null >/dev/null & echo $!")
    done = execute.run(replace(command, last_words=2.0))
    assert (done.code, done.stderr) == (0, "said")
    subprocess.run(["kill", done.text.strip()], check=True)


def python(script: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script)]


def test_stop_all_ends_everything_and_lets_nothing_start() -> None:
    """In a process of its own: it would end the servers of other tests."""
    script = """
        import threading
        from drkit.errors import Interrupted
        from drkit.tools.process import execute, stopping
        from drkit.tools.process.command import Command

        ended, started = [], threading.Event()

        def work():
            try:
                for line in execute.lines(
                    Command(("sh", "-c", "echo; exec sleep 1000")), ended=lambda done: None
                ):
                    started.set()
            except Interrupted as error:
                ended.append(error.message)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        stopping.stop_all()
        thread.join()
        assert ended == ["interrupted"], ended
        try:
            execute.run(Command(("true",)))
        except Interrupted:
            print("ok")
    """
    done = subprocess.run(python(script), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_stop_all_ends_each_by_the_signal_that_it_wants() -> None:
    """PostgreSQL waits for its sessions when it gets SIGTERM: it would have to be killed."""
    script = """
        import signal, threading
        from drkit.errors import Interrupted
        from drkit.tools.process import execute, stopping
        from drkit.tools.process.command import Command

        script = "trap '' TERM; trap 'echo QUIT; exit' QUIT; echo; while :; do sleep 0.05; done"
        said, started = [], threading.Event()

        def work():
            try:
                command = Command(("sh", "-c", script), end_signal=signal.SIGQUIT)
                for line in execute.lines(command, ended=lambda done: None):
                    said.append(line)
                    started.set()
            except Interrupted:
                pass

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        stopping.stop_all(60)
        thread.join()
        print(said)
    """
    done = subprocess.run(python(script), capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("[b'\\n', b'QUIT\\n']\n", "")


def test_a_child_dies_with_its_parent_even_by_sigkill() -> None:
    script = """
        from drkit.tools.process import execute
        from drkit.tools.process.command import Command

        command = Command(("sh", "-c", "echo $$; exec sleep 1000"))
        for line in execute.lines(command, ended=lambda done: None):
            print(line.decode(), flush=True, end="")
    """
    with subprocess.Popen(python(script), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    assert soon(lambda: not alive(child))


def test_who_does_not_listen_is_killed_when_the_grace_is_over_for_all() -> None:
    """One grace for all of them together, not one after the other."""
    script = """
        import threading, time
        from drkit.errors import Interrupted
        from drkit.tools.process import execute, stopping
        from drkit.tools.process.command import Command

        deaf = Command(("sh", "-c", "trap '' TERM; echo; while :; do sleep 1; done"))
        ready = threading.Semaphore(0)

        def work():
            try:
                for line in execute.lines(deaf, ended=lambda done: None):
                    ready.release()
            except Interrupted:
                pass

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for _ in threads:
            ready.acquire()
        stopping.stop_all(3.2)
        for thread in threads:
            thread.join()
        print("ok")
    """
    # Twenty graces are longer than this test may take.
    done = subprocess.run(python(script), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")
