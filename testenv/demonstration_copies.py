"""The demonstration's registry in a bucket: workers copy its blobs to the vault, and bring them back."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from testenv import namespaces, plain_tree, s3_server, telling
from testenv.processes import ServerError

if TYPE_CHECKING:
    from testenv.dask_certificates import Tls
    from testenv.dask_cluster import Cluster
    from testenv.namespaces import Machine

_IMAGES = 24
_LAYER = 8 << 20
_PORTS = {"images": 9000, "vault": 9001}


@dataclass(frozen=True)
class Copies:
    """The registry's bucket and the vault, and the drkit on the client's machine that knows both."""

    config: Path
    client: Machine
    cluster: Cluster

    def begin(self, *words: object) -> subprocess.Popen[bytes]:
        """Show a command of drkit's, over the cluster, and begin it on the client's machine."""
        every = [*map(str, words), "--cluster", self.cluster.address]
        print(f"$ drkit {shlex.join(every)}", flush=True)
        return subprocess.Popen(self.client.command([telling.DRKIT, "--config", self.config, *every]))


@contextmanager
def stage(top: Path, where: Machine, client: Machine, cluster: Cluster, tls: Tls) -> Iterator[Copies]:
    """A registry in a bucket, and an empty vault, both on the machine `where`; gone afterwards."""
    top.mkdir()
    server = s3_server.start(top / "s3")
    try:
        _fill(top, server.endpoint)
        netloc = urlsplit(server.endpoint)
        with ExitStack() as stack:
            for port in _PORTS.values():
                service = (netloc.hostname or "", netloc.port or 0)
                stack.enter_context(namespaces.serving(where, where.address, port, service))
            yield Copies(_configure(top, where, tls), client, cluster)
    finally:
        s3_server.stop(top / "s3")


def demonstrate(
    copies: Copies, machine: Machine, must_end: Callable[[subprocess.Popen[bytes], int], None]
) -> None:
    """Back up while the worker of that machine dies, drill, and restore."""
    telling.heading("7. A registry in a bucket is backed up; a worker is killed while it copies to the vault")
    third = copies.cluster.worker("worker-3", machine)
    before, running = machine.received(), copies.begin("backup")
    _wait_for(machine, before + _LAYER)
    third.kill()
    must_end(running, 0)

    telling.heading("8. A drill of it: workers bring the blobs to a directory that all of them see")
    must_end(copies.begin("drill"), 0)

    telling.heading("9. A restore into such a directory")
    root = copies.config.parent / "shared" / "back"
    must_end(copies.begin("restore", "latest", "--yes", "--root", root), 0)
    print(f"{sum(1 for _ in root.rglob('data'))} blobs are in {root}")


def _wait_for(machine: Machine, received: int) -> None:
    """Wait until so much has come to a machine."""
    deadline = time.monotonic() + 120
    while machine.received() < received:
        if time.monotonic() > deadline:
            raise ServerError("a worker copies nothing")
        time.sleep(0.05)


def _fill(top: Path, endpoint: str) -> None:
    tree = top / "tree"
    plain_tree.make(tree, _IMAGES, _LAYER)
    api = s3_server.client(endpoint)
    for bucket in _PORTS:
        api.create_bucket(Bucket=bucket)
    api.put_bucket_versioning(Bucket="vault", VersioningConfiguration={"Status": "Enabled"})
    for path in (path for path in tree.rglob("*") if path.is_file()):
        api.upload_file(str(path), "images", str(path.relative_to(tree)))


def _configure(top: Path, where: Machine, tls: Tls) -> Path:
    keys = s3_server.credentials_file(top / "s3.credentials")
    password = top / "restic.password"
    password.touch(mode=0o600)
    password.write_text("only for a demonstration\n")
    (top / "shared").mkdir()

    def bucket(name: str) -> str:
        endpoint = f"http://{where.address}:{_PORTS[name]}"
        return f'bucket = "{name}"\nendpoint = "{endpoint}"\ncredentials_file = "{keys}"\n'

    config = top / "drkit.toml"
    config.write_text(
        f'[site]\nname = "practice"\nstate = "{top}/state"\n'
        f'[blobs]\nkind = "s3"\n{bucket("images")}[vault]\n{bucket("vault")}'
        f'[cluster]\nca_file = "{tls.ca_file}"\ncert_file = "{tls.cert_file}"\nkey_file = "{tls.key_file}"\n'
        f'shared = ["{top}/shared"]\n[drill]\ndirectory = "{top}/shared/drills"\n'
        f'[[repository]]\nname = "primary"\nurl = "{top}/repository"\npassword_file = "{password}"\n'
    )
    environment = {"RESTIC_REPOSITORY": f"{top}/repository", "RESTIC_PASSWORD_FILE": str(password)}
    subprocess.run(["restic", "--quiet", "init"], env=os.environ | environment, check=True)
    return config
