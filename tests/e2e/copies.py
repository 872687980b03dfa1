"""A drkit with further repositories, made with the chunker parameters of the first."""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.commands import Drkit
from tests.weak_key import weaken

OFFSITE = "offsite"


def directory(drkit: Drkit, name: str = OFFSITE) -> Path:
    """Where a further repository is."""
    return drkit.home / name


def password(drkit: Drkit, name: str = OFFSITE) -> Path:
    """The file with its password."""
    return drkit.home / f"{name}.password"


def add(drkit: Drkit, name: str = OFFSITE, url: str | None = None) -> Drkit:
    """Make a repository in a directory, and add it to the configuration by that path or another address."""
    password(drkit, name).write_text(secrets.token_hex(8))
    password(drkit, name).chmod(0o600)
    make(drkit, name)
    entry = {
        "name": name,
        "url": url or str(directory(drkit, name)),
        "password_file": str(password(drkit, name)),
    }
    return drkit.change(lambda document: document["repository"].append(entry))


def make(drkit: Drkit, name: str = OFFSITE) -> None:
    """Make the repository itself, in its directory and with its password."""
    words = ("init", "--copy-chunker-params", "--from-repo", str(drkit.repository))
    restic(drkit, name, *words, "--from-password-file", str(drkit.restic_password))
    weaken(directory(drkit, name), password(drkit, name).read_text())


def restic(drkit: Drkit, name: str, *words: str) -> str:
    """What restic itself says of a further repository."""
    environment = {
        **drkit.surroundings,
        "RESTIC_REPOSITORY": str(directory(drkit, name)),
        "RESTIC_PASSWORD_FILE": str(password(drkit, name)),
    }
    command = ["restic", "--no-cache", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def points(drkit: Drkit, name: str = OFFSITE) -> list[dict[str, Any]]:
    """Its recovery points, newest first."""
    found: list[dict[str, Any]] = drkit.ask("points", "--repository", name)["points"]
    return found


def sealed(drkit: Drkit, name: str = OFFSITE) -> list[str]:
    """The ids of its sealed points, newest first."""
    return [point["id"] for point in points(drkit, name) if point["status"] == "sealed"]


def snapshots(drkit: Drkit, tag: str, name: str = OFFSITE) -> list[dict[str, Any]]:
    """The snapshots in it that bear a tag."""
    found: list[dict[str, Any]] = json.loads(restic(drkit, name, "snapshots", "--json", "--tag", tag))
    return found
