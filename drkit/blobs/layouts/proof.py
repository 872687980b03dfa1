"""Proving that a capture of OCI layouts is whole: its own indexes and manifests against its own blobs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from drkit.blobs import dangling, digests
from drkit.blobs.closure import Damage, Proof
from drkit.blobs.directory.listing import Special
from drkit.blobs.layouts.spool import Gap, LayoutSpool
from drkit.errors import SourceChanged, ToolFailed
from drkit.model import Closure, Dangling, ManifestProof, SizeMismatch
from drkit.registry import image_list, layouts
from drkit.registry.image_manifests import LARGEST
from drkit.state.directory import remove_tree
from drkit.tools.registry import hashes_to
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import Tally

_HINT = "run the backup again, when less is pushed and deleted"


@dataclass(frozen=True)
class Production:
    """The root directory as it is now."""

    root: Path

    def size(self, repository: str, digest: str) -> int | None:
        """The size of a blob of a repository, or None where it is not there; raises ToolFailed."""
        path = self.root / layouts.blob_name(repository, digest)
        try:
            return path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ToolFailed(f"cannot look at {path}: {error.strerror}") from None

    def manifest(self, repository: str, digest: str) -> bytes | None:
        """The bytes of a manifest, or None where they are not there, or others."""
        try:
            with (self.root / layouts.blob_name(repository, digest)).open("rb") as file:
                data = file.read(LARGEST + 1)
            return data if hashes_to(data, digest) else None
        except (OSError, ToolFailed):
            return None

    def index(self, repository: str) -> tuple[layouts.Named, ...]:
        """What the index of a repository names now; empty where it is gone. Raises ToolFailed."""
        try:
            return layouts.index((self.root / repository / layouts.INDEX).read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ToolFailed(f"cannot read the index of {repository}: {error.strerror}") from None


@dataclass
class LayoutProver:
    """Proves what was saved of a root directory; `directory` is the run's own.

    `listed` and `images` are the lists that it writes: of digests that must be there, and of images by tag.
    With `last` it takes what production has lost meanwhile for damage, and no longer asks for another try.
    """

    repository: Repository
    root: Path
    saved: Saved
    directory: Path
    last: bool = False
    _special: Special = field(default_factory=Special)

    @property
    def listed(self) -> Path:
        """The file of the list of digests."""
        return self.directory / digests.FILE_NAME

    @property
    def images(self) -> Path:
        """The file of the list of images."""
        return self.directory / image_list.FILE_NAME

    def prove(self) -> Proof:
        """What is in the snapshot, and is it whole?

        Raises SourceChanged where an index was caught while it was written, or is of another time than its
        blobs; ToolFailed where links or other special files are in the snapshot.
        """
        started = time.monotonic()
        with closing(LayoutSpool(self.directory / "layouts.db")) as spool:
            spool.add_present(self._present())
            self._special.raise_if_any()
            self._read_indexes(spool)
            spool.walk(self._manifest)
            gaps, damage = self._judge(spool)
            closure = self._closure(spool, gaps, round(time.monotonic() - started, 3))
            self._write(spool, gaps.unserved)
        return Proof(str(self.root), closure, damage)

    def _present(self) -> Iterator[tuple[str, str, int]]:
        start = len(str(self.root)) + 1
        listing = self.repository.files(self.saved.snapshot, str(self.root), special=self._special.add)
        for path, size in listing:
            found = layouts.parse(path[start:])
            if found and found.digest:
                yield found.repository, found.digest, size

    def _read_indexes(self, spool: LayoutSpool) -> None:
        """From the snapshot, for production's may be newer by now."""
        captured, patterns = self.directory / "indexes", self.directory / "indexes.patterns"
        remove_tree(captured)
        captured.mkdir(mode=0o700)
        patterns.write_text(f"{layouts.INDEX}\n{layouts.MARK}\n", encoding="utf-8")
        self.repository.restore(f"{self.saved.snapshot}:{self.root}", captured, include=patterns)
        for repository in layouts.repositories(captured):
            try:
                spool.add_index(
                    repository, layouts.index((captured / repository / layouts.INDEX).read_bytes())
                )
            except ToolFailed as error:
                self._torn(spool, repository, error.message)

    def _torn(self, spool: LayoutSpool, repository: str, said: str) -> None:
        """An index that cannot be read: one that production cannot read either is its own damage."""
        try:
            Production(self.root).index(repository)
        except ToolFailed:
            spool.faults.add(f"{layouts.INDEX} of {repository}: {said}")
            return
        raise SourceChanged(
            f"the {layouts.INDEX} of {repository} was being written while it was read", hint=_HINT
        )

    def _manifest(self, repository: str, digest: str) -> bytes | None:
        """Production has the same bytes at hand, as long as nobody deletes them."""
        data = Production(self.root).manifest(repository, digest)
        if data is not None:
            return data
        path = f"{self.root}/{layouts.blob_name(repository, digest)}"
        held = b""
        for piece in self.repository.read(self.saved.snapshot, path):
            held += piece
            if len(held) > LARGEST:
                break
        return held

    def _judge(self, spool: LayoutSpool) -> tuple[_Gaps, Damage]:
        """Whose fault the gaps are; raises SourceChanged where they come from reading at two times."""
        production, gaps = Production(self.root), _Gaps()
        ours, theirs = Tally[str](), 0
        for gap in spool.gaps():
            now = production.size(gap.repository, gap.digest)
            if now is not None and gap.size in (None, now):
                ours.add(gap.label)
            elif self._deleted(production, gap):
                raise SourceChanged(
                    f"images of {gap.repository} were deleted while they were read", hint=_HINT
                )
            else:
                theirs += gap.role == "blob" or gap.stored is not None
            gaps.add(gap)
        if ours and not self.last:
            raise SourceChanged(
                f"{ours.count:,} blobs were pushed while {self.root} was read: {', '.join(ours.first[:3])}",
                hint=_HINT,
            )
        return gaps, Damage(theirs, ours.count, ours.first, gaps.missing.first)

    def _deleted(self, production: Production, gap: Gap) -> bool:
        """Whether production no longer has the images that the index of the snapshot names."""
        if self.last:
            return False
        captured = self.directory / "indexes" / gap.repository / layouts.INDEX
        then = {entry.digest for entry in layouts.index(captured.read_bytes())}
        return not then <= {entry.digest for entry in production.index(gap.repository)}

    def _closure(self, spool: LayoutSpool, gaps: _Gaps, seconds: float) -> Closure:
        needed, spare, spare_bytes = spool.needed - len(gaps.unserved), Tally[str](), 0
        for repository, digest, size in spool.spare():
            spare.add(f"{repository}@{digest}")
            spare_bytes += size
        dangles = _dangling(spool, gaps.unserved)
        count, names = dangling.write(self.directory / dangling.FILE_NAME, dangles)
        return Closure(
            referenced=needed,
            present=needed - gaps.missing.count,
            missing=gaps.missing.count,
            size_mismatch=gaps.mismatches.count,
            unreferenced=spare.count,
            missing_names=gaps.missing.first,
            mismatch_names=tuple(each.digest for each in gaps.mismatches.first),
            unreferenced_names=spare.first,
            mismatches=gaps.mismatches.first,
            unreferenced_bytes=spare_bytes,
            seconds=seconds,
            manifests=ManifestProof(
                spool.manifests, spool.manifests, spool.faults.count, fault_names=spool.faults.first
            ),
            dangling=count,
            dangling_names=names,
        )

    def _write(self, spool: LayoutSpool, unserved: Iterable[Gap]) -> None:
        digests.write(self.listed, spool.digests(unserved))
        with self.images.open("wb") as file:
            file.writelines(image_list.to_lines(spool.images()))


@dataclass
class _Gaps:
    """What is missing as a blob or of the wrong size, and manifests that nobody can be served."""

    missing: Tally[str] = field(default_factory=Tally)
    mismatches: Tally[SizeMismatch] = field(default_factory=Tally)
    unserved: list[Gap] = field(default_factory=list)

    def add(self, gap: Gap) -> None:
        if gap.stored is not None:
            self.mismatches.add(SizeMismatch(gap.label, gap.size or 0, gap.stored))
        elif gap.role == "blob":
            self.missing.add(gap.label)
        else:
            self.unserved.append(gap)


def _dangling(spool: LayoutSpool, unserved: Iterable[Gap]) -> Iterator[Dangling]:
    """Each tag that leads to no manifest, and each manifest and child that is not there."""
    gone = {(gap.repository, gap.digest): gap for gap in unserved}
    for repository, tag, digest in spool.tags():
        if (repository, digest) in gone:
            yield Dangling("tag", repository, tag, digest)
    for gap in gone.values():
        if gap.role == "child":
            yield Dangling("child", gap.repository, gap.by, gap.digest)
        else:
            yield Dangling("manifest", gap.repository, "", gap.digest)
