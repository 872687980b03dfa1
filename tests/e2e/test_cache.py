"""What only this machine's copies still have is no proof, and no point is sealed on top of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.e2e.commands import Drkit, fails


def cached_packs(drkit: Drkit) -> list[Path]:
    """The packs with metadata: restic's cache holds a copy of each."""
    copies = [path for path in (drkit.state / "cache").rglob("data/*/*") if path.is_file()]
    return [drkit.repository / "data" / path.parent.name / path.name for path in copies]


def test_metadata_that_is_in_the_cache_alone(copy: Drkit) -> None:
    """A bare host gets nothing from such a repository, however well everything works here."""
    (point,) = copy.sealed()
    gone = cached_packs(copy)
    assert len(gone) > 3
    for path in gone:
        path.unlink()
    drilled = copy.run("drill", "--json")
    assert drilled.code in (5, 6, 7), drilled.stdout
    message = f"no recovery point was sealed: repository: {len(gone)} pack files that its index names are .*"
    hint = "`drkit verify` says what is damaged; after `restic repair index` the next backup stores again .*"
    fails(copy, ["backup"], 3, "backup_incomplete", message, hint)
    assert copy.run("verify", "--json").code == 7
    assert copy.sealed() == [point]
    # The way out that the hint tells.
    copy.restic("repair", "index")
    made = copy.ask("backup")["id"]
    assert copy.ask("drill", made)["outcome"] == "passed"


def test_an_index_that_is_in_the_cache_alone(copy: Drkit) -> None:
    (path, *_) = (copy.repository / "index").iterdir()
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-20])
    assert copy.run("drill", "--json").error["kind"] in ("drill_failed", "drill_error")
    assert copy.run("backup", "--json").code in (3, 7)
    assert copy.run("verify", "--json").code == 7


def test_a_seal_that_is_in_the_cache_alone(copy: Drkit) -> None:
    """Elsewhere the point is in doubt, and nothing of it is swept away."""
    (point,) = copy.sealed()
    (seal,) = json.loads(copy.restic("snapshots", "--tag", "drkit:manifest", "--json"))
    path = copy.repository / "snapshots" / seal["id"]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    assert copy.run("drill", "--json").error["kind"] in ("drill_failed", "drill_error")
    assert copy.run("verify", "--json").code == 7
    shutil.rmtree(copy.state / "cache")
    shutil.rmtree(copy.state / "catalog")
    assert [(each["id"], each["status"]) for each in copy.points()] == [(point, "unreadable")]
    refused = copy.run("backup", "--json")
    assert refused.code == 3, "restic itself takes no backup into such a repository"
    assert "put that file back" in refused.error["hint"]
    assert point in [each["id"] for each in copy.points()]
