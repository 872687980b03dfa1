"""What a demonstration is told with: headings, drkit's commands as they run, and a client that pulls."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from testenv import site as sites

DRKIT = Path(sys.executable).with_name("drkit")
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Image:
    """One image of the practice registry, as a client gets it."""

    name: str
    tag: str
    digest: str


def must_pull(registry_url: str, image: Image) -> None:
    """Pull it, and say so; CalledProcessError if it is not the same."""
    pulled = pull(registry_url, image)
    if pulled != image.digest:
        raise subprocess.CalledProcessError(1, ["pull", image.name])
    print(f"pulled {image.name}:{image.tag} again, every byte hashed: the same digest\n           {pulled}")


def heading(text: str) -> None:
    """What comes next."""
    print(f"\n=== {text}", flush=True)


def drkit(config: Path, *arguments: object) -> None:
    """Show a command and run it; CalledProcessError if it fails."""
    words = [*map(str, arguments)]
    print(f"$ drkit {shlex.join(words)}", flush=True)
    subprocess.run([DRKIT, "--config", config, *words], check=True)


@contextlib.contextmanager
def serving(config: Path) -> Iterator[str]:
    """Show `drkit serve`; the address that it serves at until the block ends, CalledProcessError if none."""
    words = ("serve", "--listen", "127.0.0.1:0")
    print(f"$ drkit {shlex.join(words)}", flush=True)
    process = subprocess.Popen([DRKIT, "--config", config, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith("address "):
                address = line.split()[1]
            if line.startswith("Images can be pulled"):
                break
        else:
            raise subprocess.CalledProcessError(process.wait(), ["drkit", *words])
        yield address
    finally:
        process.terminate()
        print(process.stdout.read(), end="", flush=True)
        process.wait()


def any_image(site: sites.Site) -> Image:
    """The largest image of a site."""
    with sites.connect(site) as connection:
        row = connection.execute(
            "SELECT r.name, t.name, a.digest FROM tag t JOIN artifact a ON a.id = t.artifact_id"
            " JOIN repository r ON r.repository_id = t.repository_id"
            " WHERE a.type = 'IMAGE' AND a.manifest_media_type LIKE '%manifest%'"
            " ORDER BY a.size DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return Image(*row)


def pull(registry_url: str, image: Image) -> str | None:
    """The digest of what the registry serves, its configuration and layers read and hashed as well."""
    with httpx.Client(base_url=f"{registry_url}/v2/{image.name}", timeout=30) as client:
        answer = client.get(f"/manifests/{image.digest}", headers={"Accept": _MANIFESTS})
        if answer.status_code != 200:
            return None
        manifest = answer.json()
        for blob in (manifest["config"], *manifest["layers"]):
            data = client.get(f"/blobs/{blob['digest']}").content
            if f"sha256:{hashlib.sha256(data).hexdigest()}" != blob["digest"]:
                return None
        return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
