"""A site whose images are in a bucket is what it claims to be, and can be damaged and lost like any other."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import testenv
from testenv import buckets, damage, invariants, processes, s3_server
from testenv.buckets import Storage


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testenv.Site]:
    root = tmp_path_factory.mktemp("site") / "site"
    made = testenv.create(root, testenv.TINY, storage="s3")
    yield made
    testenv.destroy(root)
    assert not any(map(s3_server.running, made.services))


@pytest.fixture
def images(site: testenv.Site) -> Storage:
    assert site.images is not None
    return site.images


def undamaged(site: testenv.Site, images: Storage, tmp_path: Path) -> list[str]:
    tree = buckets.download(images, tmp_path / "tree")
    with testenv.connect(site) as connection:
        return [
            *invariants.torn_rows(connection),
            *invariants.wrong_files(connection, tree),
            *invariants.wrong_manifests(connection, tree),
        ]


def test_rows_objects_and_manifests_agree(site: testenv.Site, images: Storage, tmp_path: Path) -> None:
    digest = testenv.push_image(site, "library", "one-more", "v1", [b"one", b"two"])
    assert undamaged(site, images, tmp_path) == []
    assert damage.blob_name(digest) in buckets.names(images)
    assert not site.blobs.exists(), "nothing of it is in the file system"


def test_harbor_yml_leads_to_the_bucket(site: testenv.Site, images: Storage) -> None:
    settings = yaml.safe_load(site.harbor_yml.read_text())["storage_service"]["s3"]
    assert (settings["bucket"], settings["rootdirectory"]) == (images.bucket, "/registry")
    assert (settings["accesskey"], settings["secretkey"]) == (images.key_id, images.secret)


def test_its_keys_are_planted_and_private(site: testenv.Site, images: Storage) -> None:
    assert site.vault is not None
    assert {images.secret, site.vault.secret} <= set(site.planted.values())
    files = (site.vault_credentials, site.root / "run/registry.yml", site.harbor_yml)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_the_vault_keeps_versions_and_the_registry_does_not(site: testenv.Site, images: Storage) -> None:
    assert site.vault is not None
    for storage, count in ((images, 1), (site.vault, 2)):
        for content in (b"1", b"2"):
            buckets.put(storage, "twice", content)
        assert len([key for key, _, _ in buckets.versions(storage) if key.endswith("/twice")]) == count
        buckets.empty(Storage(**{**vars(storage), "prefix": storage.key("twice")}))


def test_stop_and_start_leave_the_providers_alone(site: testenv.Site, images: Storage) -> None:
    before = buckets.names(images)
    testenv.stop(site)
    assert not testenv.running(site)
    testenv.start(site)
    assert (testenv.running(site), buckets.names(images)) == (True, before)
    assert testenv.load(site.root) == site


def test_damage_is_seen(site: testenv.Site, images: Storage, tmp_path: Path) -> None:
    digest = testenv.push_image(site, "library", "to-be-damaged", "v1", [b"1", b"2", b"3", b"4"])
    first, second, third, fourth = damage.layers_of(site, digest)
    damage.remove_blob(site, first)
    damage.truncate_blob(site, second)
    damage.flip_byte(site, third, at=20)
    damage.empty_link(site, "library/to-be-damaged", fourth)
    orphan = damage.orphan_blob(site)
    found = undamaged(site, images, tmp_path)
    for expected in (f"missing: {first}", f"size: {second}", f"hash: {third}", f"unknown: {orphan}"):
        assert expected in found
    link = f"docker/registry/v2/repositories/library/to-be-damaged/_layers/{fourth.replace(':', '/')}/link"
    assert buckets.names(images)[link] == 0


def test_lost_and_not_started_without_its_provider(site: testenv.Site, images: Storage) -> None:
    """After everything else."""
    testenv.lose(site, "blobs")
    assert buckets.names(images) == {}
    if not site.services[0].is_dir():
        pytest.skip("the service is not the site's own")
    s3_server.stop(site.services[0])
    with pytest.raises(processes.ServerError, match="memory of a service"):
        testenv.start(site)
