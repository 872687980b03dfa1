"""Units whose blobs are in a bucket: workers open it by themselves, and are sent nothing secret."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, Worker

from drkit.registry import storage
from drkit.tools.s3.bucket import Access, Bucket
from testenv import dask_cluster, s3_server
from tests.buckets import Service

TOP = Path(__file__).parents[2]


@contextmanager
def recorded(scheduler: int) -> Iterator[tuple[int, bytearray]]:
    """A port that passes on what a client says to the scheduler, and what has been said."""
    said = bytearray()

    class Passing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            client: socket.socket = self.request
            with socket.create_connection(("127.0.0.1", scheduler)) as there:
                back = threading.Thread(target=pass_on, args=(there, client, bytearray()))
                back.start()
                pass_on(client, there, said)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Passing) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_address[1], said
        finally:
            server.shutdown()


def pass_on(source: socket.socket, target: socket.socket, said: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            said += data
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def stored(access: Access, count: int = 20) -> list[str]:
    """Put so many blobs, the last of which has other bytes than its name says."""
    digests = []
    with Bucket(access) as bucket:
        for number in range(count):
            data = b"blob %d " % number * 2000
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            digests.append(digest)
            bucket.put(str(storage.blob_name(digest)), data.swapcase() if number == count - 1 else data)
    return digests


def is_profiled(dask_worker: Worker) -> bool:
    """Whether a worker looks at the stacks of its threads; runs there."""
    return bool(dask_worker.periodic_callbacks["profile"].is_running())


def read(spec: dict[str, Any], scratch: Path) -> dict[str, Any]:
    path = scratch / "spec.json"
    path.write_text(json.dumps({**spec, "scratch": str(scratch)}))
    command = [sys.executable, "-m", "tests.dask_client", str(path)]
    done = subprocess.run(command, cwd=TOP, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_workers_open_a_bucket_by_their_own_files_and_nothing_secret_is_sent(
    s3: Service, tmp_path: Path
) -> None:
    access = s3.bucket()
    digests = stored(access)
    keys = s3_server.credentials_file(tmp_path / "own.keys")
    keys.write_text("".join(f"{name}={value}\n" for name, value in s3.credentials.items()))
    bucket = {"bucket": access.bucket, "endpoint": access.endpoint, "region": access.region}
    with dask_cluster.cluster(tmp_path / "dask") as cluster:
        cluster.worker("one")
        with recorded(cluster.port) as (port, said):
            spec = {
                "cluster": {"scheduler": f"tcp://127.0.0.1:{port}"},
                "bucket": {**bucket, "credentials_file": str(keys)},
            }
            found = read(spec, tmp_path)
        connect: Any = Client  # which is not annotated
        with connect(cluster.address, set_as_default=False) as client:
            # Python 3.11.2 stands still over it now and then.
            assert list(client.run(is_profiled).values()) == [False]
    assert found["read"] == sorted(digests)
    assert found["wrong"] == {digests[-1]: "bytes"}
    assert all(digest.encode() in said for digest in digests), "what is sent can be read"
    assert str(keys).encode() in said
    secrets = s3.credentials.values()
    assert [secret for secret in secrets if secret.encode() in said] == []
    assert b"drkit-test" not in bytes(said).replace(access.bucket.encode(), b"")


def test_a_worker_without_that_file_does_nothing_and_says_why(s3: Service, tmp_path: Path) -> None:
    access = s3.bucket()
    stored(access)
    keys = s3_server.credentials_file(tmp_path / "own.keys")
    keys.write_text("".join(f"{name}={value}\n" for name, value in s3.credentials.items()))
    bucket = {"bucket": access.bucket, "endpoint": access.endpoint, "region": access.region}
    hidden = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs none {tmp_path / "secret"} && exec "$0" "$@"',
    ]
    (tmp_path / "secret").mkdir()
    keys = keys.rename(tmp_path / "secret/own.keys")
    with dask_cluster.cluster(tmp_path / "dask") as cluster:
        cluster.worker("one", before=hidden)
        spec = {
            "cluster": {"scheduler": cluster.address},
            "bucket": {**bucket, "credentials_file": str(keys)},
        }
        found = read(spec, tmp_path)
    assert found["error"]["kind"] == "cluster_failed"
    assert f"this worker has no {keys}" in found["error"]["message"]
    assert found["read"] == []
