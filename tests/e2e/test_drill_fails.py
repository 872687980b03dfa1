"""What a drill must not pass: damage in production, in the repository, in what belongs together."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

import testenv
from testenv import Site, damage
from testenv.planted import reseal
from testenv.under_fire.stored import Repository
from tests.e2e.commands import Drkit, Ended, assert_error, assert_says, exactly, wait_for
from tests.e2e.test_bad_input import only, set_in


@contextmanager
def put_back(path: Path) -> Iterator[None]:
    """Whatever happens to a file, or to its directory, it is afterwards as it was, all times included."""
    data, before = path.read_bytes(), {place: place.stat() for place in (path, *list(path.parents)[:2])}
    try:
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        for place, status in before.items():
            place.chmod(stat.S_IMODE(status.st_mode))
            os.chown(place, status.st_uid, status.st_gid)
            os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def two_layers(site: Site) -> tuple[str, str]:
    """The digests of two layers that a tag needs."""
    images = [digest for repository, digest in damage.images_of(site) if repository.startswith("library/")]
    layers = [damage.layers_of(site, digest) for digest in images]
    first, second, *_ = next(found for found in layers if len(found) > 1)
    return first, second


def failed_drill(drkit: Drkit, *checks: str) -> Ended:
    """Drill; exactly these checks must fail, and nothing may have kept the others from a verdict."""
    ended = drkit.run("drill", "--json")
    assert ended.code == 5, ended
    result = ended.envelope["result"]
    assert result["outcome"] == "failed"
    assert [check["name"] for check in result["checks"] if check["outcome"] == "failed"] == list(checks)
    assert not [check for check in result["checks"] if check["outcome"] == "error"]
    assert all(control["caught"] for control in result["controls"])
    message = exactly(f"point {result['point']} does not restore whole: {', '.join(checks)}")
    assert_error(ended, "drill_failed", message, "see .*/report.html; take a new backup and drill it")
    return ended


def detail(ended: Ended, name: str) -> str:
    checks: list[dict[str, Any]] = ended.envelope["result"]["checks"]
    return next(str(check["detail"]) for check in checks if check["name"] == name)


# Images


def test_flipped_byte_in_production(fresh: Drkit, site: Site) -> None:
    """Its size is right, so only hashing finds it; a backup cannot know."""
    digest, _ = two_layers(site)
    with put_back(damage.blob_path(site, digest)):
        damage.flip_byte(site, digest, at=20)
        fresh.change(only("database", "blobs"))
        assert fresh.ask("backup")["warnings"] == []
    ended = failed_drill(fresh, "tags can be pulled", "blobs hash to their names")
    assert f"the bytes of {digest} hash to sha256:" in detail(ended, "blobs hash to their names")
    assert digest in detail(ended, "tags can be pulled")
    missed = fresh.run("status", "--json")
    assert missed.error["message"] == "missed: rto, drill", "a failed drill proves nothing"
    assert any(
        problem.startswith("the last full drill (") for problem in missed.envelope["result"]["problems"]
    )
    (point,) = fresh.points()
    assert point["last_drill"]["outcome"] == "failed"


def test_missing_and_truncated_blobs_in_production(fresh: Drkit, site: Site) -> None:
    """A backup says so and names them, and is sealed: what is there is worth having."""
    missing, short = two_layers(site)
    with put_back(damage.blob_path(site, missing)), put_back(damage.blob_path(site, short)):
        damage.remove_blob(site, missing)
        damage.truncate_blob(site, short)
        fresh.change(only("database", "blobs"))
        result = fresh.ask("backup")
    assert result["status"] == "sealed"
    assert result["warnings"] == [
        "production is damaged: 2 blobs that are referred to are missing or have the wrong size: "
        f"{missing}, {short}"
    ]
    closure = result["closure"]
    assert (closure["missing"], closure["missing_names"]) == (1, [missing])
    assert (closure["size_mismatch"], closure["mismatch_names"]) == (1, [short])
    ended = failed_drill(
        fresh, "tags can be pulled", "blobs hash to their names", "closure", "manifests resolve"
    )
    for digest in (missing, short):
        assert digest in detail(ended, "closure")
    # It names the first few faults, whichever come first.
    assert any(digest in detail(ended, "tags can be pulled") for digest in (missing, short))


# Secrets


def test_certificates_that_do_not_pair_or_have_expired(fresh: Drkit, site: Site) -> None:
    files = (site.tls / "server.key", site.tls / "server.crt", site.data / "secret/cert/server.crt")
    with ExitStack() as stack:
        for path in files:
            stack.enter_context(put_back(path))
        damage.renew_certificate(site, days=-1)
        damage.replace_tls_key(site)
        fresh.change(only("secrets"))
        fresh.ask("backup")
    ended = failed_drill(fresh, "certificate pairs", "certificate expiry")
    said = f"{site.tls}/server.key is not the key of {site.tls}/server.crt"
    assert detail(ended, "certificate pairs") == said
    expired = f"{site.tls}/server.crt (CN=registry.example.test,O=Example) expired on "
    assert expired in detail(ended, "certificate expiry")


# The database


@pytest.fixture
def other(site: Site, server: Connection) -> Iterator[Callable[[str], str]]:
    """Makes a copy of the database, changes it, and returns its name."""

    def make(change: str) -> str:
        server.execute(b"CREATE DATABASE other TEMPLATE registry")
        with testenv.connect(site, "other") as connection:
            connection.execute(change.encode())
        return "other"

    yield make
    server.execute(b"DROP DATABASE IF EXISTS other WITH (FORCE)")


def of_database(drkit: Drkit, site: Site, name: str) -> Drkit:
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    drkit.change(set_in("database", dsn=where))
    # harbor.yml names another, and so it is confirmed.
    return drkit.change(lambda document: document["site"]["dropped"].append("database:registry"))


def test_nothing_encrypted_is_not_provable_and_no_pass(
    fresh: Drkit, site: Site, other: Callable[[str], str]
) -> None:
    name = other(
        "UPDATE registry SET access_secret = ''; DELETE FROM oidc_user;"
        " UPDATE properties SET v = '' WHERE v LIKE '<enc-v1>%'"
    )
    of_database(fresh.change(only("database", "secrets")), site, name)
    fresh.ask("backup")
    report = fresh.home / "report"
    result = fresh.ask("drill", "--report", str(report))
    (check,) = [check for check in result["checks"] if check["name"] == "secret key"]
    assert check["outcome"] == "not_provable"
    assert check["detail"] == "the database holds no encrypted value to try the secret key on"
    _, unproved = (report / "report.html").read_text().split("What could not be proved")
    assert check["detail"] in unproved
    assert "wrong secret key" not in {control["name"] for control in result["controls"]}


def test_wrong_secret_key_and_rows_that_refer_to_nothing(
    fresh: Drkit, site: Site, other: Callable[[str], str]
) -> None:
    """Harbor starts with any key, and declares no foreign key there: neither it nor PostgreSQL minds.

    An operator is told on the day of the backup, and by the drill that it is production that is torn.
    """
    name = other(
        "DELETE FROM blob WHERE id = (SELECT min(id) FROM blob);"
        " DELETE FROM scan_report WHERE id = 1; UPDATE scan_report SET digest = 'sha256:0' WHERE id = 2"
    )
    of_database(fresh.change(only("database", "secrets")), site, name)
    with put_back(site.data / "secret/keys/secretkey"):
        damage.replace_secret_key(site)
        (warning,) = fresh.ask("backup")["warnings"]
    assert_says(
        warning,
        r"production is inconsistent: in registry \d of \d+ blobs of artifacts are without row in blob "
        r"\(digest_blob sha256:[0-9a-f]{64}, for one\); \d of \d+ blobs of projects are without row in blob "
        r"\(blob_id 1, for one\)",
    )
    torn = ("relation: artifact blobs to blob", "relation: project blobs to blob")
    ended = failed_drill(fresh, *torn, "secret key")
    for check in torn:
        assert "; production was torn in the same way when this point was taken" in detail(ended, check)
    assert detail(ended, "relation: scan reports to artifact").endswith(
        "1 of them without artifact, as is normal"
    )
    assert re.fullmatch(r"of 9 encrypted values 9 give noise: .* and 6 more", detail(ended, "secret key"))
    result = ended.envelope["result"]
    assert "wrong secret key" not in {c["name"] for c in result["controls"]}
    assert [(one["name"], one["reason"]) for one in result["unplanted"]] == [
        ("wrong secret key", "the right one opened nothing that another could fail on")
    ]
    shown = fresh.run("show", "latest").stdout
    assert "blobs of artifacts are without row in blob" in shown
    assert "12 users" in shown


# The repository


def store_manifest(drkit: Drkit, change: Callable[[dict[str, Any]], object]) -> None:
    """Seal the newest point with another manifest than its own, as a mistaken or hostile hand could."""
    manifests = json.loads(drkit.restic("snapshots", "--json", "--tag", "drkit:manifest"))
    tags = max(manifests, key=lambda found: found["time"])["tags"]
    (point,) = (tag.removeprefix("drkit:point:") for tag in tags if tag.startswith("drkit:point:"))
    reseal.change_manifest(Repository(drkit.repository, drkit.restic_password), point, change)


def test_a_manifest_with_the_parts_of_another_point_seals_nothing(copy: Drkit) -> None:
    """Its own dump and another point's evidence would be told to be whole, or restored as one."""
    theirs = copy.points()[0]["id"]
    parts = copy.ask("show", theirs)["parts"]
    mine = copy.ask("backup")["id"]
    store_manifest(copy, lambda manifest: manifest.update(parts=parts))
    assert {point["id"]: point["status"] for point in copy.points()} == {mine: "incomplete", theirs: "sealed"}
    store_manifest(copy, lambda manifest: manifest["parts"][0].update(kind="blobs", name="blobs"))
    assert copy.sealed() == [theirs]


