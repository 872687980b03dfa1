"""Compare the harbor.yml among the secrets with the configuration, as things are on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from drkit import config
from drkit.actions.drift import places, servers
from drkit.actions.drift.servers import Way
from drkit.actions.init import bucket as init_bucket
from drkit.actions.init.plan import HARBOR_CONTAINER
from drkit.checks import named as in_bundle
from drkit.errors import ConfigError, Failure
from drkit.harbor import storage_service
from drkit.harbor.installation import HarborDatabase, Installation
from drkit.model import Drift, is_told
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.tools import docker


@dataclass(frozen=True)
class Look:
    """What a comparison found.

    `drift` is wrong, `confirmed` would be if `dropped` in [site] did not say that it is meant, `notes` is
    what cannot be told or is good to know. `excused` is what a drill need not find in the bundle.
    """

    harbor_yml: Path | None = None
    drift: tuple[Drift, ...] = ()
    confirmed: tuple[Drift, ...] = ()
    notes: tuple[str, ...] = ()
    excused: tuple[str, ...] = ()


@dataclass
class _Findings:
    drift: list[Drift] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)


def of_site(settings: config.Config) -> Look:
    """The comparison with the harbor.yml of this moment; nothing where the secrets cannot be read."""
    try:
        members = capture.gather(settings.secrets).members
    except Failure:
        return Look()
    return of_members(settings, members)


def of_members(settings: config.Config, members: Sequence[Member]) -> Look:
    """The comparison with the harbor.yml among secrets that were read, if there is one."""
    read = in_bundle.find(members, [str(path) for path in settings.secrets.paths])
    if read.installation is None:
        unread = f"it cannot be compared with the configuration: {read.fault}"
        return Look(notes=(unread,) if read.fault else ())
    found = _Findings()
    _databases(found, settings, read.installation)
    _images(found, settings, read.installation)
    _files(found, members, read.installation)
    told = settings.site.dropped
    return Look(
        harbor_yml=read.installation.harbor_yml,
        drift=tuple(each for each in found.drift if not is_told(each.source, told)),
        confirmed=tuple(each for each in found.drift if is_told(each.source, told)),
        notes=tuple(found.notes),
        excused=(*told, *found.elsewhere),
    )


def _databases(found: _Findings, settings: config.Config, installation: Installation) -> None:
    ways = [way for entry in settings.databases if (way := servers.way(entry))]
    if settings.databases and not ways:
        # No backup is made like this, and each is told of for its own sake.
        return
    if installation.database is None:
        _own_database(found, settings, installation, ways)
    else:
        is_one, why = servers.found_among(installation.database, ways)
        if not is_one:
            found.drift.append(places.no_database(installation.database, why))
    for named in installation.notary:
        is_one, why = servers.found_among(named, ways)
        if not is_one and why:
            # harbor.yml keeps these sections after Notary's end, and nothing may be there any more.
            found.notes.append(f"whether Notary's database {named.name} is backed up cannot be told: {why}")
        elif not is_one:
            found.drift.append(places.no_database(named, why))


def _own_database(
    found: _Findings, settings: config.Config, installation: Installation, ways: Sequence[Way]
) -> None:
    """Harbor's own PostgreSQL has an address in docker's network alone; a dsn may lead there as well."""
    if not settings.databases:
        found.drift.append(places.no_own_database())
        return
    if any(entry.container for entry in settings.databases):
        return
    try:
        address = docker.find(HARBOR_CONTAINER).address
        named = HarborDatabase(
            address, 5432, "registry", "postgres", installation.own_database_password, "disable"
        )
        is_one, why = servers.found_among(named, ways)
    except Failure as error:
        is_one, why = False, error.message
    if why:
        found.notes.append(f"whether a [[database]] leads to Harbor's own database cannot be told: {why}")
    elif not is_one:
        found.drift.append(places.no_database(replace(named, host=HARBOR_CONTAINER), ""))


def _images(found: _Findings, settings: config.Config, installation: Installation) -> None:
    bucket = None
    if installation.storage == "s3":
        try:
            bucket = storage_service.bucket(installation.service, installation.harbor_yml)
        except ConfigError as error:
            found.notes.append(f"it is not certain where the images are: {error.message}")
            return
    elif installation.storage != "filesystem" and settings.blobs is None:
        found.notes.append(init_bucket.unknown(installation.storage))
    drift = places.images(installation, bucket, settings.blobs, _same_directory, servers.addresses)
    if drift is not None:
        found.drift.append(drift)


def _same_directory(one: Path, other: Path) -> bool:
    """Also by another name, a link or a mount."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _files(found: _Findings, members: Sequence[Member], installation: Installation) -> None:
    held = in_bundle.BundlePaths(members)
    for each in in_bundle.lacking(installation, members):
        real = Path(os.path.realpath(each.path))
        if held.has(real):
            found.elsewhere.append(in_bundle.source(each.path))
            found.notes.append(
                f"{each.path}, which it names, is in the backup as {real}: a restored machine needs the link"
                " as well"
            )
        else:
            found.drift.append(places.no_file(each.path, each.purpose, there=each.path.exists()))


def warnings(found: Look) -> Iterator[str]:
    """What a backup says of it."""
    for each in found.drift:
        yield f"{each.said}: {each.hint}"
