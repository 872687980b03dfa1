"""Dask's scheduler and workers for tests, demonstration and benchmark: as many processes as are asked for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from testenv.dask_certificates import Tls
from testenv.namespaces import Machine
from testenv.processes import ServerError

PORT = 8786
_TOP = Path(__file__).resolve().parents[1]
_DASK = Path(sys.executable).with_name("dask")


@dataclass(frozen=True)
class Process:
    """A scheduler or a worker that runs; `log` is what it says."""

    running: subprocess.Popen[bytes]
    log: Path

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal; it gets no time to say goodbye."""
        self.running.send_signal(how)


@dataclass
class Cluster:
    """A scheduler; workers are started one by one. `machine` is where it runs, None: on 127.0.0.1."""

    directory: Path
    tls: Tls | None = None
    machine: Machine | None = None
    port: int = PORT
    processes: list[Process] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What clients and workers call the scheduler."""
        host = self.machine.address if self.machine else "127.0.0.1"
        return f"{'tls' if self.tls else 'tcp'}://{host}:{self.port}"

    def start(self) -> None:
        """Start the scheduler, and wait until it listens."""
        argv = [*_command("scheduler", self.tls), "--port", self.port, "--no-show"]
        scheduler = self._run("scheduler", argv, self.machine, {})
        _wait_for(scheduler, "Scheduler at:")

    def worker(
        self,
        name: str,
        machine: Machine | None = None,
        environment: Mapping[str, str] | None = None,
        threads: int = 1,
        before: Sequence[object] = (),
    ) -> Process:
        """Start a worker, by the command `before` it if there is one; wait until the scheduler knows it."""
        own = self.directory / name
        argv = [*before, *_command("worker", self.tls), self.address, "--no-nanny", "--nthreads", threads]
        argv += ["--name", name, "--local-directory", own, "--memory-limit", "0"]
        worker = self._run(name, argv, machine, environment or {})
        _wait_for(worker, "Registered to:")
        return worker

    def simulated(self, count: int) -> None:
        """Start so many workers of the benchmark in one process."""
        argv = [sys.executable, "-m", "testenv.benchmark.simulated", self.address, count]
        _wait_for(self._start("simulated", argv, None, {}), "Registered to:")

    def stop(self) -> None:
        """End every process, one that is stopped too."""
        for process in reversed(self.processes):
            process.running.kill()
        for process in self.processes:
            process.running.wait()
        self.processes.clear()

    def _run(
        self, name: str, argv: Sequence[object], machine: Machine | None, environment: Mapping[str, str]
    ) -> Process:
        host = machine.address if machine else "127.0.0.1"
        return self._start(name, [*argv, "--host", host, "--no-dashboard"], machine, environment)

    def _start(
        self, name: str, argv: Sequence[object], machine: Machine | None, environment: Mapping[str, str]
    ) -> Process:
        words = [str(word) for word in argv]
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            running = subprocess.Popen(
                machine.command(words) if machine else words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PYTHONPATH": str(_TOP), **environment},
            )
        process = Process(running, log)
        self.processes.append(process)
        return process


@contextmanager
def cluster(directory: Path, tls: Tls | None = None, machine: Machine | None = None) -> Iterator[Cluster]:
    """A scheduler and the workers that are started meanwhile, while this lasts; `directory` is new."""
    directory.mkdir(parents=True)
    made = Cluster(directory, tls, machine, PORT if machine else _free_port())
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _command(what: str, tls: Tls | None) -> list[object]:
    files: list[object] = []
    if tls:
        files = ["--tls-ca-file", tls.ca_file, "--tls-cert", tls.cert_file, "--tls-key", tls.key_file]
    return [_DASK, what, *files]


def _wait_for(process: Process, words: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while words not in (said := process.log.read_text(errors="replace")):
        if process.running.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"{process.log.stem} of a cluster does not start: {said[-2000:]}")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
