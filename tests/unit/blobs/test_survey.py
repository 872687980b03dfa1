"""What a database lists, its manifests name, and production does not have."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from drkit.blobs import dangling, digests
from drkit.blobs.dangling import Known
from drkit.blobs.survey import ARTIFACTS, OnDisk, Survey, Surveyor, keep_images
from drkit.registry import image_manifests, storage
from tests import plain

REPOSITORY = "library/app"


class Harbor:
    """A storage tree, and what a database says of it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "registry"
        self.run = directory / "run"
        self.run.mkdir()

    def blob(self, data: bytes) -> str:
        digest = plain.sha256(data)
        path = storage.blob_path(self.root, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest

    def manifest(self, **document: object) -> str:
        digest = self.blob(json.dumps(document).encode())
        link = self.root / storage.REPOSITORIES / REPOSITORY / "_manifests/revisions/sha256"
        (link / plain.digits(digest)).mkdir(parents=True, exist_ok=True)
        (link / plain.digits(digest) / "link").write_text(digest)
        return digest

    def survey(self, artifacts: list[str], listed: list[str]) -> tuple[Survey, Known]:
        digests.write(self.run / ARTIFACTS, ((digest, None) for digest in sorted(artifacts)))
        digests.write(self.run / digests.FILE_NAME, ((digest, None) for digest in sorted(listed)))
        keep_images(self.run, ((REPOSITORY, digest) for digest in artifacts))
        read = partial(image_manifests.read, self.root)
        surveyor = Surveyor(self.run, self.run / "memory.db", read, OnDisk(self.root))
        found = surveyor.by_database(self.run / digests.FILE_NAME)
        return found, Known(dangling.from_lines([(self.run / dangling.FILE_NAME).read_bytes()]))


@pytest.fixture
def harbor(tmp_path: Path) -> Harbor:
    return Harbor(tmp_path)


def entry(digest: str, kind: str = plain.LAYER, **more: object) -> plain.Entry:
    return {"mediaType": kind, "digest": digest, "size": 1, **more}


def test_a_sparse_index_and_a_layer_from_elsewhere_are_recorded(harbor: Harbor) -> None:
    far = entry(plain.sha256(b"far"), urls=["https://e.test/far"])
    child = harbor.manifest(layers=[entry(harbor.blob(b"layer")), far])
    never = plain.sha256(b"never pushed")
    index = harbor.manifest(manifests=[entry(child, plain.IMAGE), entry(never, plain.IMAGE)])
    found, known = harbor.survey([index, child], [index, child, plain.sha256(b"layer"), far["digest"]])
    assert found.proof.whole
    assert (found.dangling, found.elsewhere) == (2, frozenset([far["digest"]]))
    assert known.image(REPOSITORY, never)
    assert not known.image("other/app", never)
    assert known.layer(far["digest"])


def test_what_the_database_lists_is_not_excused(harbor: Harbor) -> None:
    lost = plain.sha256(b"an artifact")
    index = harbor.manifest(manifests=[entry(lost, plain.IMAGE)])
    found, known = harbor.survey([index, lost], [index, lost])
    assert found.proof.fault_names == (f"the manifest {lost} is not there",)
    assert (found.dangling, known.image(REPOSITORY, lost)) == (0, False)


def test_a_layer_with_urls_that_is_stored_or_needed_elsewhere_is_required(harbor: Harbor) -> None:
    here, needed = harbor.blob(b"here"), plain.sha256(b"needed")
    one = harbor.manifest(layers=[entry(here, urls=["u"]), entry(needed, urls=["u"])])
    two = harbor.manifest(layers=[entry(needed)])
    found, _ = harbor.survey([one, two], [one, two, here, needed])
    assert (found.dangling, found.elsewhere) == (0, frozenset())
