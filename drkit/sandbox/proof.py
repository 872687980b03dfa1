"""Proving what stands in the sandbox: every check that fits it, and every fault that a check must catch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from drkit import config
from drkit.blobs import digests
from drkit.checks import images, lists, manifests, relations, schema, tables, tree, vault
from drkit.checks.binding import Binding
from drkit.checks.finding import Check, Control, Finding, Unplanted, undecided
from drkit.errors import ToolFailed
from drkit.harbor import tables as harbor_tables
from drkit.model import CheckKind, CheckResult, ControlResult, Level, Outcome, PointManifest, utc_now
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.sandbox.blobs import FromVault
from drkit.sandbox.build import Parts, Restored, database_part
from drkit.sandbox.layout_proof import LayoutProof
from drkit.sandbox.secret_proof import SecretProof
from drkit.stopwatch import Stopwatch
from drkit.tools.parallel import Tasks, all_of
from drkit.tools.postgres import sessions

# The groups of checks, by name: each waits for its results.
Checking = Mapping[str, Callable[[], list[CheckResult]]]


@dataclass(frozen=True)
class _Group:
    """Checks of a part (empty: of the point), made when the parts `beside` it are there as well, or lost."""

    name: str
    part: str
    beside: tuple[str, ...]
    look: Callable[[], list[CheckResult]]


@dataclass(frozen=True)
class Proof:
    """The checks and controls of one restored point; `directory` is the sandbox's own.

    `judged` is told of each blob that was read: its digest, its size, and whether its bytes are right.
    """

    manifest: PointManifest
    restored: Restored
    directory: Path
    level: Level
    binding: Binding
    settings: config.Secrets
    stopwatch: Stopwatch
    judged: Callable[[str, int, bool], object] | None = None

    @cached_property
    def _secrets(self) -> SecretProof:
        return SecretProof(self.manifest, self.restored, self.directory, self.settings, utc_now())

    def begin(self, tasks: Tasks[str], parts: Parts) -> Checking:
        """Begin every check: each group when what it looks at is restored, the checks of each in turn.

        Of a part that did not come back no check is made; one that needs it beside its own is an error.
        """
        databases = tuple(database_part(evidence.name) for evidence in self.manifest.databases)
        groups = [_Group("the point", "", (), partial(_run_all, self.binding.checks()))]
        for evidence, part in zip(self.manifest.databases, databases, strict=True):
            groups.append(_Group(part, part, (), partial(self._look_at_database, evidence.name)))
        if self.manifest.images:
            groups.append(_Group("images", "blobs", databases, self._look_at_images))
            if self.manifest.bucket:
                groups.append(_Group("vault", "blobs", databases, lambda: _run_all(self._vault_checks())))
            if self.manifest.storage != "oci":
                tree_checks = _Tree(self.restored, self.directory, self.level)
                groups.append(_Group("tree", "blobs", databases, lambda: _run_all(tree_checks.checks())))
        if self.manifest.part("secrets"):
            every = tuple(parts)
            groups.append(_Group("secrets", "secrets", every, lambda: _run_all(self._secrets.checks())))
        return {
            group.name: tasks.begin(f"check {group.name}", partial(self._when_there, parts, group))
            for group in groups
        }

    def _when_there(self, parts: Parts, group: _Group) -> list[CheckResult]:
        if group.part in parts.failures(group.part, *group.beside):
            return []
        with self.stopwatch.stage(f"check {group.name}"):
            results = group.look()
        gone = self._gone if "blobs" in (group.part, *group.beside) else ""
        return [_undecided(result, gone) for result in results] if gone else results

    @property
    def _gone(self) -> str:
        """Why there are no images any more, where what they were streamed from has gone."""
        return self.restored.blobs.gone if self.restored.blobs else ""

    def plant_faults(
        self, checks: Sequence[CheckResult]
    ) -> tuple[tuple[ControlResult, ...], tuple[Unplanted, ...]]:
        """Run every control; `checks` says which checks there was something to try on.

        Returns what came of them, and which had nothing to be planted in.
        """
        every = list(self._controls(checks))
        caught = all_of({control.name: control.run for control in every if isinstance(control, Control)})
        unplanted = tuple(control for control in every if isinstance(control, Unplanted))
        if self._gone:
            raise ToolFailed(self._gone, hint="run the drill again")
        return tuple(caught.values()), unplanted

    def _look_at_database(self, name: str) -> list[CheckResult]:
        database = self.restored.databases[name]
        done = _run_all(tables.checks(database.target, database.evidence))
        if database.harbor:
            with sessions.connect(database.target) as session:
                done += _run_all(relations.checks(session, database.evidence))
            done += _run_all(lists.checks(database.target, *self._lists))
        if database.harbor or database.evidence.schema_fault:
            done += _run_all(schema.checks(database.target, database.evidence))
        return done

    def _look_at_images(self) -> list[CheckResult]:
        if self._layouts is None:
            ledger = self.restored.ledger
            return _run_all(_Images(self.restored, ledger, self.level, self.judged).checks())
        with contextlib.ExitStack() as stack:
            return _run_all(self._layouts.checks(self.restored.ledger, stack))

    def _vault_checks(self) -> Iterator[Check]:
        if (came := self._vault) is not None:
            yield Check(CheckKind.VAULT, partial(vault.came, came.fetched, came.where))

    def _controls(self, checks: Sequence[CheckResult]) -> Iterator[Control | Unplanted]:
        yield from self.binding.controls()
        for database in self.restored.databases.values():
            yield from tables.controls(
                database.target, database.evidence, database.archive, database.programs
            )
            if database.harbor:
                yield from relations.controls(database.target, database.evidence)
                yield from lists.controls(database.target, *self._lists)
                yield from schema.controls(database.target, database.evidence)
        if self._layouts is not None:
            yield from self._layouts.controls()
        elif self.restored.blobs_root is not None:
            yield from tree.controls(self.directory / "controls" / "tree")
            scratch = self.directory / "controls"
            assert self.restored.blobs is not None
            whole = self.restored.blobs.one_whole(scratch / "whole")
            yield from images.controls(self.restored.blobs_root, whole, scratch, self.restored.dangling)
            if self._vault is not None:
                yield from vault.controls(self._vault.shelf, self._vault.sample)
            if self.level == "full":
                scratch = self.directory / "controls" / "layer"
                yield from manifests.controls(self.restored.blobs_root, scratch)
        if self.restored.sealed:
            yield from self._secrets.controls(checks)

    @cached_property
    def _layouts(self) -> LayoutProof | None:
        """The proof of images that are OCI layouts, of which most of what follows here is not true."""
        if self.restored.blobs_root is None or self.manifest.storage != "oci":
            return None
        return LayoutProof(self.restored, self.directory, self.judged)

    @property
    def _lists(self) -> tuple[Path | None, Path | None]:
        return self.restored.image_list, self.restored.names

    @property
    def _vault(self) -> FromVault | None:
        return self.restored.blobs.vault if self.restored.blobs else None


@dataclass(frozen=True)
class _Images:
    """The checks on images, which share a ledger: what was pulled whole need not be read again."""

    restored: Restored
    ledger: Ledger
    level: Level
    judged: Callable[[str, int, bool], object] | None

    def checks(self) -> Iterator[Check]:
        yield Check(CheckKind.TAGS, self._pull)
        yield Check(CheckKind.BLOBS, self._hash)
        if self.level == "full":
            yield Check(CheckKind.CLOSURE, self._closure)
        if self.restored.lost or self.restored.harbor:
            yield Check(CheckKind.DIGESTS, self._agree)

    def _pull(self) -> Finding:
        address, harbor = self.restored.registry, self.restored.harbor
        assert address is not None
        assert self.restored.blobs is not None
        patience, known = self.restored.blobs.patience, self.restored.dangling
        pull = partial(images.tags_pull, address, ledger=self.ledger, dangling=known, patience=patience)
        if self.restored.sample is not None:
            return pull(tags=self.restored.sample)
        if harbor is None:
            return pull(tags=storage.tags(self.restored.root))
        with sessions.connect(harbor.target) as session, session.undone():
            return pull(tags=harbor_tables.tags(session))

    def _hash(self) -> Finding:
        return images.blobs_hash(self.restored.root, self.ledger, judged=self.judged)

    def _closure(self) -> Finding:
        return images.closure_holds(self.restored.root, self._listed(), self.restored.dangling)

    def _agree(self) -> Finding:
        harbor = self.restored.harbor
        if harbor is None:
            return undecided("there is no database of Harbor's")
        with sessions.connect(harbor.target) as session, session.undone():
            return lists.agree(self._listed(), harbor_tables.digests(session), "digests")

    def _listed(self) -> Iterator[tuple[str, int | None]]:
        assert self.restored.digests is not None
        return digests.from_file(self.restored.digests)


@dataclass(frozen=True)
class _Tree:
    """The checks on the tree that ask nobody but the tree; `directory` is the sandbox's own."""

    restored: Restored
    directory: Path
    level: Level

    def checks(self) -> Iterator[Check]:
        blobs = self.restored.blobs
        assert blobs is not None
        yield Check(CheckKind.TREE, partial(tree.only_files, blobs.cleaned, self.restored.hidden.said))
        yield Check(CheckKind.LINKS, self._links)
        if self.level == "full":
            yield Check(CheckKind.MANIFESTS, self._resolve)

    def _links(self) -> Finding:
        harbor, known = self.restored.harbor, self.restored.dangling
        if harbor is None:
            return manifests.links_hold(self.restored.root, known)
        with sessions.connect(harbor.target) as session, session.undone():
            return manifests.links_hold(self.restored.root, known, partial(harbor_tables.has_image, session))

    def _resolve(self) -> Finding:
        scratch, harbor = self.directory / "manifests.db", self.restored.harbor
        listed = digests.from_file(self.restored.digests) if self.restored.digests else None
        if harbor is None:
            every = manifests.images_in(self.restored.root)
            return manifests.resolve(self.restored.root, every, scratch, listed, self.restored.dangling)
        with sessions.connect(harbor.target) as session, session.undone():
            every = harbor_tables.images(session)
            return manifests.resolve(self.restored.root, every, scratch, listed, self.restored.dangling)


def _undecided(result: CheckResult, gone: str) -> CheckResult:
    """Where images have gone while they were looked at, only what was seen to hold before that stands."""
    if result.outcome is Outcome.PASSED:
        return result
    return replace(result, outcome=Outcome.ERROR, detail=gone, reason=None)


def _run_all(checks: Iterable[Check]) -> list[CheckResult]:
    return [check.run() for check in checks]
