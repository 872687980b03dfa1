"""What a snapshot holds, listed by restic, against what must be in it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from drkit.errors import ToolFailed
from drkit.harbor import links, storage
from drkit.model import LinkProof, ManifestProof
from drkit.sources import closure, digests, listing
from drkit.sources.closure import ARTIFACTS, Damage, Prover
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

_REPOSITORY = "docker/registry/v2/repositories/library/nginx"


def store(root: Path, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    path = storage.blob_path(root, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return digest


def link(root: Path, kind: str, digest: str, held: str | None = None) -> str:
    name = f"{_REPOSITORY}/{kind}/sha256/{digest.removeprefix('sha256:')}/link"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(digest if held is None else held)
    return name


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "registry"
    for number in range(40):
        link(made, "_layers", store(made, f"blob {number}".encode()))
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def proved_manifests(root: Path, directory: Path) -> ManifestProof:
    return closure.prove_manifests(root, directory, directory / digests.FILE_NAME, directory / "memory.db")


def save(repository: Repository, root: Path, *excludes: str) -> Saved:
    return repository.save_directory(root, (), "host", excludes=excludes)


def test_several_restics_list_what_one_does(repository: Repository, root: Path, directory: Path) -> None:
    saved = save(repository, root)
    alone = list(listing.captured_blobs(repository, saved.snapshot, str(root)))
    assert alone == list(storage.stored_blobs(root))
    assert len(alone) == 40
    for count in (1, 2, 3, 4):
        together = listing.captured_at_once(repository, saved.snapshot, str(root), directory, count)
        assert list(together) == alone
    assert list(directory.iterdir()) == []
    # The first one is ended early each time, and takes its lock away.
    assert list(Path(repository.access.url, "locks").iterdir()) == []


def test_whose_fault_a_gap_is(repository: Repository, root: Path) -> None:
    listed = [(digest, size) for digest, size in storage.stored_blobs(root)]
    ours, theirs, short, wrong = (digest for digest, _ in listed[:4])
    storage.blob_path(root, theirs).unlink()
    storage.blob_path(root, short).write_bytes(b"cut")
    saved = save(repository, root, str(storage.blob_path(root, ours)))
    # Recorded wrongly: then production is as wrong as the snapshot.
    referenced = [(digest, 99 if digest == wrong else size) for digest, size in listed[:-1]]
    present = listing.captured_blobs(repository, saved.snapshot, str(root))
    found, damage = closure.compare(partial(closure.size_on_disk, root), referenced, present)
    assert damage == Damage(in_production=3, in_capture=1, lost=(ours,), gone=(theirs,))
    assert found.missing_names == (ours, theirs)
    assert [(m.digest, m.stored) for m in found.mismatches] == [(short, 3), (wrong, dict(listed)[wrong])]
    assert found.unreferenced_names == (listed[-1][0],)


def test_links_by_their_length(repository: Repository, root: Path) -> None:
    first, second, *_ = (digest for digest, _ in storage.stored_blobs(root))
    empty, cut = link(root, "_layers", first, ""), link(root, "_manifests/revisions", second, second[:-1])
    saved, tally = save(repository, root), links.Tally()
    found = list(listing.captured_links(repository, saved.snapshot, str(root), tally))
    assert tally.proof() == LinkProof(41, 2, (empty, cut))
    assert [digest for digest, revision in found if revision] == [second]
    assert len(found) == 41


def test_one_pass_sees_what_two_do(repository: Repository, root: Path, directory: Path) -> None:
    first = next(digest for digest, _ in storage.stored_blobs(root))
    empty = link(root, "_layers", first, "")
    saved, tally = save(repository, root), links.Tally()
    alone = list(listing.captured_blobs(repository, saved.snapshot, str(root)))
    assert list(listing.captured_tree(repository, saved.snapshot, str(root), tally)) == alone
    assert tally.proof() == LinkProof(40, 1, (empty,))
    listed = directory / digests.FILE_NAME
    digests.write(listed, iter(alone[:-1]))
    digests.write(directory / ARTIFACTS, iter(()))
    found = []
    # So many files that a restic of its own lists the links.
    for files in (saved.files, 100_000):
        prover = Prover(repository, root, replace(saved, files=files), directory)
        found.append(prover.prove(listed, lambda: proved_manifests(root, directory)).closure)
    assert found[0].links == found[1].links == tally.proof()
    assert replace(found[0], seconds=0) == replace(found[1], seconds=0)
    assert (found[0].present, found[0].unreferenced) == (39, 1)


def test_a_registry_without_a_database_is_proved_by_its_links(
    repository: Repository, root: Path, directory: Path
) -> None:
    kept = store(root, b"kept")
    layers = ",".join(f'{{"digest": "{d}", "size": 1}}' for d in (kept, store(root, b"without a link")))
    link(root, "_layers", kept)
    image = store(root, f'{{"layers": [{layers}]}}'.encode())
    link(root, "_manifests/revisions", image)
    prover = Prover(repository, root, save(repository, root), directory)
    listed = directory / digests.FILE_NAME
    assert prover.list_links(listed) == 42
    assert list(digests.from_file(directory / ARTIFACTS)) == [(image, None)]
    proof = prover.prove(listed, lambda: proved_manifests(root, directory))
    proof.raise_if_torn()
    assert (proof.closure.referenced, proof.closure.present, proof.closure.unreferenced) == (42, 42, 1)
    assert proof.closure.manifests is not None
    assert proof.closure.manifests.unlisted == 1
    assert len(proof.warnings) == 1


def test_what_only_the_snapshot_lacks_is_torn(repository: Repository, root: Path, directory: Path) -> None:
    lost = next(digest for digest, _ in storage.stored_blobs(root))
    saved = save(repository, root, str(storage.blob_path(root, lost)))
    prover = Prover(repository, root, saved, directory)
    prover.list_links(directory / digests.FILE_NAME)
    proof = prover.prove(directory / digests.FILE_NAME, lambda: proved_manifests(root, directory))
    with pytest.raises(ToolFailed, match=f"1 blobs are in production but not in the snapshot: {lost}"):
        proof.raise_if_torn()
