"""A registry that stands on such a ground, with a drkit that looks after it."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testenv import registry
from testenv import site as sites
from testenv.push import Pusher
from tests import filesystems
from tests.e2e import gates, pushing
from tests.e2e.commands import Drkit, clone
from tests.e2e.gates import Gate
from tests.vm.grounds import Ground

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Registry:
    """A registry that runs, and whoever pushes to it."""

    ground: Ground
    place: Path
    pusher: Pusher
    # Only to be copied.
    prepared: Drkit

    def push(self, number: int) -> None:
        """Push one small image."""
        pushing.push_plain(self.pusher, number)

    def drkit(self, volume: str = "auto", site: str = "registry.example.test") -> Drkit:
        """A drkit of one's own with an empty repository."""
        made = clone(self.prepared, self.place / f"h{next(_numbers)}")

        def change(document: dict[str, Any]) -> None:
            document["site"]["name"] = site
            document["blobs"].update(path=str(self.ground.root), volume=volume)
            # Nothing is known of them here.
            document.pop("secrets", None)

        return made.change(change)

    def frozen(self, drkit: Drkit) -> Gate:
        """The volume is frozen, and restic is about to read it."""
        return gates.before(drkit, "--tag=drkit:part:blobs:")

    def read(self, drkit: Drkit) -> Gate:
        """restic has read all of it, which drkit does not know yet."""
        return gates.after(drkit, "--tag=drkit:part:blobs:")

    def tags(self, drkit: Drkit, point: dict[str, Any]) -> set[str]:
        """The tags in a point, as restic lists them."""
        (snapshot,) = [part["snapshot"] for part in point["parts"] if part["kind"] == "blobs"]
        listed = drkit.restic("ls", snapshot)
        below = "/_manifests/tags/"
        return {line.partition(below)[2].split("/")[0] for line in listed.splitlines() if below in line}

    def nothing_left(self, drkit: Drkit) -> None:
        """No snapshot, no record, no mount."""
        assert self.ground.snapshots() == []
        assert list((drkit.state / "volumes").glob("*.json")) == []
        assert filesystems.mounts_below(drkit.home) == []


@contextlib.contextmanager
def registry_on(ground: Ground, place: Path, prepared: Drkit) -> Iterator[Registry]:
    """Start a registry there, with five images in it."""
    home = place / f"registry-{next(_numbers)}"
    for directory in ("log", "run"):
        (home / directory).mkdir(parents=True)
    ports: list[int] = []

    def start(port: int) -> None:
        registry.start(home, ground.root, port)
        ports.append(port)

    sites.on_free_port(start)
    try:
        with Pusher(f"http://127.0.0.1:{ports[-1]}") as pusher:
            made = Registry(ground, place, pusher, prepared)
            for number in range(5):
                made.push(number)
            yield made
    finally:
        registry.stop(home)


def initialised(home: Path) -> Drkit:
    """A drkit as `drkit init` sets it up for a registry; where that is, whoever copies it says."""
    made = Drkit(home)
    made.home.mkdir(mode=0o700)
    (made.home / "docker/registry/v2").mkdir(parents=True)
    settings = made.home / "registry.yml"
    settings.write_text(json.dumps({"version": 0.1, "storage": {"filesystem": {"rootdirectory": str(home)}}}))
    words = ("init", "--registry", str(settings), "--repository", str(made.repository))
    made.ask(*words, "--output", str(made.config), "--state", str(made.state))
    return made


def fill(path: Path, size: int) -> int:
    """Write so many bytes that nothing compresses, as far as there is room; how many were written."""
    done = subprocess.run(
        ["dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"count={size >> 20}", "conv=fsync,notrunc"],
        capture_output=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return path.stat().st_size
