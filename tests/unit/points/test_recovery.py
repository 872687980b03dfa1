"""What a point says of itself, for sites whose names are as odd as names can be."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.model import (
    Bucketed,
    BucketPlace,
    Closure,
    DatabaseEvidence,
    DatabaseShape,
    Grant,
    LargeObjects,
    ManifestProof,
    Part,
    PartKind,
    PointManifest,
    SecretFile,
    SequenceEvidence,
    Setting,
    TableEvidence,
)
from drkit.points import recovery
from tests import needs, samples

TAGS = "drkit:point:p,drkit:manifest"
ODD = 'it\'s\na $(touch {there}) `touch {there}` "name"; touch {there} #\nEND_OF_USAGE\nEND_OF_AWK'
SHELLS = ("dash", "busybox")


def part(kind: PartKind, name: str, path: str) -> Part:
    return Part(kind, name, f"{kind}-snapshot", path, 1, 1, 1.0)


def whole(odd: str = "plain", databases: int = 2) -> PointManifest:
    """A manifest with a part of every kind, and something odd in every place that a site can name."""
    shape = DatabaseShape(
        f"db {odd}", odd, "UTF8", "libc", "C", "C", comment=odd, default_acl=False,
        grants=(Grant("", "CONNECT", False), Grant(odd, "TEMPORARY", True)),
        settings=(Setting("search_path", odd), Setting("work_mem", odd, role=odd)),
    )  # fmt: skip
    tables = (TableEvidence(odd, odd, 5, "123"), TableEvidence("public", "counted", 7, None))
    sequences = (SequenceEvidence(odd, odd, 5, 1, False), SequenceEvidence("public", "new", None, -1, True))
    facts = DatabaseEvidence(
        "", shape, 150_012, {}, tables, harbor_schema=180, sequences=sequences,
        large_objects=LargeObjects(2, "77"), tablespaces=(odd,),
    )  # fmt: skip
    names = [f"n{number}" for number in range(databases)]
    parts = [part("blobs", "blobs", f"/{odd}/registry"), part("digests", "digests", "/digests.jsonl")]
    parts += [part("secrets", "secrets", "/secrets.tar.age")]
    parts += [part("database", name, f"/{name}.dump") for name in names]
    parts += [part("roles", name, f"/{name}.roles.sql") for name in names]
    return replace(
        samples.manifest("20261124-020000-4f2a9c", datetime(2026, 11, 24, 2, tzinfo=UTC)),
        parts=tuple(parts),
        databases=tuple(replace(facts, name=name) for name in names),
        blobs_root=f"/{odd}/registry",
        secret_files=(SecretFile(f"/{odd}", 1), SecretFile("/plain", 1)),
        recipients=("age1xyz operator\x1b[31m",),
        host=odd,
    )


def only(manifest: PointManifest, *kinds: PartKind) -> PointManifest:
    parts = tuple(part for part in manifest.parts if part.kind in kinds)
    return replace(manifest, parts=parts, databases=manifest.databases if "database" in kinds else ())


def bucketed(manifest: PointManifest, odd: str = "plain") -> PointManifest:
    """The same with its blobs in a vault."""
    parts = tuple(part for part in manifest.parts if part.kind != "blobs")
    parts += (part("inventory", "inventory", "/inventory.jsonl"), part("links", "links", "/links.tar"))
    source = BucketPlace("registry", odd, f"https://{odd}", odd)
    vault = BucketPlace("vault", f"kept/{odd}", f"https://{odd}", odd)
    return replace(manifest, parts=parts, bucket=Bucketed(source, vault), blobs_root=f"s3://registry/{odd}")


MANIFESTS = {
    "everything": whole(),
    "odd names": whole(ODD),
    "one database": whole(databases=1),
    "a database alone": only(whole(), "database", "roles"),
    "blobs alone": only(whole(), "blobs"),
    "blobs and digests": only(whole(), "blobs", "digests"),
    "secrets alone": only(whole(), "secrets"),
    "nothing": only(whole()),
    "a bucket's": bucketed(whole()),
    "a bucket's odd names": bucketed(whole(ODD), ODD),
    "a bucket's blobs alone": bucketed(only(whole(), "digests")),
    "Amazon's": replace(bucketed(whole()), bucket=Bucketed(BucketPlace("a"), BucketPlace("b"))),
}


def having_lost(manifest: PointManifest, count: int) -> PointManifest:
    """The same of a production that had lost so many layers."""
    names = tuple(f"sha256:{number:064x}" for number in range(min(count, 20)))
    proof = ManifestProof(1, 1, unlisted=count, lost=count, lost_names=names)
    return replace(manifest, closure=Closure(5, 4, 1, 0, 0, manifests=proof))


MANIFESTS["lost layers"] = having_lost(whole(), 3)


MANIFESTS["OCI layouts"] = replace(whole(), storage="oci")


def script(manifest: PointManifest) -> str:
    return recovery.files(manifest, TAGS)[recovery.SCRIPT]


@pytest.mark.slow
@pytest.mark.parametrize("which", MANIFESTS)
def test_the_script_is_clean(which: str, tmp_path: Path) -> None:
    path = tmp_path / "recover.sh"
    path.write_text(script(MANIFESTS[which]))
    # A name with a dollar in it does not expand, and that is what single quotes are for.
    options = ["--shell=sh", *(["--exclude=SC2016,SC1003"] if which.endswith("odd names") else [])]
    words = [needs.program("shellcheck"), *options, str(path)]
    looked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (looked.returncode, looked.stdout) == (0, "")
    for shell in SHELLS:
        words = [needs.program(shell), *(["sh"] if shell == "busybox" else []), "-n", str(path)]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stderr == ""


@pytest.mark.parametrize("kept", ["blobs_target", "vault_prefix"])
@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_is_never_run(shell: str, kept: str, tmp_path: Path) -> None:
    """Every assignment is made and every function is called that holds a name, and no name does anything."""
    there = tmp_path / "there"
    odd = ODD.replace("{there}", str(there))
    manifest = whole(odd) if kept == "blobs_target" else bucketed(whole(odd), odd)
    text = script(manifest).partition("need restic\n")[0]
    shows = f'database_1; printf "%s|" "$db_name" "$db_create"; each_secret "printf"; say "|${kept}|$site"'
    words = [
        needs.program(shell),
        *(["sh"] if shell == "busybox" else []),
        "-c",
        f"{text}\n{shows}",
        "recover.sh",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"db {odd}|CREATE DATABASE")
    wanted = {"blobs_target": f"/{odd}/registry", "vault_prefix": f"kept/{odd}"}[kept]
    assert f"|{wanted}|registry.example.com" in done.stdout
    assert not there.exists()


@pytest.mark.parametrize("count", [1, 20, 25])
def test_layers_that_are_on_no_list_are_counted_and_named(count: int) -> None:
    text = script(having_lost(whole(), count))
    assert f"digests_missing={count + 1}\n" in text
    assert f"unnamed={max(0, count - 20)}\n" in text
    assert f"sha256:{min(count, 20) - 1:064x}' >>" in text
    assert "unnamed=0\n" in script(whole())


def test_the_text_says_where_everything_is() -> None:
    text = recovery.files(whole(), TAGS)[recovery.TEXT]
    for kind in ("database", "roles", "blobs", "digests", "secrets"):
        assert f"{kind}-snapshot" in text
    assert f"restic dump --tag {TAGS} latest /recover.sh > recover.sh" in text
    assert "PostgreSQL 15 or later" in text
    assert "age1xyz operator?[31m" in text, "what could move a terminal's cursor is not repeated"
    assert "./prepare" in text


def test_what_a_point_lacks_is_not_spoken_of() -> None:
    files = recovery.files(only(whole(), "blobs"), TAGS)
    assert "psql" not in files[recovery.TEXT]
    assert "age" not in files[recovery.TEXT].split()
    assert "pg_restore --exit" not in files[recovery.SCRIPT]


def test_a_buckets_text_says_where_the_vault_is() -> None:
    files = recovery.files(bucketed(whole()), TAGS)
    text = files[recovery.TEXT]
    assert "s3://vault/kept/plain at https://plain" in text
    assert "below kept/plain/docker/registry/v2/blobs/sha256/" in text
    assert "RCLONE_S3_ACCESS_KEY_ID" in text
    assert "rclone" in files[recovery.SCRIPT]
    plain = recovery.files(whole(), TAGS)
    assert "rclone" not in plain[recovery.TEXT] + plain[recovery.SCRIPT]
