"""A host that has never seen a repository reads it with two restics, and is told only what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit.model import DrillNote, Outcome, PointStatus
from drkit.points.catalog import Catalog
from drkit.points.history import FILE_NAME
from drkit.points.reading import dump
from drkit.points.seals import DRILL, SEAL
from drkit.state.directory import State
from drkit.tools.restic.repository import Repository
from tests import samples

SITE = "registry.example.com"
NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
IDS = [f"2026112{day}-020000-aaaaaa" for day in range(4)]


@dataclass(frozen=True)
class Counted(Repository):
    """A repository that counts the files that are read from it."""

    read_from: list[tuple[str, str]] = field(default_factory=list)

    def read(self, snapshot: str, path: str, *, locked: bool = True) -> Iterator[bytes]:
        self.read_from.append((snapshot, path))
        return super().read(snapshot, path, locked=locked)


def catalog(repository: Repository, home: Path) -> Catalog:
    """That of a host with nothing in its state directory, of whose reads the repository keeps count."""
    state = State(home)
    state.prepare()
    access = replace(repository.access, cache=state.cache)
    return Catalog(Counted(access), SITE, state, state.catalog / "primary", "primary")


def reads(found: Catalog) -> Sequence[tuple[str, str]]:
    assert isinstance(found.repository, Counted)
    return found.repository.read_from


def seal(into: Catalog, number: int, directory: Path) -> str:
    """Seal a point that knows of those before it."""
    place = directory / f"seal-{number}"
    place.mkdir()
    at = NOW + timedelta(days=number)
    manifest = samples.manifest(IDS[number], at)
    return into.seal(manifest, place, at, known=into.look().snapshots).snapshot


def test_a_list_costs_two_restics_and_proves_cost_what_they_must(
    repository: Repository, tmp_path: Path
) -> None:
    first = catalog(repository, tmp_path / "first")
    sealed = [seal(first, number, tmp_path) for number in range(3)]
    note = samples.drill_note(IDS[0], NOW, outcome=Outcome.FAILED)
    tags = first.tags(note.point, DRILL + note.id)
    repository.save_stream([dump(DrillNote, note)], "drill.json", tags, SITE)
    sealed.append(seal(first, 3, tmp_path))

    other = catalog(repository, tmp_path / "other")
    listing = other.look()
    assert [point.id for point in listing.points] == IDS[::-1]
    assert [point.manifest_snapshot for point in listing.points] == sealed[::-1]
    assert {point.status for point in listing.points} == {PointStatus.SEALED}
    assert listing.points[-1].drills == (note,)
    assert reads(other) == [(sealed[3], f"/{FILE_NAME}")]
    assert other.look() == listing
    assert len(reads(other)) == 1, "what was read is kept"
    assert first.look() == listing, "who took them has read as much"

    # A proof takes nobody's word: each seal is read.
    bare = other.without_copies(tmp_path / "bare")
    bare = replace(bare, repository=Counted(bare.repository.access))
    assert bare.look() == listing
    assert {path for _, path in reads(bare)} == {"/manifest.json", "/drill.json"}
    assert {snapshot for snapshot, path in reads(bare) if path == "/manifest.json"} == set(sealed)


def test_what_is_kept_is_no_more_than_a_copy(repository: Repository, tmp_path: Path) -> None:
    """Emptied, exchanged for something else, or of a snapshot that is not there: the list is the same."""
    first = catalog(repository, tmp_path / "first")
    sealed = [seal(first, number, tmp_path) for number in range(3)]
    listing = first.look()
    assert reads(first) == []
    report = dump(DrillNote, samples.drill_note(IDS[0], NOW, outcome=Outcome.PASSED))
    (first.cache / f"{sealed[0]}.json").write_bytes(b"")
    (first.cache / f"{sealed[1]}.json").write_bytes(report)
    (first.cache / f"{'0' * 64}.json").write_bytes((first.cache / f"{sealed[2]}.json").read_bytes())
    assert first.look() == listing
    assert sorted(reads(first)) == sorted((each, "/manifest.json") for each in sealed[:2])
    assert {path.stem for path in first.cache.glob("*.json")} == set(sealed)


def test_what_others_say_is_not_believed_by_who_removes(repository: Repository, tmp_path: Path) -> None:
    first = catalog(repository, tmp_path / "first")
    for number in range(4):
        seal(first, number, tmp_path)
    other = catalog(repository, tmp_path / "other")
    listing = other.look()
    known = len(reads(other))
    assert other.by_own_seals().look() == listing
    assert [path for _, path in reads(other)[known:]] == ["/manifest.json"] * 4


def test_a_history_holds_for_what_it_was_read_from(repository: Repository, tmp_path: Path) -> None:
    first = catalog(repository, tmp_path / "first")
    for number in range(4):
        seal(first, number, tmp_path)
    # A seal that lacks its manifest now, and another snapshot that somebody has labelled as a seal.
    rewrite = repository.access.command(
        "rewrite", "--forget", "--exclude", "manifest.json", "--tag", f"drkit:point:{IDS[0]}"
    )
    repository.access.check(rewrite)
    stray = repository.save_stream([b"x"], "x", first.tags("20261101-020000-bbbbbb", SEAL), SITE).snapshot
    # New tags are no new content.
    repository.access.check(repository.access.command("tag", "--add", "x", "--tag", f"drkit:point:{IDS[1]}"))

    found = {point.id: point for point in catalog(repository, tmp_path / "other").points()}
    assert [point for point in IDS if found[point].manifest] == IDS[1:]
    assert found[IDS[0]].status is PointStatus.UNREADABLE
    assert found["20261101-020000-bbbbbb"].status is PointStatus.UNREADABLE
    assert stray[:8] in found["20261101-020000-bbbbbb"].broken_seal


def test_a_history_that_cannot_be_read_costs_time_alone(repository: Repository, tmp_path: Path) -> None:
    first = catalog(repository, tmp_path / "first")
    sealed = [seal(first, number, tmp_path) for number in range(4)]
    without = ("rewrite", "--forget", "--exclude", FILE_NAME)
    repository.access.check(repository.access.command(*without))
    other = catalog(repository, tmp_path / "other")
    assert [point.id for point in other.points()] == IDS[::-1]
    assert [path for _, path in reads(other)].count("/manifest.json") == len(sealed)