def test_a_manifest_that_does_not_fit_what_was_stored_fails_the_drill(copy: Drkit) -> None:
    store_manifest(copy, lambda manifest: manifest["parts"][2].update(bytes=1))
    ended = failed_drill(copy, "parts belong to this point")
    assert_says(detail(ended, "parts belong to this point"), r"blobs blobs: [\d,]+ bytes were stored, not 1")


def largest_pack(drkit: Drkit) -> Path:
    return max((drkit.repository / "data").glob("*/*"), key=lambda path: path.stat().st_size)


def test_rot_in_the_repository(copy: Drkit, new_home: Callable[[], Path], site: Site) -> None:
    """Nothing is told to be whole that is not: not by a drill, not by verify, not by a restore."""
    pack = largest_pack(copy)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    for place in range(1000, len(data) - 5000, 997):
        data[place] ^= 0xFF
    pack.write_bytes(data)
    verified = copy.run("verify", "--read-data-subset", "100%", "--json")
    assert verified.code == 7
    assert_error(verified, "repository_damaged", "restic .*", ".*")
    ended = copy.run("drill", "--json")
    assert ended.code in (5, 6)
    assert ended.envelope["result"]["outcome"] != "passed"
    root = new_home()
    restored = copy.run("restore", "latest", "--only", "blobs", "--root", str(root), "--yes", "--json")
    assert restored.code == 7
    assert not Path(f"{root}{site.blobs}").exists()


# Objectives


def test_missed_objective_is_not_green(fresh: Drkit) -> None:
    fresh.change(only("secrets"))
    fresh.change(set_in("objectives", rpo="1s"))
    taken = datetime.fromisoformat(fresh.ask("backup")["consistent_at"])
    wait_for(lambda: datetime.now(UTC) - taken > timedelta(seconds=1), "the point is older than the RPO")
    ended = fresh.run("drill", "--json")
    assert ended.code == 5
    assert_error(ended, "drill_failed", "the drill passed, but missed: rpo", "see the stages in the report")
    assert ended.envelope["result"]["outcome"] == "passed"
