"""Signing an image with the site's cosign key, without any service on the Internet."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from testenv import content
from testenv.rows import Pushed

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.push import Pusher


def sign(root: Path, pusher: Pusher, registry_url: str, repository: str, digest: str) -> Pushed:
    """Sign by digest; the signature is a manifest under cosign's classic tag `sha256-<hex>.sig`.

    docker-registry 2.8 has no referrers API, so the tag is the form that works.
    """
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [
                shutil.which("cosign") or "cosign", "sign", "--yes", "--tlog-upload=false",
                "--allow-http-registry", "--registry-referrers-mode=legacy",
                "--key", root / "cosign/cosign.key",
                f"{registry_url.removeprefix('http://')}/{repository}@{digest}",
            ],
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": home,
                "COSIGN_PASSWORD": (root / "cosign/cosign.password").read_text(),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"cosign failed: {done.stderr}")
    tag = digest.replace(":", "-") + ".sig"
    body, media_type = pusher.pull_manifest(repository, tag)
    return Pushed(repository, content.parse_manifest(body, media_type), (tag,))
