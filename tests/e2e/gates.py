"""Gates on the way of a run: where drkit starts a certain program, the run says so, and waits to go on.

A moment that lasts a few milliseconds can be missed by whoever looks for it, and on a busy machine it is.
drkit starts every program through `setpriv`, and restic starts pg_dump through `env`: with another of that
name first on PATH a moment lasts as long as the test wants. Whoever waits at a gate ends with drkit.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.e2e.commands import Drkit, wait_for

_WRAPPER = """\
#!/bin/bash
# The one whose turn it is, and no other.
if [[ "$*" == {pattern} ]] && ! mkdir {gate}/passed 2>/dev/null && mkdir {gate}/taken 2>/dev/null; then
  exec {setpriv} --pdeathsig KILL -- bash -c {script} {program} {gate} {setpriv} "$@"
fi
exec {program} "$@"
"""
# It says so only after it is tied to drkit, and starts nothing to wait with: what is killed is gone at once.
# It opens the pipe, and looks then whether it is to wait: whoever opens the gate does it the other way round.
_COME = """
gate=$1 setpriv=$2
shift 2
come() {
  : >"$gate/reached"
  exec 9<>"$gate/pipe"
  [ -e "$gate/open" ] || read -r _ <&9
  exec 9>&-
}
"""
_BEFORE = 'come; exec "$0" "$@"'
# The program is drkit's own child, as ever: its lock bears the number that drkit knows. Its output ends late.
# Who waits here has lost his parent, so he looks himself whether drkit ($PPID) is there.
_AFTER = """
exec "$0" "$@" > >(
  cat
  : >"$gate/reached"
  exec 9<>"$gate/pipe"
  until [ -e "$gate/open" ] || [ ! -d "/proc/$PPID" ]; do read -r -t 0.05 _ <&9; done
)
"""
_HALF_WAY = """
export gate
export -f come
set -o pipefail
"$0" "$@" | "$setpriv" --pdeathsig KILL -- bash -c 'head -c {size}; come; exec cat'
"""
_SLOWLY = ': >"$gate/reached"; exec "$0" "$@" --limit-download 1 --limit-upload 1'


class Gate:
    """A gate that the next run of its drkit comes to."""

    def __init__(
        self, drkit: Drkit, program: str, pattern: str, script: str, *, second: bool = False
    ) -> None:
        """Before the first `program` whose words fit the pattern (of the shell's) the script runs instead.

        Or before the second.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="gate-", dir=drkit.home))
        # PostgreSQL's user comes here too.
        self._directory.chmod(0o1777)
        os.mkfifo(self._directory / "pipe")
        (self._directory / "pipe").chmod(0o666)
        if not second:
            (self._directory / "passed").mkdir()
        self._pattern = pattern
        path = drkit.surroundings["PATH"]
        wrapper = self._directory / "bin" / program
        wrapper.parent.mkdir()
        wrapper.write_text(
            _WRAPPER.format(
                pattern="*".join(map(shlex.quote, f"*{pattern}*".split("*"))),
                gate=self._directory,
                setpriv=_found("setpriv", os.environ["PATH"]),
                script=shlex.quote(_COME + script),
                program=_found(program, path),
            )
        )
        wrapper.chmod(0o755)
        # What is run by it comes to the gate.
        self.drkit = drkit.in_environment(PATH=f"{wrapper.parent}:{path}")

    def reached(self) -> bool:
        """The run is there, and goes no further."""
        return (self._directory / "reached").exists()

    def wait(self, process: subprocess.Popen[str]) -> None:
        """Wait until a run comes to the gate."""
        wait_for(lambda: self.reached() or process.poll() is not None, f"{self._pattern} is reached")
        if not self.reached():
            output, errors = process.communicate()
            raise AssertionError(f"it has ended without coming to {self._pattern}: {output}{errors}")

    def open(self) -> None:
        """Let the run through."""
        (self._directory / "open").touch()
        pipe = os.open(self._directory / "pipe", os.O_RDWR | os.O_NONBLOCK)
        os.write(pipe, b"\n")
        os.close(pipe)


def _found(program: str, path: str) -> str:
    found = shutil.which(program, path=path)
    assert found is not None, program
    return found


# A backup of the practice site comes to these one after the other.


def site_locked(drkit: Drkit) -> Gate:
    """The run holds the site, and has not looked at the repository yet."""
    # `restic snapshots`, or `restic list snapshots` where drkit knows some already.
    return before(drkit, " snapshots")


def databases_held(drkit: Drkit) -> Gate:
    """The databases are held still, the file to log in with is there, and pg_dump is about to start."""
    return before(drkit, "/pg_dump --format=custom")


def dump_runs(drkit: Drkit, size: int = 5) -> Gate:
    """pg_dump has said so many bytes, and not all yet: its dump is larger than what a pipe holds."""
    return half_way(drkit, "/pg_dump --format=custom", size)


def database_stored(drkit: Drkit) -> Gate:
    """The dump is in the repository."""
    return after(drkit, "--tag=drkit:part:database:")


def parts_stored(drkit: Drkit) -> Gate:
    """All that is not in the seal is in the repository, and the seal is not."""
    return before(drkit, "--tag=drkit:manifest")


def seal_stored(drkit: Drkit) -> Gate:
    """The seal is in the repository, and drkit does not know it yet."""
    return after(drkit, "--tag=drkit:manifest")


# A drill, likewise.


def sandbox_made(drkit: Drkit) -> Gate:
    """There is a sandbox, and no server in it."""
    return before(drkit, "/initdb --pgdata")


def server_ready(drkit: Drkit) -> Gate:
    """The sandbox's PostgreSQL has answered drkit, and holds its shared memory."""
    return before(drkit, "/pg_restore --exit-on-error")


def registry_serves(drkit: Drkit) -> Gate:
    """The sandbox's registry has answered drkit: the secrets are checked after the images."""
    return before(drkit, "/cosign verify-blob")


def dump_cut(drkit: Drkit) -> Gate:
    """The control that reads the first half of the dump is about to, while others are planted or are over."""
    return before(drkit, "/pg_restore --file=/dev/null")


# A restore, likewise, in two threads: the database, and the images.


def loading(drkit: Drkit) -> Gate:
    """The database is made beside its place, and is about to be filled."""
    return before(drkit, "/pg_restore --exit-on-error")


def blobs_restored(drkit: Drkit) -> Gate:
    """The images are all beside their place."""
    return after(drkit, " restore --json * --target *.drkit-restoring-")


# Any run.


def before(drkit: Drkit, pattern: str) -> Gate:
    """The program with such words is about to start."""
    return Gate(drkit, "setpriv", pattern, _BEFORE)


def before_the_second(drkit: Drkit, pattern: str) -> Gate:
    """The program with such words is about to start once more."""
    return Gate(drkit, "setpriv", pattern, _BEFORE, second=True)


def after(drkit: Drkit, pattern: str) -> Gate:
    """The program with such words has ended, which drkit does not know yet."""
    return Gate(drkit, "setpriv", pattern, _AFTER)


def half_way(drkit: Drkit, pattern: str, size: int) -> Gate:
    """The program below restic has said so many bytes, and cannot get rid of the next: restic gets none."""
    return Gate(drkit, "env", pattern, _HALF_WAY.replace("{size}", str(size)))


def slowly(drkit: Drkit, pattern: str) -> Gate:
    """restic with such words reads and writes a kilobyte a second, and so keeps its lock; nothing waits."""
    return Gate(drkit, "setpriv", pattern, _SLOWLY)
