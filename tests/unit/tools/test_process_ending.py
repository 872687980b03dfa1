"""How children and servers end, with whoever started them; on real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from drkit.tools import process
from drkit.tools.process import Command, Completed, Server


def sh(script: str, **options: str) -> Command:
    return Command(("sh", "-c", script), options)


def succeeded(done: Completed) -> None:
    assert done.code == 0, done.stderr


def alive(pid: int) -> bool:
    """Whether it runs; one that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def soon(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_caller_that_stops_early_kills_the_whole_group() -> None:
    script = "sleep 1000 & echo $!; echo $$; wait"
    lines = process.lines(sh(script), ended=succeeded)
    grandchild, child = int(next(lines)), int(next(lines))
    assert alive(child)
    assert alive(grandchild)
    assert isinstance(lines, Generator)
    lines.close()
    assert soon(lambda: not alive(child) and not alive(grandchild))


def test_what_a_child_leaves_behind_goes_with_it() -> None:
    done = process.run(sh("sleep 1000 >/dev/null 2>&1 & echo $!"))
    assert soon(lambda: not alive(int(done.text)))


def test_a_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "echo one; echo two >&2; echo three; echo four; while :; do sleep 0.05; done"
    server = Server(sh(script), log)
    assert soon(lambda: "four" in log.read_text())
    assert server.running
    assert server.program == "sh"
    assert server.last_words() == "two / three / four"
    server.stop()
    assert not server.running
    assert not alive(server.pid)
    server.stop()


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The kernel ties a child to a thread; a drill starts its servers from threads that end."""
    servers: list[Server] = []

    def start() -> None:
        servers.append(Server(sh("echo ready; exec sleep 1000"), tmp_path / "log"))
        assert soon(lambda: "ready" in (tmp_path / "log").read_text())

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert servers[0].running
    servers[0].stop()


def test_a_server_that_does_not_want_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.2)
    server = Server(sh("trap '' TERM; echo ready; while :; do sleep 0.05; done"), tmp_path / "log")
    assert soon(lambda: "ready" in (tmp_path / "log").read_text())
    server.stop()
    assert not alive(server.pid)
    assert "sh did not end within 0 seconds: killed" in caplog.messages


def test_a_server_stops_by_the_signal_that_it_is_given(tmp_path: Path) -> None:
    server = Server(sh("trap 'echo got INT; exit' INT; echo ready; sleep 1000 & wait"), tmp_path / "log")
    assert soon(lambda: "ready" in (tmp_path / "log").read_text())
    server.stop(signal.SIGINT)
    assert server.last_words() == "ready / got INT"


def python(script: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script)]


def test_stop_all_ends_everything_and_lets_nothing_start() -> None:
    """In a process of its own: it would end the servers of other tests."""
    script = """
        import threading
        from drkit.errors import Interrupted
        from drkit.tools import process

        ended, started = [], threading.Event()

        def work():
            try:
                for line in process.lines(
                    process.Command(("sh", "-c", "echo; exec sleep 1000")), ended=lambda done: None
                ):
                    started.set()
            except Interrupted as error:
                ended.append(error.message)

        thread = threading.Thread(target=work)
        thread.start()
        started.wait()
        process.stop_all()
        thread.join()
        assert ended == ["interrupted"], ended
        try:
            process.run(process.Command(("true",)))
        except Interrupted:
            process._stopping.clear()
            assert process.run(process.Command(("true",))).code == 0
            print("ok")
    """
    done = subprocess.run(python(script), capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_a_child_dies_with_its_parent_even_by_sigkill() -> None:
    script = """
        from drkit.tools import process

        command = process.Command(("sh", "-c", "echo $$; exec sleep 1000"))
        for line in process.lines(command, ended=lambda done: None):
            print(line.decode(), flush=True, end="")
    """
    with subprocess.Popen(python(script), stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    assert soon(lambda: not alive(child))
