"""SIGTERM, SIGINT, SIGHUP and SIGQUIT: one sentence, exit code 130, and everything is tidied up at once."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import Connection

from testenv import Site
from tests.e2e import accounts, gates, moments, processes
from tests.e2e.commands import Drkit, Ended, assert_error, finish, wait_for
from tests.e2e.gates import Gate
from tests.e2e.moments import Moment
from tests.e2e.repositories import locks
from tests.e2e.test_killed import segments


def interrupt_at(gate: Gate, sign: signal.Signals, *words: str) -> Ended:
    """Start a command, and send a signal to it alone where it comes to the gate."""
    process = gate.drkit.start(*words)
    try:
        gate.wait(process)
        process.send_signal(sign)
    finally:
        ended = finish(process)
    return ended


def interrupt_when(drkit: Drkit, moment: Moment, what: str, sign: signal.Signals, *words: str) -> Ended:
    """Start a command, and send a signal to it alone at that moment, which lasts."""
    process = drkit.start(*words)
    try:
        wait_for(lambda: moment() or process.poll() is not None, what)
        process.send_signal(sign)
    finally:
        ended = finish(process)
    return ended


def assert_tidy(drkit: Drkit, server: Connection) -> None:
    """At once, and not only after the next run."""
    assert processes.survivors(drkit.home) == []
    assert list((drkit.state / "runs").iterdir()) == []
    assert not drkit.sandboxes.exists() or list(drkit.sandboxes.iterdir()) == []
    assert not (drkit.state / "locks/site.json").exists()
    if locks(drkit):
        # restic itself may be caught while it makes its lock, before it knows of it; the next run removes it.
        drkit.ask("verify")
    assert locks(drkit) == []
    wait_for(lambda: accounts.sessions(server) == 0, "the server has noticed")


_BACKUP: dict[str, tuple[signal.Signals, Callable[[Drkit], Gate]]] = {
    "site locked": (signal.SIGTERM, gates.site_locked),
    "databases held": (signal.SIGINT, gates.databases_held),
    "pg_dump runs": (signal.SIGTERM, gates.dump_runs),
    "first part stored": (signal.SIGHUP, gates.database_stored),
    "second part stored": (signal.SIGQUIT, gates.parts_stored),
}


@pytest.mark.parametrize("moment", _BACKUP)
def test_backup(copy: Drkit, server: Connection, moment: str) -> None:
    sign, gate = _BACKUP[moment]
    as_json = moment == "first part stored"
    words = ("backup", *(["--json"] if as_json else []))
    before = copy.sealed()
    ended = interrupt_at(gate(copy), sign, *words)
    assert_tidy(copy, server)
    assert_interrupted(ended, as_json=as_json)
    assert copy.sealed() == before


def assert_interrupted(ended: Ended, *, as_json: bool) -> None:
    """Exit code and words of an interruption."""
    assert ended.code == 130, ended
    if as_json:
        assert_error(ended, "interrupted", "interrupted", "")
    else:
        assert (ended.stdout, ended.said) == ("", ["error: interrupted"])


_DRILL: dict[str, tuple[signal.Signals, Callable[[Drkit], Gate]]] = {
    "sandbox made": (signal.SIGINT, gates.sandbox_made),
    "PostgreSQL ready": (signal.SIGTERM, gates.server_ready),
    "registry serves": (signal.SIGTERM, gates.registry_serves),
    "dump cut": (signal.SIGINT, gates.dump_cut),
}


@pytest.mark.parametrize("moment", _DRILL)
def test_drill(copy: Drkit, server: Connection, moment: str) -> None:
    sign, gate_at = _DRILL[moment]
    gate = gate_at(copy)
    process = gate.drkit.start("drill")
    try:
        gate.wait(process)
        memory = segments(copy)
        process.send_signal(sign)
    finally:
        ended = finish(process)
    assert_tidy(copy, server)
    assert_interrupted(ended, as_json=False)
    assert bool(memory) is (moment != "sandbox made")
    assert not memory & processes.shared_memory(), "no shared memory is left behind"
    (point,) = copy.points()
    assert point["last_drill"]["outcome"] == "passed", "the drill before; an interrupted one is no drill"


def test_drill_at_any_moment(copy: Drkit, server: Connection) -> None:
    """Also while it tears down, or tells what came of it; and an impatient second signal changes nothing."""
    for delay in (0.8, 1.3, 1.9):
        process = copy.start("drill")
        wait_for(lambda: processes.catches(process.pid, signal.SIGTERM), "drkit listens to signals")  # noqa: B023
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.send_signal(signal.SIGINT)
        time.sleep(0.03)
        process.send_signal(signal.SIGTERM)
        assert_over_or_interrupted(finish(process))
        assert_tidy(copy, server)


def test_drill_while_it_tears_down(copy: Drkit, server: Connection) -> None:
    """What is removed by half would be left behind."""
    process = copy.start("drill")
    serves = moments.in_sandbox(copy, "registry.sock")
    wait_for(lambda: serves() or process.poll() is not None, "the sandbox's registry is there")
    wait_for(lambda: not serves() or process.poll() is not None, "it is gone again")
    process.send_signal(signal.SIGTERM)
    assert_over_or_interrupted(finish(process))
    assert_tidy(copy, server)


def test_drill_while_its_report_is_stored(copy: Drkit, server: Connection) -> None:
    """It has come to its verdict, which is kept and shown; who interrupts it is told so all the same."""
    ended = interrupt_at(gates.before(copy, "--tag=drkit:drill:"), signal.SIGTERM, "drill")
    assert_tidy(copy, server)
    assert (ended.code, ended.said) == (130, ["error: interrupted"])
    assert re.search(r"drill \S+ of point \S+ \(full\): passed", ended.stdout)
    (known,) = copy.ask("drills")["drills"]
    result = copy.ask("drill", "--level", "quick")
    assert any(problem.startswith("stored the report of drill") for problem in result["problems"])
    assert [drill["id"] for drill in copy.ask("drills")["drills"]][::2] == [result["id"], known["id"]]


def assert_over_or_interrupted(ended: Ended) -> None:
    """It may be over, and interrupted while it says so or others are told."""
    assert ended.code in (0, 130), ended
    assert ended.said == (["error: interrupted"] if ended.code else [])
    assert ended.code or "passed" in ended.stdout


@pytest.mark.parametrize("moment", ["database half restored", "blobs half restored"])
def test_restore(
    copy: Drkit, site: Site, server: Connection, name: str, new_home: Callable[[], Path], moment: str
) -> None:
    root = new_home()
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = ["restore", "latest", "--yes", "--root", str(root), "--database-dsn", where]
    when = {
        "database half restored": lambda: accounts.exists(server, f"{name}_drkit_restoring"),
        "blobs half restored": lambda: moments.found(root, "**/.drkit-restoring-*/*"),
    }
    half = moment == "database half restored"
    held = gates.loading(copy) if half else gates.blobs_restored(copy)
    ended = interrupt_when(held.drkit, when[moment], moment, signal.SIGTERM, *words)
    assert_tidy(copy, server)
    assert_interrupted(ended, as_json=False)
    assert not accounts.exists(server, f"{name}_drkit_restoring")
    assert copy.run(*words, "--replace", "--json").code == 0


def test_metrics_of_an_interrupted_backup_forget_nothing(copy: Drkit) -> None:
    """An alarm for a registry without any backup, because somebody pressed Ctrl-C, would be a false one."""
    file = copy.home / "drkit.prom"
    copy.change(lambda document: document.update(metrics={"textfile": str(file)}))
    ended = interrupt_at(gates.databases_held(copy), signal.SIGTERM, "backup")
    assert ended.code == 130
    if file.exists():
        lines = file.read_text().splitlines()
        assert 'drkit_sealed_points{site="registry.example.test"} 1.0' in lines
    findings = copy.run("status", "--json").envelope["result"]["findings"]
    # Where the signal came late, a part is stored already, which is told and is not red.
    (found,) = [each for each in findings if each["red"]]
    assert found["kind"] == "last_run"
    assert re.fullmatch("the last backup .* was interrupted", found["message"]), "which is not: failed"


def test_interrupted_while_it_waits_for_the_site(copy: Drkit, server: Connection) -> None:
    gate = gates.site_locked(copy)
    first = gate.drkit.start("backup")
    try:
        gate.wait(first)
        second = copy.start("expire")
        wait_for(lambda: processes.catches(second.pid, signal.SIGTERM), "Python has started")
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(1.5)
        second.send_signal(signal.SIGTERM)
        assert_interrupted(finish(second), as_json=False)
    finally:
        gate.open()
        assert finish(first).code == 0
    assert_tidy(copy, server)
