"""What `init` and `doctor` say of a registry in a bucket, when all is well and when it is not."""

from __future__ import annotations

import json
import shutil
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testenv import Site, buckets
from testenv.buckets import Storage
from tests.e2e import bucketed
from tests.e2e.commands import Drkit, Ended, assert_error, exactly, fails


@pytest.fixture(scope="module")
def vaulted(
    bucket_empty: Drkit, bucket_site: Site, new_home: Callable[[], Path]
) -> Iterator[tuple[Drkit, Storage]]:
    """A drkit whose vault keeps versions and locks nothing; a test that changes it changes it back."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    yield drkit, vault
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


@pytest.fixture
def drkit(vaulted: tuple[Drkit, Storage]) -> Iterator[Drkit]:
    made, _ = vaulted
    before = made.config.read_text()
    yield made
    made.config.write_text(before)


@pytest.fixture
def vault(vaulted: tuple[Drkit, Storage]) -> Storage:
    return vaulted[1]


def in_section(name: str, **keys: Any) -> Callable[[dict[str, Any]], None]:
    """A change of a section of the configuration."""
    return lambda document: document[name].update(keys)


def warnings(drkit: Drkit) -> dict[str, str]:
    """What doctor warns of, and what it says to do."""
    found = drkit.ask("doctor")["findings"]
    return {each["detail"]: each["hint"] for each in found if each["state"] == "warning"}


# init


def test_init_writes_both_ends(bucket_empty: Drkit, bucket_site: Site) -> None:
    images, vault = bucket_site.images, bucket_site.vault
    assert images is not None
    assert vault is not None
    text = bucket_empty.config.read_text()
    document = tomllib.loads(text)
    keys = bucket_empty.home / "blobs.credentials"
    assert document["blobs"] == {
        "kind": "s3",
        "bucket": images.bucket,
        "endpoint": images.endpoint,
        "region": images.region,
        "root": "registry",
        "credentials_file": str(keys),
        "addressing": "path",
    }
    assert document["vault"] == {
        "bucket": vault.bucket,
        "endpoint": vault.endpoint,
        "prefix": "of-harbor",
        "credentials_file": str(bucket_site.vault_credentials),
        "addressing": "path",
    }
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert [name for name, value in bucket_site.planted.items() if value in text] == []


def test_init_wants_a_vault_that_is_there(bucket_site: Site, new_home: Callable[[], Path]) -> None:
    drkit = Drkit(new_home())
    words = ["init", "--harbor", str(bucket_site.harbor_yml), "--repository", str(drkit.repository)]
    words += ["--output", str(drkit.config), "--state", str(drkit.state)]
    message = "the images are in a bucket: name the bucket that is to keep them"
    fails(drkit, words, 2, "usage_error", message, "--vault s3://.*; --vault-credentials FILE .*")

    vault = bucket_site.vault
    assert vault is not None
    words += ["--vault-credentials", str(bucket_site.vault_credentials), "--vault"]
    nowhere = f"{vault.endpoint}/no-such-bucket"
    message = exactly(f"there is no bucket s3://no-such-bucket at {vault.endpoint}")
    fails(drkit, [*words, nowhere], 7, "bucket_missing", message, "see bucket and endpoint, or create it")

    assert bucket_site.images is not None
    same = "the vault would be the bucket that it protects, .*"
    fails(drkit, [*words, bucket_site.images.url], 2, "usage_error", same, "name another bucket .*")
    assert not drkit.home.exists(), "nothing was written"


def test_init_of_a_directory_wants_none(tmp_path: Path, new_home: Callable[[], Path]) -> None:
    drkit = Drkit(new_home())
    harbor_yml = tmp_path / "harbor.yml"
    harbor_yml.write_text(
        f"hostname: h\ndata_volume: {tmp_path}\nexternal_database: {{harbor: {{host: 127.0.0.1}}}}\n"
    )
    (tmp_path / "registry").mkdir()
    words = ["init", "--harbor", str(harbor_yml), "--repository", str(drkit.repository)]
    words += ["--output", str(drkit.config), "--vault", "s3://vault"]
    message = "a vault keeps the images of a registry in a bucket, and this one's are in no bucket"
    fails(drkit, words, 2, "usage_error", message, "leave --vault out")


# doctor


def refuses(drkit: Drkit, code: int, kind: str, message: str, hint: str) -> Ended:
    """Doctor finds a problem, and this one; regular expressions as in `fails`."""
    ended = drkit.run("doctor", "--json")
    assert ended.code == code, ended
    assert_error(ended, kind, message, hint)
    return ended


def test_doctor_tries_both_ends(drkit: Drkit, bucket_site: Site, vault: Storage) -> None:
    result = drkit.ask("doctor")
    good = [each["detail"] for each in result["findings"] if each["state"] == "ok"]
    images = bucketed.images(bucket_site)
    assert f"{images.where} at {images.endpoint}, can be listed and read" in good
    assert f"{vault.where} at {vault.endpoint}, can be listed, written and read" in good
    # Restic's password, the database's, the identity, cosign's password, and both ends' keys.
    assert "6 files that nobody else may read" in good
    assert buckets.versions(vault) == [], "what it tried with is gone"


def test_doctor_warns_of_what_could_take_both_ends(drkit: Drkit, bucket_site: Site) -> None:
    found = warnings(drkit)
    assert "what [blobs] sends goes over the network unencrypted" in found
    assert "what [vault] sends goes over the network unencrypted" in found
    assert "the bucket has no Object Lock: whoever may delete in it can delete all that it keeps" in found
    both = "both buckets have the same credentials: whoever has them can delete both"
    if bucket_site.services[0].is_dir():
        assert both not in found
        # This service knows no users, and obeys everybody: that is what doctor has found out.
        assert "the credentials of [blobs] may delete in the vault, too" in found
    drkit.change(in_section("vault", credentials_file=str(drkit.home / "blobs.credentials")))
    assert both in warnings(drkit)


def test_doctor_warns_of_a_vault_without_versions_beside_the_registry(
    drkit: Drkit, bucket_site: Site
) -> None:
    images = bucketed.images(bucket_site)
    with bucketed.new_bucket(images) as beside:
        here = {"bucket": beside.bucket, "endpoint": images.endpoint, "region": images.region}
        drkit.change(in_section("vault", **here))
        found = warnings(drkit)
        assert buckets.versions(beside) == []
    assert "it keeps no versions: what is overwritten or deleted there is lost" in found
    said = "it is at the registry's own service, in the same region: one failure may take both"
    assert said in found


def test_doctor_finds_no_registry_below_a_wrong_root(drkit: Drkit, bucket_site: Site) -> None:
    images = bucketed.images(bucket_site)
    drkit.change(in_section("blobs", root="another"))
    message = (
        f"2 problems; the first: no registry is in s3://{images.bucket}/another at {images.endpoint}: "
        "nothing stands below another/docker/registry/v2/blobs"
    )
    ended = refuses(drkit, 4, "config_error", exactly(message), "see root in .*")
    assert ended.envelope["result"]["problems"] == 2, "the other is that harbor.yml names another root"


def test_doctor_misses_a_vault_that_is_not_there(drkit: Drkit, vault: Storage) -> None:
    drkit.change(in_section("vault", bucket="no-such-bucket"))
    message = exactly(f"1 problem; the first: there is no bucket s3://no-such-bucket at {vault.endpoint}")
    refuses(drkit, 7, "bucket_missing", message, "see bucket and endpoint, or create it")


def test_doctor_leaves_the_vault_of_another_repository_alone(drkit: Drkit, vault: Storage) -> None:
    other = {"id": "ab" * 32, "site": "registry.example.test", "url": "/backup/other"}
    buckets.put(vault, f"drkit/repositories/{other['id']}.json", json.dumps(other).encode())
    message = (
        f"1 problem; the first: the vault {vault.where} at {vault.endpoint} keeps the blobs of another"
        f" repository: repository {other['id'][:16]} of the site registry.example.test (/backup/other)"
    )
    try:
        refuses(drkit, 7, "not_ours", exactly(message), "give this site a vault of its own .*")
        drkit.change(in_section("vault", shared=True))
        assert any("relies on it too" in said for said in warnings(drkit))
    finally:
        buckets.empty(vault)


def test_doctor_minds_keys_that_others_may_read(drkit: Drkit) -> None:
    keys = drkit.home / "blobs.credentials"
    keys.chmod(0o644)
    message = exactly(f"1 problem; the first: others may read {keys}")
    try:
        refuses(drkit, 4, "config_error", message, exactly(f"chmod 600 {keys}"))
    finally:
        keys.chmod(0o600)
