"""Looking at a registry that runs: databases first, then its links, then its blobs; nothing is changed.

What a push or a garbage collection does meanwhile is no damage: whatever looks wrong is looked at again, in
the database first and then in the storage, before it is told.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from drkit import config
from drkit.actions.audit import databases
from drkit.actions.audit.databases import Again, DatabaseView
from drkit.actions.audit.missing_links import MissingLinks
from drkit.actions.audit.plan import Account, FaultKind, Seen, Verdict, joined, judge
from drkit.blobs import dangling, digests
from drkit.blobs.dangling import ImageSpool
from drkit.blobs.digests import Spool
from drkit.blobs.inventory import Entry
from drkit.blobs.link_index import LinkIndex
from drkit.blobs.live import LinkSeen, LiveTree, Stored
from drkit.blobs.manifest_cache import ManifestCache
from drkit.blobs.share import share
from drkit.blobs.survey import ARTIFACTS, Survey, Surveyor
from drkit.blobs.units import executors
from drkit.blobs.units.unit import Outcome, Wrong
from drkit.blobs.units.work import Hashing
from drkit.errors import ToolFailed
from drkit.model import Shared, utc_now
from drkit.progress import Listener, Meter, Update
from drkit.registry import link_tree, storage
from drkit.tools import json_lines
from drkit.tools.batches import batches
from drkit.tools.process import stopping

log = logging.getLogger(__name__)

# Blobs that are no older may be part of a push whose manifest comes yet: Harbor's own garbage collection
# leaves these alone as well (GC_TIME_WINDOW_HOURS).
YOUNG = timedelta(hours=2)
_TOLD = 5_000
_BATCH = 10_000

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Examination:
    """One look at everything; `directory` is the run's own, `memory` remembers what manifests need."""

    def __init__(
        self, settings: config.Config, tree: LiveTree, directory: Path, memory: Path, listener: Listener
    ) -> None:
        self._settings = settings
        self._tree = tree
        self._directory = directory
        self._memory = memory
        self._listener = listener
        self.began = utc_now()
        self._surveyor = Surveyor(directory, memory, tree.needs, tree.production, tree.readers)
        self._listed = directory / digests.FILE_NAME
        self._suspects = directory / "suspects.jsonl"
        self._sound = directory / "sound.jsonl"
        self._chosen = directory / "chosen.jsonl"
        self.faulty = Spool(directory / "faulty.db")
        # What is needed by a digest of another algorithm, which few tools make: no list has its SHA-256.
        self._renamed: set[str] = set()
        # The blobs told of; what is more than these is not told of twice.
        self._told: set[str] = set()
        self.links = 0
        self.read = 0
        self.read_bytes = 0
        self.shared: Shared | None = None
        self.survey: Survey | None = None
        self.view: DatabaseView | None = None

    def run(self, subset: str | None) -> Account:
        """Look at everything, and hash the bytes of that share. Raises ToolFailed, what databases raise."""
        self._listener(Update("ask the database"))
        self.view = databases.look(self._settings, self._directory)
        self._listener(Update("ask the database", finished=True))
        moment = self.view.consistent_at or self.began
        account = Account((moment - YOUNG).timestamp())
        for _name, relation in self.view.torn:
            account.fault(FaultKind.DANGLING_ROW, databases.sentence(relation), count=relation.torn)
        with closing(LinkIndex(self._directory / "links.db")) as index:
            if self.view.listed is None:
                self._by_links(account, index, subset)
            else:
                self._by_database(account, index, subset)
        return account

    def _by_database(self, account: Account, index: LinkIndex, subset: str | None) -> None:
        assert self.view is not None
        again = Again(self._settings, self.view.names)
        self._read_links(account, index, None)
        self._listener(Update("read manifests"))
        self.survey = self._surveyor.by_database(self._listed)
        self._listener(Update("read manifests", finished=True))
        self._compare(account, index, subset, self.survey.elsewhere.__contains__)
        self._look_again(account, again.still_needed)
        self._without_links(account, FaultKind.DANGLING_ROW, self._links(index).images(again.has_image))
        self._without_links(account, FaultKind.MISSING_LINK, self._links(index).layers(again.has_image))
        self._of_survey(account, self.survey)

    def _by_links(self, account: Account, index: LinkIndex, subset: str | None) -> None:
        """Without a Harbor's database: what the manifests that are linked need, and nothing else."""
        images = ImageSpool(self._directory / dangling.IMAGES)
        self._read_links(account, index, images)
        digests.write(self._directory / ARTIFACTS, images.manifests())
        self._listener(Update("read manifests"))

        def compare(store: ManifestCache) -> None:
            self._listener(Update("read manifests", finished=True))
            self._compare(account, index, subset, store.is_excused)
            self._look_again(account, lambda batch: {each for each in batch if self._is_held(each, store)})

        _, self.survey = self._surveyor.by_manifests(images, self._listed, compare)
        linked = self._tree.production.linked
        self._without_links(account, FaultKind.MISSING_LINK, self._links(index).layers(linked))
        self._of_survey(account, self.survey)

    def _read_links(self, account: Account, index: LinkIndex, images: ImageSpool | None) -> None:
        """Take every link in; an image spool is told of revisions and tags."""
        stage = "list links"
        for batch in batches(self._tree.links(), _TOLD):
            stopping.stop_if_asked()
            for seen in batch:
                self._take(account, index, seen)
            if images is not None:
                sound = [seen for seen in batch if seen.sound]
                images.add_images((s.file.repository, s.held) for s in sound if s.file.kind == "revision")
                tags = (s for s in sound if s.file.kind == "tag")
                images.add_tags((s.file.repository, s.file.tag, s.held) for s in tags)
            self.links += len(batch)
            self._listener(Update(stage, self.links, None, "items"))
        self._listener(Update(stage, finished=True))

    def _take(self, account: Account, index: LinkIndex, seen: LinkSeen) -> None:
        file = seen.file
        if not seen.sound and self._tree.is_damaged(file.path):
            account.fault(FaultKind.BAD_LINK, file.path, (file.project,))
        # One that is empty still tells by its name which blob it is for.
        digest = seen.held if seen.sound else file.digest
        if file.kind in ("layer", "revision") and (seen.sound or storage.is_digest(digest)):
            index.add(file, digest)
            if not file.digest.startswith("sha256:"):
                self._renamed.add(digest)

    def _compare(
        self, account: Account, index: LinkIndex, subset: str | None, excused: Callable[[str], bool]
    ) -> None:
        """One pass over everything; what looks wrong is kept to be looked at again."""
        stream = joined(digests.from_file(self._listed), self._blobs(), index.named())
        with self._suspects.open("wb") as suspects, self._sound.open("wb") as sound:
            for seen in stream:
                verdict = judge(seen, excused)
                if verdict is Verdict.UNREFERENCED and seen.digest in self._renamed:
                    verdict = Verdict.SOUND
                account.count(seen, verdict)
                if verdict in (Verdict.MISSING, Verdict.WRONG_SIZE):
                    suspects.write(_line(seen))
                elif subset and verdict is Verdict.SOUND:
                    sound.write(_line(seen))
        self._refuse_nothing(account)
        if subset:
            self._read_share(account, subset)

    def _blobs(self) -> Iterator[Stored]:
        stage, count = "list blobs", 0
        for batch in batches(self._tree.blobs(), _TOLD):
            stopping.stop_if_asked()
            yield from batch
            count += len(batch)
            self._listener(Update(stage, count, None, "items"))
        self._listener(Update(stage, finished=True))

    def _refuse_nothing(self, account: Account) -> None:
        """A volume that is not mounted is no million of lost blobs."""
        if account.referenced and not account.total.blobs:
            raise ToolFailed(
                f"none of the {account.referenced:,} blobs that are referred to is in {self._tree.where}",
                hint="is the right volume mounted there? see [blobs]",
            )

    def _read_share(self, account: Account, subset: str) -> None:
        """Hash that share of the blobs that are needed; wrong ones join those to be looked at again."""
        stage, lock = "read blobs", threading.Lock()
        meter = Meter(self._listener, stage, self._choose(subset))
        wrong: dict[str, Wrong] = {}

        def settle(entry: Entry, found: Outcome) -> None:
            with lock:
                if isinstance(found, Wrong):
                    wrong[entry.digest] = found
                if not isinstance(found, Wrong) or found.kind != "gone":
                    self.read += 1
                    self.read_bytes += entry.size

        hashing = Hashing(self._tree.source(self._settings.cluster))
        executor = executors.executor(self._settings.cluster, self._tree.readers, self._directory)
        chosen = (self._tree.entry(digest, size) for digest, size, _projects in _lines(self._chosen))
        executor.run(chosen, hashing, settle, meter)
        self.shared = executor.shared
        self._tell_wrong(account, wrong)
        self._listener(Update(stage, finished=True))

    def _tell_wrong(self, account: Account, wrong: Mapping[str, Wrong]) -> None:
        if not wrong:
            return
        with self._suspects.open("ab") as suspects:
            for digest, size, projects in _lines(self._chosen):
                found = wrong.get(digest)
                if found is None:
                    continue
                if found.kind == "gone":
                    # It has vanished since it was listed: is it needed still?
                    suspects.write(json.dumps((digest, size, projects)).encode() + b"\n")
                    continue
                if found.said:
                    log.warning("what cannot be read is damaged: %s", found.said)
                account.fault(FaultKind.WRONG_BYTES, f"the bytes of {digest} do not hash to it", projects)
                self._note(digest, size)

    def _choose(self, subset: str) -> int:
        """Write down which blobs are to be read; returns how many bytes they have."""
        wanted = share(subset, sum(size for _digest, size, _projects in _lines(self._sound)))
        total = 0
        with self._sound.open("rb") as sound, self._chosen.open("wb") as chosen:
            for line in sound:
                digest, size, _projects = json.loads(line)
                if wanted(digest):
                    total += size
                    chosen.write(line)
        return total

    def _look_again(self, account: Account, still_needed: Callable[[list[str]], set[str]]) -> None:
        """Tell of what is missing or of the wrong size if it still is, and is still needed."""
        for batch in batches(_lines(self._suspects), _BATCH):
            stopping.stop_if_asked()
            needed = still_needed([digest for digest, _size, _projects in batch])
            for digest, recorded, projects in batch:
                if digest in needed:
                    self._tell(account, digest, None if recorded < 0 else recorded, projects)
                else:
                    account.gone()

    def _tell(self, account: Account, digest: str, recorded: int | None, projects: list[str]) -> None:
        size = self._tree.production.size(digest)
        if size is None:
            account.fault(FaultKind.MISSING, digest, projects)
            self._note(digest, recorded)
        elif recorded is not None and size != recorded:
            said = f"{digest} has {size:,} bytes and should have {recorded:,}"
            account.fault(FaultKind.WRONG_SIZE, said, projects)
            self._note(digest, recorded)

    def _note(self, digest: str, size: int | None) -> None:
        if len(self._told) < _BATCH:
            self._told.add(digest)
        self.faulty.add([(digest, size)])

    def _is_held(self, digest: str, store: ManifestCache) -> bool:
        """Whether an image that is linked at this moment needs a blob, or is it."""
        production = self._tree.production
        return any(
            production.linked(repository, image) and (image == digest or production.size(image) is not None)
            for repository, image in store.holders(digest)
        )

    def _links(self, index: LinkIndex) -> MissingLinks:
        images = self._directory / dangling.IMAGES
        return MissingLinks(self._tree.production, index, images, self._memory)

    def _without_links(self, account: Account, kind: FaultKind, found: Iterable[tuple[str, str]]) -> None:
        for repository, said in found:
            stopping.stop_if_asked()
            account.fault(kind, said, (link_tree.project_in(repository),))

    def _of_survey(self, account: Account, survey: Survey) -> None:
        """What the manifests tell."""
        for entry in dangling.from_lines(json_lines.pieces(self._directory / dangling.FILE_NAME)):
            if entry.kind == "tag" and self._leads_nowhere(entry.repository, entry.name):
                project = link_tree.project_in(entry.repository)
                account.fault(FaultKind.DANGLING_TAG, entry.label, (project,))
        proof = survey.proof
        lost = [digest for digest in proof.lost_names if self._tree.production.size(digest) is None]
        for digest in lost:
            account.fault(FaultKind.MISSING, digest)
            self._note(digest, None)
        there = [said for said in proof.unlisted_names if said.partition(",")[0] not in lost]
        _several(account, FaultKind.UNLISTED, there, proof.unlisted - proof.lost)
        for said in proof.fault_names:
            self._of_manifest(account, said)

    def _of_manifest(self, account: Account, said: str) -> None:
        """A manifest that cannot be used: told here unless it has been told of as a blob."""
        found = _DIGEST.search(said)
        digest = found[0] if found else ""
        right = self._tree.hashes_right(digest) if digest else True
        if right is None or digest in self._told:
            return
        if right:
            account.fault(FaultKind.BAD_MANIFEST, said)
        else:
            account.fault(FaultKind.WRONG_BYTES, said)
            self._note(digest, None)

    def _leads_nowhere(self, repository: str, tag: str) -> bool:
        """Whether a tag is still there and leads to no image."""
        production = self._tree.production
        held = production.tag(repository, tag)
        if held is None:
            return False
        return not production.linked(repository, held) or production.size(held) is None


def _several(account: Account, kind: FaultKind, names: Iterable[str], count: int) -> None:
    told = 0
    for name in names:
        account.fault(kind, name)
        told += 1
    if count > told:
        account.total.fault(kind, count - told)


def _line(seen: Seen) -> bytes:
    """A digest, its size (-1 where nobody knows) and its projects as a line of JSON."""
    size = seen.recorded if seen.recorded is not None else seen.stored.size if seen.stored else -1
    return json.dumps([seen.digest, size, list(seen.projects)]).encode() + b"\n"


def _lines(path: Path) -> Iterator[tuple[str, int, list[str]]]:
    with path.open("rb") as file:
        for line in file:
            digest, size, projects = json.loads(line)
            yield digest, size, projects
