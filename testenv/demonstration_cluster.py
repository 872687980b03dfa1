"""What a cluster does, and what happens when parts of it die or lie. Behind testenv/cluster; as root."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testenv import (
    dask_certificates,
    dask_cluster,
    demonstration_copies,
    namespaces,
    plain_tree,
    telling,
)
from testenv.dask_certificates import Tls
from testenv.dask_cluster import Cluster, Process
from testenv.namespaces import Machine
from testenv.processes import ServerError

_IMAGES = 48
_LAYER = 32 << 20
# What a worker has read by then is more than its programs.
_SOME = 16 << 20
_DAMAGED = 5
_FAILED = 7


class DemonstrationError(RuntimeError):
    """Something was not as it should be."""


@dataclass
class Stage:
    """The machines, the cluster and the registry of the demonstration."""

    cluster: Cluster
    client: Machine
    workers: tuple[Machine, ...]
    config: Path
    registry: Path

    def begin(self) -> subprocess.Popen[bytes]:
        """Show the audit and begin it on the client's machine."""
        words = ("audit", "--read-data-subset", "100%", "--cluster", self.cluster.address)
        print(f"$ drkit {shlex.join(words)}", flush=True)
        return subprocess.Popen(self.client.command([telling.DRKIT, "--config", self.config, *words]))

    def audit(self, expected: int) -> None:
        """Show the audit and run it; it must end with that exit code."""
        must_end(self.begin(), expected)


def must_end(command: subprocess.Popen[bytes], expected: int) -> None:
    """Wait for a command; DemonstrationError where it ends with another exit code."""
    if (code := command.wait(timeout=600)) != expected:
        raise DemonstrationError(f"it ended with exit code {code}, and not {expected}")
    print(f"(exit code {code})", flush=True)


def main() -> int:
    """Run the demonstration; everything that it made is gone when it ends, however it ends."""
    if os.geteuid() != 0:
        print("error: network namespaces need root", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="drkit-cluster-", dir="/var/tmp") as name:
        top = Path(name)
        tls = dask_certificates.make(top / "tls")
        try:
            with (
                namespaces.network(6) as (scheduler, client, where, *workers),
                dask_cluster.cluster(top / "dask", tls, scheduler) as cluster,
            ):
                stage = _stage(top, tls, cluster, client, tuple(workers))
                _demonstrate(stage)
                with demonstration_copies.stage(top / "bucket", where, client, cluster, tls) as copies:
                    demonstration_copies.demonstrate(copies, stage.workers[0], must_end)
        except (DemonstrationError, ServerError, OSError, subprocess.SubprocessError) as error:
            print(f"\nThe demonstration ends here: {error}", file=sys.stderr)
            return 1
    print("\nEverything that this demonstration made has been removed.")
    return 0


def _stage(top: Path, tls: Tls, cluster: Cluster, client: Machine, workers: tuple[Machine, ...]) -> Stage:
    telling.heading(
        f"A registry of {_IMAGES} images, {_IMAGES * _LAYER >> 20} MiB; a scheduler at {cluster.address}"
    )
    registry = top / "registry"
    plain_tree.make(registry, _IMAGES, _LAYER)
    config = top / "drkit.toml"
    password = top / "restic.password"
    password.touch(mode=0o600)
    config.write_text(
        f'[site]\nname = "practice"\nstate = "{top}/state"\n'
        f'[blobs]\npath = "{registry}"\n'
        f'[cluster]\nca_file = "{tls.ca_file}"\ncert_file = "{tls.cert_file}"\nkey_file = "{tls.key_file}"\n'
        'worker_wait = "5s"\n'
        f'[[repository]]\nname = "none"\nurl = "{top}/none"\npassword_file = "{password}"\n'
    )
    return Stage(cluster, client, workers, config, registry)


def _demonstrate(stage: Stage) -> None:
    telling.heading("1. No worker is there: nothing is proved, and drkit says so")
    stage.audit(_FAILED)

    telling.heading("2. Three workers hash everything; the scheduler sees none of it")
    first, second, third = (
        stage.cluster.worker(f"worker-{number}", machine) for number, machine in enumerate(stage.workers)
    )
    machine = stage.cluster.machine
    assert machine is not None
    before = machine.received()
    stage.audit(0)
    print(f"the scheduler's network took in {(machine.received() - before) / 1024:,.0f} KiB")

    telling.heading("3. A worker is killed in the middle: its units are done by the others")
    running = stage.begin()
    _when_reading(first)
    first.kill()
    must_end(running, 0)

    telling.heading("4. A worker that sees another directory is found, and nothing that it did counts")
    empty = stage.config.with_name("empty")
    empty.mkdir()
    mount = f'mount --bind {shlex.quote(str(empty))} {shlex.quote(str(stage.registry))} && exec "$0" "$@"'
    astray = stage.cluster.worker(
        "astray", stage.workers[0], before=["unshare", "--mount", "sh", "-c", mount]
    )
    stage.audit(0)
    astray.kill()

    telling.heading("5. drkit is killed in the middle: the workers stop")
    running = stage.begin()
    _when_reading(second)
    running.kill()
    running.wait()
    _wait(lambda: _is_idle(second) and _is_idle(third), "the workers go on")
    print("both read nothing more")

    telling.heading("6. One byte of one layer is flipped: it is found, by name")
    layer = max(
        stage.registry.glob("docker/registry/v2/blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size
    )
    with layer.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))
    stage.audit(_DAMAGED)


def _read_by(worker: Process) -> int:
    """How many bytes a worker has read so far, from files and connections."""
    lines = Path(f"/proc/{worker.running.pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _when_reading(worker: Process) -> None:
    before = _read_by(worker)
    _wait(lambda: _read_by(worker) - before > _SOME, "a worker reads nothing")


def _is_idle(worker: Process) -> bool:
    before = _read_by(worker)
    time.sleep(0.5)
    return _read_by(worker) - before < 1 << 20


def _wait(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        if time.monotonic() > deadline:
            raise DemonstrationError(otherwise)
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
