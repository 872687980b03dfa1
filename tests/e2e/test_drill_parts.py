"""A part that does not come back costs no other part its verdicts, and the drill is no pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, Ended, assert_error, assert_says, finish
from tests.e2e.test_drill_fails import largest_pack


def by_name(ended: Ended) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in ended.envelope["result"]["checks"]}


def test_a_database_that_cannot_be_loaded(copy: Drkit) -> None:
    gate = gates.server_ready(copy)
    process = gate.drkit.start("drill", "--json")
    try:
        gate.wait(process)
        (dump,) = (path for path in copy.sandboxes.glob("*/db-registry/dump/**/*") if path.is_file())
        with dump.open("r+b") as file:
            file.truncate(dump.stat().st_size // 2)
    finally:
        gate.open()
        ended = finish(process)
    result, checks = ended.envelope["result"], by_name(ended)
    assert (ended.code, result["outcome"]) == (6, "error")
    lost = checks["restore of database registry"]
    assert (lost["kind"], lost["subject"], lost["outcome"]) == ("database_restore", "registry", "error")
    assert_says(lost["detail"], "pg_restore .*")
    assert_error(ended, "drill_error", "the drill came to no verdict: restore of database registry: .*", ".*")
    # What was looked at in the other parts, and what needs the database, is told each by its own name.
    for name in ("parts belong to this point", "blobs hash to their names", "closure", "secrets bundle"):
        assert checks[name]["outcome"] == "passed", checks[name]
    for name in (
        "tags can be pulled",
        "digests as at the backup",
        "links",
        "manifests resolve",
        "secret key",
    ):
        assert checks[name]["outcome"] == "error", checks[name]
        assert "was not restored" in checks[name]["detail"]
    assert "tables of registry" not in checks
    caught = {control["name"] for control in result["controls"] if control["caught"]}
    assert {"flipped byte", "wrong age identity"} <= caught
    assert result["recovery_time_seconds"] is None
    assert result["problems"] == []
    page = Path(result["report"]).read_text()
    assert "restore of database registry" in page
    assert "blobs hash to their names" in page
    assert "Harbor itself" in page
    assert processes.survivors(copy.home) == []


def test_images_that_cannot_be_restored(copy: Drkit) -> None:
    pack = largest_pack(copy)
    pack.chmod(0o600)
    pack.write_bytes(bytes(pack.stat().st_size))
    ended = copy.run("drill", "--json")
    checks = by_name(ended)
    assert (ended.code, checks["restore of images"]["outcome"]) == (6, "error")
    # Not that a file which it could not write has no owner.
    assert_says(checks["restore of images"]["detail"], ".*decrypting blob .* failed: .*")
    for name in ("tables of registry", "tags as at the backup", "secrets bundle", "secret key"):
        assert checks[name]["outcome"] == "passed", checks[name]
    assert checks["stored signature"]["outcome"] == "error"
    assert "blobs hash to their names" not in checks
    period = copy.run("drills", ended.envelope["result"]["id"]).stdout
    assert "restore of images" in period
