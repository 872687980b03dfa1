"""A docker-registry process over the site's blobs, on 127.0.0.1."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import yaml

from testenv import processes

if TYPE_CHECKING:
    from testenv.buckets import Storage

_PROGRAM = "docker-registry"
_HEADER = "X-Test-Site"


def start(root: Path, blobs: Path | Storage, port: int) -> None:
    """Start the registry over a directory or a bucket, and wait until it answers.

    PortTakenError if the port is not free.
    """
    if running(root):
        return
    program = shutil.which(_PROGRAM)
    if program is None:
        raise processes.ServerError(f"finds no {_PROGRAM}: run testenv/install")
    if isinstance(blobs, Path):
        blobs.mkdir(parents=True, exist_ok=True)
    settings = _settings_file(root)
    settings.touch(mode=0o600)
    settings.write_text(yaml.safe_dump(_settings(root, blobs, port)))
    log = root / "log" / "registry.log"
    log.unlink(missing_ok=True)
    pid = processes.spawn(
        [program, "serve", settings], log=log, pid_file=root / "run" / "registry.pid", cwd=root
    )
    url = f"http://127.0.0.1:{port}/v2/"
    processes.wait_until(lambda: _answers(url, str(root)), pid=pid, log=log)


def running(root: Path) -> list[int]:
    """The registry's process, if it runs."""
    return processes.find(_PROGRAM, _settings_file(root))


def stop(root: Path) -> None:
    """End the registry."""
    processes.stop(lambda: running(root), polite=signal.SIGTERM)


def _settings_file(root: Path) -> Path:
    return root.resolve() / "run" / "registry.yml"


def _settings(root: Path, blobs: Path | Storage, port: int) -> dict[str, object]:
    # No cache of blob descriptors: damage that a test does to the files must be seen at once.
    return {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            **_driver(blobs),
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        # Images for Windows name layers that no registry stores; their addresses have to be allowed.
        "validation": {"manifests": {"urls": {"allow": ["^https://mcr\\.example\\.test/"]}}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "not-a-secret", "headers": {_HEADER: [str(root)]}},
    }


def _driver(blobs: Path | Storage) -> dict[str, object]:
    if isinstance(blobs, Path):
        return {"filesystem": {"rootdirectory": str(blobs), "maxthreads": 100}}
    return {
        "s3": {
            "accesskey": blobs.key_id,
            "secretkey": blobs.secret,
            "region": blobs.region,
            "regionendpoint": blobs.endpoint,
            "forcepathstyle": True,
            "bucket": blobs.bucket,
            "rootdirectory": f"/{blobs.prefix}",
        },
        # Clients are served by the registry itself, and not sent on to the bucket.
        "redirect": {"disable": True},
    }


def _answers(url: str, root: str) -> bool:
    """Does the registry of this very site answer? Another one may have been quicker to take the port."""
    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK and answer.headers.get(_HEADER) == root
