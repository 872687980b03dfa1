"""One command, run to its end: how long it took, and how much memory it and its children had at most."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_INTERVAL_SECONDS = 0.05
_GRACE_SECONDS = 60


class CommandFailedError(RuntimeError):
    """A command of the benchmark failed: what it measured would mean nothing."""


@dataclass(frozen=True)
class Measured:
    """Wall-clock seconds, seconds of the processor for the command and what it started (a server that runs
    already is not in them), and in bytes the peak of the command's own process and of the largest restic."""

    seconds: float
    processor: float
    own_peak: int
    restic_peak: int
    output: str


def measure(command: Sequence[str | Path], log: Path) -> Measured:
    """Run it with nothing else of ours going on; raises CommandFailedError with the end of what it said."""
    os.sync()
    used = _processor()
    with log.open("wb") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
        peaks = _Peaks(process.pid)
        try:
            output = process.communicate()[0].decode()
        except BaseException:
            _stop(process)
            raise
        finally:
            peaks.stop()
        seconds = time.perf_counter() - began
    if process.returncode != 0:
        words = (output + log.read_text(errors="replace")).strip().splitlines()[-15:]
        what = " ".join(map(str, command))
        raise CommandFailedError("\n".join([f"`{what}` failed ({process.returncode}):", *words]))
    return Measured(seconds, _processor() - used, peaks.own, peaks.restic, output)


def settle(*needed: Path) -> None:
    """Let whoever comes next pay for nothing that was done before; files below `needed` are in memory then.

    ext4 gives out no inode that was freed a short while ago, and looks at each of those anew for every file
    that is made (recently_deleted in fs/ext4/ialloc.c): after 20,000 files were removed, as many new ones
    take twice the time. What is in memory no more is taken for long gone; only root can see to that.
    """
    for _ in range(2):
        os.sync()
    with contextlib.suppress(PermissionError):
        Path("/proc/sys/vm/drop_caches").write_text("3\n")
    for directory in needed:
        for path in directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                # A server that runs may remove what it has there.
                with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                    while file.read(1 << 20):
                        pass


def _processor() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let the command and its children tidy up, within reason."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE_SECONDS)
            return


class _Peaks:
    """Looks at a process and its descendants now and then. The kernel keeps each one's peak (VmHWM), so that
    only what is allocated in the last instant before the end is missed."""

    def __init__(self, pid: int) -> None:
        self.own = 0
        self.restic = 0
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look_on(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            self.own = max(self.own, _peak(self._pid)[1])
            for pid in _descendants(self._pid):
                name, peak = _peak(pid)
                if name == "restic":
                    self.restic = max(self.restic, peak)


def _peak(pid: int) -> tuple[str, int]:
    """The process's name and the most memory that it ever had, in bytes; zeros where it has gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return "", 0
    status = dict(line.split(":", 1) for line in lines if ":" in line)
    return status["Name"].strip(), int(status.get("VmHWM", "0 kB").split()[0]) * 1024


def _descendants(pid: int) -> Iterator[int]:
    for task in _entries(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def _entries(directory: str) -> list[Path]:
    try:
        return list(Path(directory).iterdir())
    except OSError:
        return []
