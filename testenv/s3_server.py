"""An S3 service on 127.0.0.1 for tests, demonstration and benchmark: moto's server, in a process of its own.

It keeps objects in memory and temporary files below its directory; it knows no users, so any credentials do.
"""

from __future__ import annotations

import logging
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from testenv import processes

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "drkit-test-key", "AWS_SECRET_ACCESS_KEY": "drkit-test-secret-key"}
REGION = "us-east-1"
_TOP = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Server:
    """A running service: its address, and the directory that it stands in."""

    endpoint: str
    root: Path


def start(root: Path) -> Server:
    """Start a service in this directory, and wait until it answers."""
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    for port in processes.free_ports():
        log = root / "s3.log"
        pid = processes.spawn(
            [sys.executable, "-m", "testenv.s3_server", str(port), root],
            log=log,
            pid_file=root / "s3.pid",
            cwd=root,
            environment={"TMPDIR": str(root), "PYTHONPATH": str(_TOP), "PYTHONUNBUFFERED": "1"},
        )
        endpoint = f"http://127.0.0.1:{port}"
        try:
            processes.wait_until(lambda where=endpoint: _answers(where), pid=pid, log=log)  # type: ignore[misc]
        except processes.PortTakenError:
            continue
        return Server(endpoint, root)
    raise processes.ServerError("finds no free port for an S3 service")


def running(root: Path) -> list[int]:
    """The service's process, if it runs."""
    return processes.find(Path(sys.executable).name, root.resolve())


def stop(root: Path) -> None:
    """End the service; what it held is gone."""
    processes.stop(lambda: running(root), polite=signal.SIGTERM)


def client(endpoint: str) -> Any:
    """A plain client of the service, for what drkit itself never does: making buckets, damaging objects."""
    # Here, since whoever only starts the service does not need it.
    import boto3

    return boto3.session.Session(
        CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION
    ).client("s3", endpoint_url=endpoint)


def credentials_file(path: Path) -> Path:
    """Write the credentials as drkit's `credentials_file` wants them; returns the path."""
    path.touch(mode=0o600)
    path.write_text("".join(f"{key}={value}\n" for key, value in CREDENTIALS.items()))
    return path


def _answers(endpoint: str) -> bool:
    try:
        return httpx.get(endpoint, timeout=5, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _serve(port: int) -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = DomainDispatcherApplication(create_backend_app)
    run_simple("127.0.0.1", port, app, threaded=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
