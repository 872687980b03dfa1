"""`drkit keys rotate`: other recipients for new points and, on request, for the points that are there.

A point whose bundle is encrypted anew is sealed again, with everything else that was in its seal. The order
makes it safe to be killed: the new seal is stored (from here on it counts, for its revision is higher), its
bundle is read back, and then the old seal goes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from drkit import config
from drkit.actions import leftovers
from drkit.actions.keys.custody import keyring
from drkit.config import edit
from drkit.errors import ConfigError, IdentityRefused, NotRemoved, RestoreDamaged, UsageError
from drkit.model import Point, PointManifest
from drkit.points import seal_files
from drkit.points.catalog import Catalog, open_catalog
from drkit.progress import Listener, Update, silent
from drkit.secrets import bundle
from drkit.state.directory import State, private_directory
from drkit.tools import age
from drkit.tools.age import Identity
from drkit.tools.recipient import named
from drkit.tools.restic import repository as restic
from drkit.tools.restic.output import Snapshot


@dataclass(frozen=True)
class RotateOptions:
    """What the command line says."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    points: bool = False
    prune: bool = False
    identities: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RotationLine:
    """One recovery point whose secrets are to be encrypted anew; `snapshot` is the new seal's."""

    repository: str
    point: str
    before: tuple[str, ...]
    snapshot: str | None = None


@dataclass(frozen=True)
class Rotation:
    """What will be done or, with `done`, what was."""

    config: Path
    recipients_before: tuple[str, ...]
    recipients: tuple[str, ...]
    points: tuple[RotationLine, ...]
    warnings: tuple[str, ...]
    prune: bool
    done: bool = False
    swept: tuple[str, ...] = ()


def plan(settings: config.Config, path: Path, options: RotateOptions) -> Rotation:
    """What would be done; raises UsageError, ConfigError, and IdentityRefused if nothing at hand fits.

    A recipient that nobody has shown to have an identity may not be the only one that opens what is kept.
    """
    before = settings.secrets.recipients
    bundles = tuple(_bundles(settings)) if options.points else ()
    there = {text for bundle in bundles for text in bundle.before} if options.points else None
    after = changed(before, options.add, options.remove, there)
    age.parse_recipients(after)
    identities = [each for own in keyring(settings, options.identities).values() for each in own]
    if not any(age.opens(text, identities) for text in after):
        raise IdentityRefused(
            "no age identity at hand decrypts what is encrypted to the new recipients",
            hint="give the identity of one of them with --identity",
        )
    lines = tuple(bundle for bundle in bundles if _keys(bundle.before) != _keys(after))
    return Rotation(
        path, before, after, lines, tuple(_warnings(settings, after, lines, options)), options.prune
    )


def changed(
    before: Sequence[str], add: Sequence[str], remove: Sequence[str], there: Collection[str] | None = None
) -> tuple[str, ...]:
    """The recipients after a change; `remove` has names or keys. Raises UsageError, ConfigError.

    `there` are the recipients of the points, where those are to be encrypted anew as well: then a command
    that was cut off can be run again as it was, although the configuration has changed already.
    """
    kept = list(before)
    for wanted in remove:
        gone = _called(wanted, kept)
        if not gone and _called(wanted, there or ()):
            continue
        if not gone:
            known = ", ".join(named(text).name or text for text in before)
            raise UsageError(f'no recipient is called "{wanted}"', hint=f"there is: {known}")
        kept = [text for text in kept if text not in gone]
    for text in add:
        new = named(text)
        if there is not None and new in map(named, kept):
            continue
        for other in map(named, kept):
            if new.key == other.key or (new.name and new.name == other.name):
                raise UsageError(
                    f"{new.name or new.key} is a recipient already",
                    hint="give another; `drkit keys rotate --points` changes the points that are there",
                )
        kept.append(text)
    if not kept:
        raise ConfigError(
            "no recipient would be left", hint="add another in the same command: --add 'age1... name'"
        )
    return tuple(kept)


def _called(wanted: str, recipients: Iterable[str]) -> list[str]:
    """The recipients of that name or key."""
    return [text for text in recipients if wanted in (named(text).name, named(text).key, text)]


def _bundles(settings: config.Config) -> Iterator[RotationLine]:
    """The points that have secrets."""
    for repository in settings.repositories:
        for point in open_catalog(settings, repository.name).points():
            manifest = point.manifest
            if manifest and manifest.part("secrets"):
                yield RotationLine(repository.name, point.id, manifest.recipients)


def _keys(recipients: Sequence[str]) -> set[str]:
    return {named(text).key for text in recipients}


def _warnings(
    settings: config.Config, after: Sequence[str], lines: Sequence[RotationLine], options: RotateOptions
) -> Iterator[str]:
    if len(_keys(after)) == 1:
        yield "there is one recipient: if its identity is lost, no bundle can be decrypted"
    mine = settings.secrets.identity_file
    if mine and not any(age.opens(text, age.read_identities(mine)) for text in after):
        yield f"{mine} will not open new points: name another identity_file, or drills here need --identity"
    if options.remove and not options.points:
        yield "removed recipients can still decrypt the existing points: --points encrypts those again"
    if lines and not options.prune:
        yield (
            "the old bundles' bytes stay in the repository until restic removes them: `drkit expire` may "
            "leave some, --prune leaves none"
        )
    if lines:
        yield "a point is not proven with the new keys until a full drill has passed: run `drkit drill`"
    if options.remove:
        yield (
            "whoever copied the repository before keeps what he could open: if an identity leaked, replace "
            "the secrets themselves"
        )


