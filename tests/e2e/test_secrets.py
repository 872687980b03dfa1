"""No secret leaves its place for an argument, environment, log, report, temporary file or the repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testenv import Site
from tests.e2e import processes
from tests.e2e.commands import Drkit, Ended, finish

# Shorter ones would be found by chance.
_SHORTEST = 8
_LARGEST_FILE = 4 << 20
_WRAPPER = """\
#!/bin/sh
{ printf '%s\\0' "$@"; cat /proc/self/environ; } >>"$RECORD/restic.$$"
exec {restic} "$@"
"""


@dataclass
class Witness:
    """What could be seen of a run from outside, during it and afterwards: where -> the bytes seen there."""

    seen: dict[str, set[bytes]] = field(default_factory=dict)
    logins: list[tuple[int, int]] = field(default_factory=list)
    programs: set[str] = field(default_factory=set)

    def add(self, where: str, data: bytes) -> None:
        self.seen.setdefault(where, set()).add(data)


def needles(site: Site, drkit: Drkit) -> dict[str, bytes]:
    """Every secret that must not be seen, by name."""
    found = {name: value for name, value in site.planted.items() if len(value) >= _SHORTEST}
    found["restic password"] = drkit.restic_password.read_text().strip()
    found["age identity"] = drkit.identity.read_text().splitlines()[-1]
    return {name: value.encode() for name, value in found.items()}


def run_watched(drkit: Drkit, witness: Witness, words: Sequence[str]) -> Ended:
    """Run a command, looking at its processes and its files as often as possible."""
    process = drkit.start("--verbose", *words)
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for one in processes.family(process.pid):
                # The sandbox's PostgreSQL is given nothing of ours, but its arguments count all the same.
                witness.programs.add(one.program)
                witness.add(f"arguments of {one.program}", one.arguments)
                witness.add(f"environment of {one.program}", one.environment)
            look_at_files(drkit, witness)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return finish(process)
    finally:
        over.set()
        watcher.join()


def look_at_files(drkit: Drkit, witness: Witness) -> None:
    """Read what lies in the run's own directories at this moment."""
    for top in (drkit.state / "runs", drkit.home / "tmp"):
        for path in files_below(top):
            with contextlib.suppress(OSError):
                if path.name.startswith("pgpass"):
                    modes = (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
                    witness.logins.append(modes)
                elif path.stat().st_size < _LARGEST_FILE:
                    witness.add(f"file {path.relative_to(drkit.home)}", path.read_bytes())


def files_below(top: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(top):
        for name in names:
            yield Path(directory, name)


@pytest.fixture
def watched(fresh: Drkit) -> Drkit:
    """A drkit whose restic writes down what it is given, and whose temporary files lie apart."""
    programs, record, temporary = fresh.home / "bin", fresh.home / "record", fresh.home / "tmp"
    for directory in (programs, record, temporary):
        directory.mkdir()
    wrapper = programs / "restic"
    real = shutil.which("restic")
    assert real is not None
    wrapper.write_text(_WRAPPER.replace("{restic}", real))
    wrapper.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    # restic inherits only what drkit passes on, so the record's place stands in the script itself.
    wrapper.write_text(wrapper.read_text().replace("$RECORD", str(record)))
    return fresh.in_environment(PATH=path, TMPDIR=str(temporary))


def test_no_secret_is_seen_anywhere(site: Site, watched: Drkit) -> None:
    secrets, witness = needles(site, watched), Witness()
    target = watched.home / "root"
    report = watched.home / "report"
    restore = ("restore", "latest", "--yes", "--root", str(target))
    for words in (
        ("backup",),
        ("drill", "--report", str(report)),
        ("drill", "--json", "--level", "quick"),
        (*restore, "--only", "secrets"),
        (*restore, "--only", "blobs"),
        ("show", "latest"),
        ("status",),
        ("doctor",),
    ):
        ended = run_watched(watched, witness, words)
        assert ended.code == 0, ended.stderr
        witness.add(f"output of {words[0]}", (ended.stdout + ended.stderr).encode())
    for top in (watched.state, report, watched.home / "tmp", watched.home / "record", watched.repository):
        for path in files_below(top):
            witness.add(f"file {path.relative_to(watched.home)}", path.read_bytes())
    found = {
        f"{name} in {where}"
        for where, pieces in witness.seen.items()
        for piece in pieces
        for name, secret in secrets.items()
        if secret in piece
    }
    assert not found

    # The witness did look: it saw the tools, and the one file with the password, private while it was there.
    assert {"restic", "pg_dump", "postgres"} <= witness.programs
    assert list((watched.home / "record").iterdir())
    assert set(witness.logins) == {(0o600, 0o700)}
    assert not [path for path in files_below(watched.state) if path.name.startswith("pgpass")]
    assert list(files_below(watched.state / "runs")) == []


def test_the_witness_would_see_a_secret(watched: Drkit) -> None:
    """The search itself can fail: a password put where it must not be is found."""
    witness = Witness()
    secret = watched.restic_password.read_text().strip()
    process = watched.in_environment(LEAK=secret).start("points", "--config", secret)
    for one in processes.family(process.pid):
        witness.add("arguments", one.arguments)
    finish(process)
    assert any(secret.encode() in piece for piece in witness.seen["arguments"])
