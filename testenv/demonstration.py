"""drkit's main job on a throwaway registry: back up, lose everything, restore, prove. Behind testenv/demo."""

from __future__ import annotations

import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from testenv import creation, sizes
from testenv import site as sites

DRKIT = Path(sys.executable).with_name("drkit")
_MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Image:
    """One image of the practice registry, as a client gets it."""

    name: str
    tag: str
    digest: str


def main() -> int:
    """Run the demonstration; everything that it made is gone when it ends, however it ends."""
    with tempfile.TemporaryDirectory(prefix="drkit-demo-", dir="/var/tmp") as name:
        top = Path(name)
        # PostgreSQL runs as another user where we are root: it may pass through.
        top.chmod(0o711)
        try:
            _demonstrate(top)
        except subprocess.CalledProcessError as error:
            print(
                f"\nThe demonstration ends here: {shlex.join(map(str, error.cmd))} failed.", file=sys.stderr
            )
            return 1
        finally:
            sites.destroy(top / "site")
    print("Everything that this demonstration made has been removed.")
    return 0


def _demonstrate(top: Path) -> None:
    began = time.monotonic()
    _heading("A registry like Harbor's comes up: PostgreSQL, images, certificates, keys")
    site = creation.create(top / "site", sizes.SMALL)
    image = _any_image(site)
    print(f"It serves {site.registry_url}/{image.name}:{image.tag}\n           {image.digest}")

    _heading("1. drkit reads harbor.yml and writes a configuration that works")
    config = top / "drkit" / "drkit.toml"
    wanted = ("--harbor", site.harbor_yml, "--repository", top / "backup", "--state", top / "state")
    signing = ("--secret", site.cosign, "--cosign-password", site.cosign / "cosign.password")
    _drkit(config, "init", *wanted, *signing)

    _heading("2. Database, images and secrets become one recovery point")
    _drkit(config, "backup")

    _heading("3. Disaster: the database is dropped, the images and the keys are deleted")
    for what in ("database", "blobs", "secrets"):
        sites.lose(site, what)
        print(f"lost: {what}")
    print(f"{image.name}:{image.tag} can be pulled: {'yes' if _pull(site, image) == image.digest else 'no'}")

    _heading("4. All of it comes back from the recovery point")
    _drkit(config, "restore", "latest", "--yes")
    # A registry that ran through the disaster remembers what it served.
    sites.stop(site)
    sites.start(site)
    pulled = _pull(site, image)
    if pulled != image.digest:
        raise subprocess.CalledProcessError(1, ["pull", image.name])
    print(f"pulled {image.name}:{image.tag} again, every byte hashed: the same digest\n           {pulled}")

    _heading("5. The drill proves it once more, in a sandbox, with a stopwatch and planted faults")
    _drkit(config, "drill", "--report", top / "report")
    _drkit(config, "status")
    _summary(json.loads((top / "report" / "report.json").read_text()), time.monotonic() - began)


def _heading(text: str) -> None:
    print(f"\n=== {text}", flush=True)


def _drkit(config: Path, *arguments: object) -> None:
    words = [*map(str, arguments)]
    print(f"$ drkit {shlex.join(words)}", flush=True)
    subprocess.run([DRKIT, "--config", config, *words], check=True)


def _any_image(site: sites.Site) -> Image:
    with sites.connect(site) as connection:
        row = connection.execute(
            "SELECT r.name, t.name, a.digest FROM tag t JOIN artifact a ON a.id = t.artifact_id"
            " JOIN repository r ON r.repository_id = t.repository_id"
            " WHERE a.type = 'IMAGE' AND a.manifest_media_type LIKE '%manifest%'"
            " ORDER BY a.size DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    return Image(*row)


def _pull(site: sites.Site, image: Image) -> str | None:
    """The digest of what the registry serves, its configuration and layers read and hashed as well."""
    with httpx.Client(base_url=f"{site.registry_url}/v2/{image.name}", timeout=30) as client:
        answer = client.get(f"/manifests/{image.digest}", headers={"Accept": _MANIFESTS})
        if answer.status_code != 200:
            return None
        manifest = answer.json()
        for blob in (manifest["config"], *manifest["layers"]):
            data = client.get(f"/blobs/{blob['digest']}").content
            if f"sha256:{hashlib.sha256(data).hexdigest()}" != blob["digest"]:
                return None
        return f"sha256:{hashlib.sha256(answer.content).hexdigest()}"


def _summary(report: dict[str, Any], seconds: float) -> None:
    outcomes = Counter(check["outcome"] for check in report["checks"])
    untried = outcomes["not_provable"]
    also = f" ({untried} had nothing to look at)," if untried else ","
    caught = sum(control["caught"] for control in report["controls"])
    _heading("What you have seen")
    print(f"""\
  A registry lost its database, its images and its keys, and got all three back from one recovery point.
  The drill restored that point again into a throwaway environment:
    {outcomes["passed"]} of {outcomes.total()} checks on the restored data passed{also}
    {caught} of {len(report["controls"])} faults planted on purpose were caught,
    and recovery took {report["recovery_time_seconds"]:.1f} seconds.
  All this took {seconds:.0f} seconds.

  Next: `testenv/up` leaves such a registry running to play with; README.md says how to protect your own.
""")


if __name__ == "__main__":
    sys.exit(main())