def rotate(
    settings: config.Config, found: Rotation, options: RotateOptions, listener: Listener = silent
) -> Rotation:
    """Do what the plan says; raises SiteLocked, the repository's errors, IdentityRefused, RestoreDamaged."""
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    identities = [each for own in keyring(settings, options.identities).values() for each in own]
    lines: list[RotationLine] = []
    swept: tuple[str, ...] = ()
    with state.site_lock("keys rotate", settings.site.lock_wait):
        swept += leftovers.sweep_runs(state)
        if found.recipients != found.recipients_before:
            edit.write_recipients(found.config, found.recipients)
        for repository in settings.repositories if options.points else ():
            catalog = open_catalog(settings, repository.name)
            points = catalog.points(locked=True)
            swept += leftovers.sweep_superseded(catalog, points)
            chosen = {line.point: line for line in found.points if line.repository == repository.name}
            # The newest comes last: its seal tells of all the others as they are then.
            for number, point in enumerate([p for p in reversed(points) if p.id in chosen], start=1):
                listener(Update(f"secrets in {repository.name}", number - 1, len(chosen), "items"))
                known = catalog.snapshots() if number == len(chosen) else ()
                try:
                    snapshot = reencrypt(catalog, point, found.recipients, identities, known)
                except IdentityRefused:
                    raise IdentityRefused(
                        f"no age identity at hand opens the secrets of {point.id}",
                        hint="give the old one with --identity, which may be repeated, and run it again",
                        result=replace(found, points=tuple(lines), swept=swept),
                    ) from None
                except NotRemoved as error:
                    raise NotRemoved(
                        f"the secrets of {point.id} are encrypted again, but the old recipients can still"
                        f" decrypt them: {error.message}",
                        left=error.left,
                        hint=error.hint,
                        result=replace(found, points=tuple(lines), swept=swept),
                    ) from None
                lines.append(replace(chosen[point.id], snapshot=snapshot))
            listener(Update(f"secrets in {repository.name}", finished=True))
            if options.prune:
                catalog.repository.prune(everything=True)
    # In the order of the plan.
    order = {(line.repository, line.point): number for number, line in enumerate(found.points)}
    lines.sort(key=lambda line: order[line.repository, line.point])
    return replace(found, points=tuple(lines), done=True, swept=swept)


def reencrypt(
    catalog: Catalog,
    point: Point,
    recipients: Sequence[str],
    identities: Sequence[Identity],
    known: Sequence[Snapshot] = (),
) -> str:
    """Encrypt a point's secrets to other recipients and seal it again; returns the new seal's snapshot.

    `known` as of `Catalog.seal`.
    """
    old = point.manifest_snapshot
    assert old is not None
    with private_directory(catalog.state.runs, f"rotate-{point.id}") as directory:
        lists, made = directory / "lists", directory / "seal"
        lists.mkdir(mode=0o700)
        made.mkdir(mode=0o700)
        files = catalog.fetch_seal(point, lists)
        manifest = files.manifest
        plain = age.decrypt(files.data("secrets", "secrets"), identities)
        # What is damaged must not get a fresh seal.
        bundle.unpack(plain)
        sealed = age.encrypt(plain, recipients)
        # What nobody here can open again must not get one either.
        if age.decrypt(sealed, identities) != plain:
            raise RestoreDamaged(
                f"the secrets of {point.id} do not come back from their encryption",
                hint="run `drkit keys check`; the old bundle is still there",
            )
        new = _resealed(manifest, old, recipients, len(sealed))
        for part in seal_files.inside(manifest, old):
            files.write(part, made)
        Path(f"{made}{manifest.need('secrets', 'secrets').path}").write_bytes(sealed)
        saved = catalog.seal(new, made, _dated(catalog, point.id, old), known)
    back = catalog.repository.read(saved.snapshot, new.need("secrets", "secrets").path)
    if b"".join(back) != sealed:
        with contextlib.suppress(NotRemoved):
            catalog.repository.forget([saved.snapshot])
        raise RestoreDamaged(
            f"the secrets of {point.id} are not as they were stored",
            hint="run `drkit verify`",
        )
    catalog.repository.forget([old])
    return saved.snapshot


def _dated(catalog: Catalog, point: str, old: str) -> datetime:
    """Just after the seal that it replaces: whoever has restic alone takes the latest for the newest."""
    before = next(snapshot for snapshot in catalog.snapshots_of(point) if snapshot.id == old)
    return before.time + timedelta(seconds=1)


def _resealed(manifest: PointManifest, old: str, recipients: Sequence[str], size: int) -> PointManifest:
    """The manifest of the next seal, with a bundle of that size."""
    parts = []
    for part in manifest.parts:
        bytes_now = size if part.kind == "secrets" else part.bytes
        snapshot = "" if part.snapshot == old else part.snapshot
        parts.append(replace(part, snapshot=snapshot, bytes=bytes_now))
    revision = manifest.revision + 1
    return replace(manifest, parts=tuple(parts), recipients=tuple(recipients), revision=revision)
