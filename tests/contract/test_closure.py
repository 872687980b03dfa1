"""What a snapshot holds, listed by restic, against what must be in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from drkit.blobs import closure, digests
from drkit.blobs.closure import Damage, Prover
from drkit.blobs.directory import listing
from drkit.blobs.survey import ARTIFACTS, OnDisk, Surveyor, keep_images
from drkit.errors import ToolFailed
from drkit.model import LinkProof
from drkit.registry import image_manifests, links, storage
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from tests import needs

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


def surveyor(root: Path, directory: Path) -> Surveyor:
    return Surveyor(directory, directory / "memory.db", partial(image_manifests.read, root), OnDisk(root))


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
    found, damage = closure.compare(OnDisk(root).size, referenced, present)
    assert damage == Damage(in_production=3, in_capture=1, lost=(ours,), gone=(theirs,))
    assert found.missing_names == (ours, theirs)
    assert [(m.digest, m.stored) for m in found.mismatches] == [(short, 3), (wrong, dict(listed)[wrong])]
    assert found.unreferenced_names == (listed[-1][0],)


def test_links_by_their_length(repository: Repository, root: Path) -> None:
    first, second, *_ = (digest for digest, _ in storage.stored_blobs(root))
    empty, cut = link(root, "_layers", first, ""), link(root, "_manifests/revisions", second, second[:-1])
    saved, tally = save(repository, root), links.LinkCount()
    found = list(listing.captured_links(repository, saved.snapshot, str(root), tally))
    assert tally.proof() == LinkProof(41, 2, (empty, cut))
    assert set(map(links.revision_in, found)) - {None} == {("library/nginx", second)}
    assert len(found) == 41


def test_uploads_in_flight_are_left_out_and_a_tag_called_so_is_not(
    repository: Repository, root: Path
) -> None:
    base = root / _REPOSITORY
    names = ("_uploads/1/data", "_manifests/tags/_uploads/current/link", "_manifests/tags/v1/current/link")
    for name in names:
        (base / name).parent.mkdir(parents=True)
        (base / name).write_text("x")
    saved = save(repository, root, *storage.uploads_patterns(root))
    found = [path for path, _ in repository.files(saved.snapshot, f"{base}/_manifests")]
    assert found == [f"{base}/{name}" for name in names[1:]]
    assert not list(repository.files(saved.snapshot, f"{base}/_uploads"))


def test_one_pass_sees_what_two_do(repository: Repository, root: Path, directory: Path) -> None:
    first = next(digest for digest, _ in storage.stored_blobs(root))
    empty = link(root, "_layers", first, "")
    saved, tally = save(repository, root), links.LinkCount()
    alone = list(listing.captured_blobs(repository, saved.snapshot, str(root)))
    assert list(listing.captured_tree(repository, saved.snapshot, str(root), tally)) == alone
    assert tally.proof() == LinkProof(40, 1, (empty,))
    listed = directory / digests.FILE_NAME
    digests.write(listed, iter(alone[:-1]))
    digests.write(directory / ARTIFACTS, iter(()))
    keep_images(directory, ())
    found = []
    # So many files that a restic of its own lists the links.
    for files in (saved.files, 100_000):
        asked = surveyor(root, directory)
        prover = Prover(repository, root, replace(saved, files=files), asked)
        found.append(prover.prove(listed, partial(asked.by_database, listed)).closure)
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
    prover = Prover(repository, root, save(repository, root), surveyor(root, directory))
    listed = directory / digests.FILE_NAME
    proof = prover.prove_by_links(listed)
    assert digests.count(listed) == 42
    assert list(digests.from_file(directory / ARTIFACTS)) == [(image, None)]
    proof.raise_if_torn()
    assert (proof.closure.referenced, proof.closure.present, proof.closure.unreferenced) == (42, 42, 1)
    assert proof.closure.manifests is not None
    assert proof.closure.manifests.unlisted == 1
    assert len(proof.warnings) == 1


def test_what_only_the_snapshot_lacks_is_torn(repository: Repository, root: Path, directory: Path) -> None:
    lost = next(digest for digest, _ in storage.stored_blobs(root))
    saved = save(repository, root, str(storage.blob_path(root, lost)))
    prover = Prover(repository, root, saved, surveyor(root, directory))
    proof = prover.prove_by_links(directory / digests.FILE_NAME)
    with pytest.raises(ToolFailed, match=f"1 blobs are in production but not in the snapshot: {lost}"):
        proof.raise_if_torn()


@pytest.mark.parametrize("restics", [1, 3])
@pytest.mark.parametrize("what", ["project", "prefix", "blob", "pipe", "outside the branches"])
def test_what_is_neither_file_nor_directory_is_refused_by_name(
    repository: Repository,
    root: Path,
    directory: Path,
    what: str,
    restics: int,
) -> None:
    """restic keeps a link as a link: what production serves from behind it is not in the snapshot."""
    # As if there were very many: blobs and links are listed apart, blobs by several restics.
    apart = {"many": 10, "processors": restics + 1} if restics > 1 else {}
    tree = root / storage.TREE
    blobs = sorted((root / storage.BLOBS / "sha256").iterdir())
    places = {
        "project": tree / "repositories/library",
        "prefix": blobs[-1],
        "blob": next(blobs[0].rglob("data")),
        "pipe": tree / "repositories/pipe",
        "outside the branches": tree / "blobs/sha512",
    }
    place = places[what]
    if what == "pipe":
        os.mkfifo(place)
    else:
        if place.exists():
            place.rename(root.parent / "disk2")
        place.symlink_to(root.parent / "disk2")
    kind = "a named pipe" if what == "pipe" else "a symbolic link"
    found = storage.special_in_trunk(root)
    if what == "outside the branches":
        assert found == place, "looked at on disk, before anything is stored"
        return
    assert found is None
    prover = Prover(repository, root, save(repository, root), surveyor(root, directory), **apart)
    with pytest.raises(ToolFailed) as caught:
        prover.prove_by_links(directory / digests.FILE_NAME)
    assert f"{place} is {kind}" in caught.value.message


def test_a_file_system_mounted_further_down_is_followed(repository: Repository, root: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("only root mounts")
    place, other = root / storage.REPOSITORIES / "moved", root.parent / "disk2"
    place.mkdir()
    link(other, "_layers", store(root, b"of another disk"))
    subprocess.run(("mount", "--bind", str(other / _REPOSITORY), str(place)), check=True)
    try:
        saved = save(repository, root)
    finally:
        subprocess.run(("umount", str(place)), check=True)
    paths = [path for path, _size in repository.files(saved.snapshot, str(place))]
    assert len(paths) == 1
