"""Checks on restored OCI layouts, which ask nobody but the layouts; and the faults that they must catch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from drkit.blobs.dangling import Known
from drkit.blobs.directory.cleaning import LAYOUTS, clean
from drkit.blobs.layouts import on_disk
from drkit.blobs.layouts.spool import Gap, LayoutSpool
from drkit.checks import lists, tree
from drkit.checks.finding import Control, Finding, Unplanted, failed, not_provable, passed
from drkit.checks.manifests import NOTHING, told
from drkit.errors import ToolFailed
from drkit.progress import Meter
from drkit.registry import image_manifests, layouts, storage
from drkit.registry.image_list import Listed
from drkit.registry.ledger import Ledger
from drkit.tools.parallel import for_each
from drkit.tools.registry import hasher
from drkit.tools.tally import Tally

_WORKERS = min(4, os.cpu_count() or 1)
_PIECE = 1 << 20
# Blobs up to this size are copied to plant a fault in.
_SMALL = 4 << 20
# So many images are looked at for one that has a layer to be taken away.
_TRIES = 100
# (repository, digest, size) of a blob on disk.
Stored = tuple[str, str, int]


def every_blob(root: Path) -> Iterator[Stored]:
    """All blobs of all layouts."""
    for repository in layouts.repositories(root):
        for digest, size in layouts.stored(root, repository):
            yield repository, digest, size


def blobs_hash(
    root: Path,
    ledger: Ledger,
    wrong: Callable[[str, str], object] | None = None,
    meter: Meter | None = None,
    judged: Callable[[str, int, bool], object] | None = None,
) -> Finding:
    """Every blob's bytes hash to its name; a file with several names is read once.

    `wrong` is told of each repository's digest whose bytes are others, and `judged` of each file's digest by
    SHA-256 with its size and whether it was right; by several threads.
    """
    faults, count = Tally[str](), Tally[int]()

    def look(blob: Stored) -> None:
        repository, digest, size = blob
        path = root / layouts.blob_name(repository, digest)
        status = path.stat()
        count.add(size)
        if meter:
            meter.add(size)
        # Of a file that was wrong under one name each other name is wrong as well.
        file = f"{status.st_dev}:{status.st_ino}:{digest}"
        if ledger.claim(file):
            right = _hashes(path, digest)
            if judged and storage.is_digest(digest):
                judged(digest, size, right)
            if not right:
                faults.add(f"the bytes of {repository}@{digest} are others")
                if wrong:
                    wrong(repository, digest)
                return
            ledger.confirm(file)

    for_each(every_blob(root), look, _WORKERS)
    if faults:
        return failed(f"{faults.count:,} faults: {'; '.join(faults.first[:3])}")
    return passed(f"{count.count:,} blobs, every byte hashed") if count else not_provable("there is no blob")


def _hashes(path: Path, digest: str) -> bool:
    found = hasher(digest)
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        raise ToolFailed(f"cannot read {path}: {error.strerror}") from None
    return found.hexdigest() == digest.partition(":")[2]


def gaps(spool: LayoutSpool, dangling: Known) -> Iterator[Gap]:
    """What is needed and not there, but for what production did not serve either."""
    for gap in spool.gaps():
        unserved = gap.role != "blob" and gap.stored is None
        if not (unserved and dangling.image(gap.repository, gap.digest)):
            yield gap


def closure_holds(spool: LayoutSpool, dangling: Known = NOTHING) -> Finding:
    """Whatever an index or a manifest names is among the blobs of its repository, at its size."""
    found = Tally[str]()
    for gap in gaps(spool, dangling):
        said = "is missing" if gap.stored is None else f"has {gap.stored} bytes and should have {gap.size}"
        found.add(f"{gap.label} {said}")
    if found:
        return failed(f"{found.count:,} faults: {'; '.join(found.first[:3])}")
    if not spool.needed:
        return not_provable("no blob is referred to")
    return passed(f"all {spool.needed:,} blobs that are referred to are there, each in its repository")


def manifests_resolve(spool: LayoutSpool, dangling: Known = NOTHING) -> Finding:
    """Every index and every manifest can be read as one."""
    if spool.faults:
        return failed(f"{spool.faults.count:,} faults: {'; '.join(spool.faults.first[:3])}")
    if not spool.manifests:
        return not_provable("there is no manifest")
    return passed(
        f"{spool.manifests:,} manifests, each read from the blobs of its repository{told(dangling)}"
    )


def images_agree(spool: LayoutSpool, listed: Iterable[Listed]) -> Finding:
    """The images under their tags are those of the backup."""
    return lists.agree(listed, spool.images(), "images under their tags")


@dataclass(frozen=True)
class Faults:
    """The faults that are planted in copies of what stands below `root`; `scratch` is for the copies."""

    root: Path
    scratch: Path

    def controls(self) -> Iterator[Control | Unplanted]:
        """A link, a flipped byte and a cut blob; a missing layer, a lost tag and a torn index."""
        link = "one in place of a repository"
        yield Control("symbolic link", link, partial(_with_link, self.scratch / "link"))
        yield from self._of_blobs()
        yield from self._of_images()

    def _of_blobs(self) -> Iterator[Control | Unplanted]:
        sample = next((blob for blob in every_blob(self.root) if 0 < blob[2] <= _SMALL), None)
        if sample is None:
            reason = f"no blob of at most {_SMALL >> 20} MiB was restored"
            yield from (Unplanted(name, reason) for name in ("flipped byte", "truncated blob"))
            return
        repository, digest, size = sample

        def flip(path: Path) -> None:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)

        def cut(path: Path) -> None:
            os.truncate(path, size // 2)

        short = f"{repository}@{digest[:19]}"
        for name, said, spoil in (("flipped byte", "one bit", flip), ("truncated blob", "half", cut)):
            copy = self.scratch / name.partition(" ")[0]
            yield Control(name, f"{said} of {short}", partial(self._spoilt, copy, sample, spoil))

    def _spoilt(self, copy: Path, blob: Stored, spoil: Callable[[Path], None]) -> Finding:
        _make_layout(copy / blob[0], ())
        path = copy / layouts.blob_name(blob[0], blob[1])
        path.parent.mkdir(parents=True)
        shutil.copyfile(self.root / layouts.blob_name(blob[0], blob[1]), path)
        spoil(path)
        ledger = Ledger(copy / "ledger.db")
        try:
            return blobs_hash(copy, ledger)
        finally:
            ledger.close()

    def _of_images(self) -> Iterator[Control | Unplanted]:
        sample = next(filter(None, islice(self._samples(), _TRIES)), None)
        if sample is None:
            names = ("missing layer", "lost tag", "torn index")
            yield from (Unplanted(name, "no tag is that of an image with layers") for name in names)
            return
        repository, named, needs = sample
        layer = needs.blobs[-1].digest
        wanted = [named.digest, *(blob.digest for blob in needs.blobs)]
        image = f"{repository}@{named.digest[:19]}"

        def copied(name: str, left_out: str, *entries: layouts.Named, torn: bool = False) -> Path:
            copy = self.scratch / name
            _make_layout(copy / repository, entries, torn=torn)
            for digest in dict.fromkeys(wanted):
                if digest != left_out:
                    path = copy / layouts.blob_name(repository, digest)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    os.link(self.root / layouts.blob_name(repository, digest), path)
            return copy

        def without_layer() -> Finding:
            copy = copied("layer", layer, named)
            with on_disk.examined(copy, copy / "spool.db") as spool:
                return closure_holds(spool)

        def without_tag() -> Finding:
            copy = copied("tag", "")
            with on_disk.examined(copy, copy / "spool.db") as spool:
                return images_agree(spool, [Listed(repository, named.tag, named.digest)])

        def torn() -> Finding:
            copy = copied("torn", "", named, torn=True)
            with on_disk.examined(copy, copy / "spool.db") as spool:
                return manifests_resolve(spool)

        yield Control("missing layer", f"{layer[:19]} of {image} removed", without_layer)
        yield Control("lost tag", f"{image} taken out of {layouts.INDEX}", without_tag)
        yield Control("torn index", f"half of the {layouts.INDEX} of {image}", torn)

    def _samples(self) -> Iterator[tuple[str, layouts.Named, image_manifests.Needs] | None]:
        """Images with layers, None for others."""
        for repository in layouts.repositories(self.root):
            try:
                entries = layouts.index((self.root / repository / layouts.INDEX).read_bytes())
            except (OSError, ToolFailed):
                continue
            for named in filter(lambda entry: entry.tag, entries):
                path = self.root / layouts.blob_name(repository, named.digest)
                try:
                    needs = image_manifests.needs(named.digest, path.read_bytes())
                except (OSError, ToolFailed):
                    yield None
                    continue
                whole = all(
                    (self.root / layouts.blob_name(repository, blob.digest)).is_file() for blob in needs.blobs
                )
                yield (repository, named, needs) if needs.blobs and not needs.children and whole else None


def _make_layout(directory: Path, entries: tuple[layouts.Named, ...], *, torn: bool = False) -> None:
    directory.mkdir(parents=True)
    (directory / layouts.MARK).write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
    data = layouts.index_of(entries)
    (directory / layouts.INDEX).write_bytes(data[: len(data) // 2] if torn else data)


def _with_link(root: Path) -> Finding:
    root.mkdir(parents=True)
    (root / "library").symlink_to("/")
    return tree.only_files(clean(root, grammar=LAYOUTS))
