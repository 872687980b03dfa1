"""`drkit keys rotate`: other recipients for new points and, on request, for the points that are there.

A point whose bundle is encrypted anew gets a new bundle's snapshot and, because its manifest names the old
one, a new seal. The order makes it safe to be killed: the new bundle is stored and read back, then the new
seal is stored (from here on it counts, for its revision is higher), then the old seal goes, then the old
bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config, config_edit
from drkit.actions import leftovers
from drkit.actions.keys import keyring
from drkit.catalog import Catalog, open_catalog, part_tags
from drkit.errors import ConfigError, IdentityRefused, RestoreDamaged, UsageError
from drkit.model import Point
from drkit.progress import Listener, Update, silent
from drkit.sources import bundle, secrets
from drkit.state import State
from drkit.tools import age, restic
from drkit.tools.age import Identity


@dataclass(frozen=True)
class Wishes:
    """What the command line says."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    points: bool = False
    prune: bool = False
    identities: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RotationLine:
    """One recovery point whose secrets are to be encrypted anew; `snapshot` is the new bundle's."""

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


def plan(settings: config.Config, path: Path, wishes: Wishes) -> Rotation:
    """What would be done; raises UsageError, ConfigError, and IdentityRefused if nothing at hand fits.

    A recipient that nobody has shown to have an identity may not be the only one that opens what is kept.
    """
    before = settings.secrets.recipients
    after = changed(before, wishes.add, wishes.remove)
    age.parse_recipients(after)
    identities = [each for own in keyring(settings, wishes.identities).values() for each in own]
    if not any(age.opens(text, identities) for text in after):
        raise IdentityRefused(
            "no age identity at hand opens what the new recipients are sent",
            hint="give the identity of one of them with --identity, before the old ones lose their use",
        )
    lines = tuple(_lines(settings, after)) if wishes.points else ()
    return Rotation(
        path, before, after, lines, tuple(_warnings(settings, after, lines, wishes)), wishes.prune
    )


def changed(before: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """The recipients after a change; `remove` has names or keys. Raises UsageError, ConfigError."""
    kept = list(before)
    for wanted in remove:
        gone = [text for text in kept if wanted in (age.named(text).name, age.named(text).key, text)]
        if not gone:
            known = ", ".join(age.named(text).name or text for text in before)
            raise UsageError(f'no recipient is called "{wanted}"', hint=f"there is: {known}")
        kept = [text for text in kept if text not in gone]
    for text in add:
        new = age.named(text)
        for other in map(age.named, kept):
            if new.key == other.key or (new.name and new.name == other.name):
                raise UsageError(
                    f"{new.name or new.key} is a recipient already",
                    hint="remove it first, or give another name",
                )
        kept.append(text)
    if not kept:
        raise ConfigError(
            "no recipient would be left", hint="add another in the same command: --add 'age1... name'"
        )
    return tuple(kept)


def _lines(settings: config.Config, after: Sequence[str]) -> Iterator[RotationLine]:
    wanted = _keys(after)
    for repository in settings.repositories:
        for point in open_catalog(settings, repository.name).points():
            manifest = point.manifest
            if manifest and manifest.part("secrets") and _keys(manifest.recipients) != wanted:
                yield RotationLine(repository.name, point.id, manifest.recipients)


def _keys(recipients: Sequence[str]) -> set[str]:
    return {age.named(text).key for text in recipients}


def _warnings(
    settings: config.Config, after: Sequence[str], lines: Sequence[RotationLine], wishes: Wishes
) -> Iterator[str]:
    if len(_keys(after)) == 1:
        yield "there is one recipient: if its identity is lost, no bundle opens any more"
    mine = settings.secrets.identity_file
    if mine and not any(age.opens(text, age.read_identities(mine)) for text in after):
        yield f"{mine} will not open new points: name another identity_file, or drills here need --identity"
    if wishes.remove and not wishes.points:
        yield "who was removed still opens the points that are there: --points encrypts their secrets anew"
    if lines and not wishes.prune:
        yield (
            "the old bundles' bytes stay in the repository until restic removes them: `drkit expire` may "
            "leave some, --prune leaves none"
        )
    if wishes.remove:
        yield (
            "whoever copied the repository before keeps what he could open: if an identity leaked, replace "
            "the secrets themselves"
        )


def rotate(settings: config.Config, found: Rotation, wishes: Wishes, listener: Listener = silent) -> Rotation:
    """Do what the plan says; raises SiteLocked, the repository's errors, IdentityRefused, RestoreDamaged."""
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    identities = [each for own in keyring(settings, wishes.identities).values() for each in own]
    lines: list[RotationLine] = []
    swept: tuple[str, ...] = ()
    with state.site_lock("keys rotate", settings.site.lock_wait):
        swept += leftovers.sweep_runs(state)
        if found.recipients != found.recipients_before:
            config_edit.write_recipients(found.config, found.recipients)
        for repository in settings.repositories if wishes.points else ():
            catalog = open_catalog(settings, repository.name)
            points = catalog.points(locked=True)
            swept += leftovers.sweep_superseded(catalog, points)
            chosen = {line.point: line for line in found.points if line.repository == repository.name}
            for number, point in enumerate([p for p in points if p.id in chosen]):
                listener(Update(f"secrets in {repository.name}", number, len(chosen), "items"))
                try:
                    snapshot = reencrypt(catalog, point, found.recipients, identities)
                except IdentityRefused:
                    raise IdentityRefused(
                        f"no age identity at hand opens the secrets of {point.id}",
                        hint="give the old one with --identity, which may be repeated, and run it again",
                        result=replace(found, points=tuple(lines), swept=swept),
                    ) from None
                lines.append(replace(chosen[point.id], snapshot=snapshot))
            listener(Update(f"secrets in {repository.name}", finished=True))
            if wishes.prune:
                catalog.repository.prune(everything=True)
    return replace(found, points=tuple(lines), done=True, swept=swept)


def reencrypt(
    catalog: Catalog, point: Point, recipients: Sequence[str], identities: Sequence[Identity]
) -> str:
    """Encrypt a point's secrets to other recipients and seal it again; returns the new bundle's snapshot."""
    manifest = catalog.manifest_of(point)
    old = manifest.need("secrets", "secrets")
    plain = age.decrypt(secrets.fetch(catalog.repository.read(old.snapshot, old.path)), identities)
    # What is damaged must not get a fresh seal.
    bundle.unpack(plain)
    tags = part_tags(catalog, point.id, "secrets", "secrets")
    sealed = age.encrypt(plain, recipients)
    saved = catalog.repository.save_stream([sealed], secrets.FILE_NAME, tags, catalog.site)
    back = b"".join(catalog.repository.read(saved.snapshot, f"/{secrets.FILE_NAME}"))
    if age.decrypt(back, identities) != plain:
        catalog.repository.forget([saved.snapshot])
        raise RestoreDamaged(
            f"the secrets of {point.id} did not come back as they were stored",
            hint="look with `drkit verify`",
        )
    new = replace(
        old,
        snapshot=saved.snapshot,
        path=f"/{secrets.FILE_NAME}",
        bytes=saved.bytes,
        added_bytes=saved.added_bytes,
    )
    seal = point.manifest_snapshot
    catalog.seal(
        replace(
            manifest,
            parts=tuple(new if part == old else part for part in manifest.parts),
            recipients=tuple(recipients),
            revision=manifest.revision + 1,
            replaces=(*((seal,) if seal else ()), old.snapshot),
        )
    )
    if seal:
        catalog.repository.forget([seal])
    catalog.repository.forget([old.snapshot])
    return saved.snapshot
