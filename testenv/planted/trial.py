"""One trial: a fault (or none), a drill here, one on a bare host, and the judge."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from testenv import damage
from testenv.planted import content, files, vault
from testenv.planted.judge import account
from testenv.planted.reseal import content as content_of
from testenv.planted.reseal import reseal
from testenv.planted.stand import sealed

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from testenv.buckets import Storage
    from testenv.planted.home import Home
    from testenv.planted.stand import Stand
    from testenv.under_fire.guard import Answer

# How often each kind is chosen, among what the repository has and what is in it.
KINDS = {
    "config": 1,
    "key": 1,
    "snapshot": 6,
    "index": 6,
    "tree pack": 8,
    "data pack": 6,
    "row": 4,
    "bundle": 4,
    "digests": 1,
    "blob": 3,
}
# The same where the images are in a bucket, and a vault keeps their blobs.
KINDS_WITH_VAULT = {
    "vault blob": 8,
    "vault mark": 2,
    "links": 3,
    "inventory": 3,
    "index": 2,
    "tree pack": 2,
    "data pack": 2,
    "bundle": 1,
}
# The part whose content is another, by kind.
_PARTS = {
    "row": "database:registry",
    "bundle": "secrets:secrets",
    "digests": "digests:digests",
    "inventory": "inventory:inventory",
    "links": "links:links",
}
SOUND = "none"


@dataclass(frozen=True)
class Result:
    """What came of a trial; `said` is what drkit complained of, here and on the bare host."""

    kind: str
    fault: str
    target: str
    here: bool
    # None where it was not asked: the drill here has failed, and so has recovery.
    bare: bool | None
    lacking: tuple[str, ...]
    said: tuple[str, str]
    seconds: float

    @property
    def verdict(self) -> str:
        """What it means; everything but `caught`, `harmless`, `stricter` and `sound` is a disagreement."""
        if self.kind == SOUND:
            return "sound" if self.here and self.bare and not self.lacking else "false alarm"
        if self.here and self.lacking:
            return "false green"
        if self.bare is not None and self.here != self.bare:
            return "disagreement"
        if self.here:
            return "harmless"
        if self.kind == "row" and self.said[0].startswith("6 ") and "violates" not in self.said[0]:
            # A dump that cannot be loaded says nothing of whether the row would have been found.
            return "not loaded"
        return "caught" if self.lacking else "stricter"

    @property
    def good(self) -> bool:
        """Whether the drills told the truth."""
        return self.verdict in ("sound", "caught", "harmless", "stricter")

    def document(self) -> dict[str, object]:
        """For a line of JSON."""
        return {"verdict": self.verdict, **asdict(self)}


def run(stand: Stand, top: Path, kind: str, random: Random) -> Result:
    """Make a copy, plant a fault of that kind in it, and ask everybody; the copy is gone afterwards."""
    began = time.monotonic()
    top.mkdir(mode=0o711)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, top)
        with stand.busy:
            home = stand.home.copy(top / "h")
            kept = stand.site.vault
            if kept is not None:
                copy = stack.enter_context(vault.copied(kept, f"trial-{secrets.token_hex(6)}"))
                vault.use(home, kept, copy)
                kept = copy
            point = random.choice(sorted(stand.points))
            point, fault, target, lacking = _plant(stand, home, point, kind, kept, random)
        here = home.guard.ask("drill", point)
        if lacking is None:
            lacking = stand.points[point].lacking(account(home.repository, point, kept))
        bare = _ask_bare(home, point, top / "b", kept) if here.code == 0 or not lacking else None
    said = (_said(here), _said(bare))
    took = round(time.monotonic() - began, 1)
    passed = None if bare is None else bare.code == 0
    return Result(kind, fault, target, here.code == 0, passed, tuple(lacking), said, took)


def _ask_bare(home: Home, point: str, top: Path, kept: Storage | None) -> Answer:
    bare = home.bare(top, vault.section(kept, home.top / "vault.keys") if kept else "")
    return bare.guard.ask("drill", point, "--identity", str(bare.identity))


def _said(answer: Answer | None) -> str:
    return f"{answer.code} {answer.complaint}" if answer and answer.code else ""


def _plant(
    stand: Stand, home: Home, point: str, kind: str, kept: Storage | None, random: Random
) -> tuple[str, str, str, list[str] | None]:
    """The point, what was done to it and where; and what is lost, where the judge cannot tell."""
    if kind == SOUND:
        return point, "", "", None
    if kind == "blob":
        return _plant_blob(stand, home, random)
    if kind in _PARTS:
        return point, *_plant_content(stand, home, point, kind, random)
    if kept is not None and kind.startswith("vault"):
        return point, *vault.plant(kept, kind, random), None
    found = files.by_kind(home.location, home.cache)[kind]
    target, fault = random.choice(found), random.choice(files.FAULTS)
    files.plant(target, fault, found, random)
    return point, fault, str(target.relative_to(home.location)), None


def _plant_content(
    stand: Stand, home: Home, point: str, kind: str, random: Random
) -> tuple[str, str, list[str]]:
    """Another content under a part's name, sealed again."""
    part = _PARTS[kind]
    path, data = content_of(home.repository, point, part)
    match kind:
        case "row":
            done, other = content.other_dump(data, stand.scratch, random)
        case "bundle":
            done, other = content.other_bundle(data, home.identity, random)
        case _:
            done, other = content.other_lines(data, random)
    reseal(home.repository, point, part, other)
    return done, path, [f"{part}: {done}"]


def _plant_blob(stand: Stand, home: Home, random: Random) -> tuple[str, str, str, list[str] | None]:
    """Damage a blob in production, take a point, and put the blob back."""
    blobs = sorted(stand.site.blobs.glob("docker/registry/v2/blobs/sha256/*/*/data"))
    digest = f"sha256:{random.choice(blobs).parent.name}"
    path = damage.blob_path(stand.site, digest)
    before, status = path.read_bytes(), path.stat()
    fault = random.choice([fault for fault in files.FAULTS if fault != "deleted"])
    try:
        others = [other for other in blobs if other != path]
        path.write_bytes(files.changed(before, fault, random.choice(others).read_bytes(), random))
        point = sealed(home)
    finally:
        path.write_bytes(before)
        path.chmod(status.st_mode & 0o7777)
    return point, fault, digest, [f"{digest} has other bytes"]
