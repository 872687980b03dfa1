"""Putting another bundle into a sealed point, as somebody could who has the repository's password."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

from tests.e2e.commands import Drkit


def manifest_of(drkit: Drkit) -> tuple[str, list[str], dict[str, Any]]:
    """The snapshot, the tags and the content of the only point's manifest."""
    (found,) = json.loads(drkit.restic("snapshots", "--json", "--tag", "drkit:manifest"))
    return found["id"], found["tags"], json.loads(drkit.restic("dump", found["id"], "/manifest.json"))


def sealed_bundle(drkit: Drkit) -> bytes:
    """The only point's encrypted bundle."""
    (part,) = (part for part in manifest_of(drkit)[2]["parts"] if part["kind"] == "secrets")
    return _restic(drkit, b"", "dump", part["snapshot"], part["path"])


def reseal(
    drkit: Drkit, bundle: bytes, change: Callable[[dict[str, Any]], object] = lambda _manifest: None
) -> None:
    """Store the bundle, and a manifest that names it, in place of what the only point has."""
    old, tags, manifest = manifest_of(drkit)
    (part,) = (part for part in manifest["parts"] if part["kind"] == "secrets")
    part_tags = [*(tag for tag in tags if tag != "drkit:manifest"), "drkit:part:secrets:secrets"]
    part["snapshot"] = _store(drkit, bundle, part["path"].lstrip("/"), part_tags)
    part["bytes"] = len(bundle)
    change(manifest)
    _store(drkit, json.dumps(manifest).encode(), "manifest.json", tags)
    drkit.restic("forget", old)


def _store(drkit: Drkit, data: bytes, name: str, tags: list[str]) -> str:
    words = ("backup", "--json", "--stdin", "--stdin-filename", name, "--host", "registry.example.test")
    said = _restic(drkit, data, *words, *(word for tag in tags for word in ("--tag", tag)))
    return str(json.loads(said.splitlines()[-1])["snapshot_id"])


def _restic(drkit: Drkit, stdin: bytes, *words: str) -> bytes:
    environment = {
        "PATH": os.environ["PATH"],
        "RESTIC_REPOSITORY": str(drkit.repository),
        "RESTIC_PASSWORD_FILE": str(drkit.restic_password),
    }
    done = subprocess.run(
        ["restic", "--no-cache", *words], env=environment, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
