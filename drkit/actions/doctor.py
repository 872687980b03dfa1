"""`drkit doctor`: look before anything runs. Every finding says what to do about it."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

from drkit import config
from drkit.actions import doctor_bucket, doctor_keys, doctor_sources, secret_warnings
from drkit.actions.finding import SKEW, Finding
from drkit.catalog import open_catalog
from drkit.errors import ConfigError, DrkitError, Interrupted, ToolFailed
from drkit.model import utc_now
from drkit.sandbox import registry as sandbox_registry
from drkit.sources import collection, read_only, secrets
from drkit.state import State
from drkit.tools import restic
from drkit.tools.command import find_program

_ROOM = 1 << 30


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at."""

    findings: tuple[Finding, ...]
    problems: int
    warnings: int


def doctor(settings: config.Config) -> Diagnosis:
    """Look at everything that a backup or a drill needs.

    Raises the first problem's own error (with the Diagnosis), so that the exit code tells what kind it is.
    """
    findings: list[Finding] = []
    first: DrkitError | None = None
    for name, look in _looks(settings):
        try:
            findings.extend(look())
        except Interrupted:
            raise
        except DrkitError as error:
            first = first or error
            findings.append(Finding(name, "problem", error.message, error.hint))
    problems = sum(finding.state == "problem" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    diagnosis = Diagnosis(tuple(findings), problems, warnings)
    if first is not None:
        said = "1 problem" if problems == 1 else f"{problems} problems"
        raise type(first)(f"{said}; the first: {first.message}", hint=first.hint, result=diagnosis)
    return diagnosis


def _looks(settings: config.Config) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    yield "restic", _restic
    yield "setpriv", _setpriv
    yield "state", lambda: _state(settings)
    yield "private files", lambda: doctor_keys.private_files(settings)
    yield "repository", lambda: _repository(settings)
    for entry in settings.databases:
        yield f"database {entry.name}", partial(doctor_sources.look_at_database, settings, entry)
    match settings.blobs:
        case config.FilesystemBlobs():
            yield "blobs", lambda: doctor_sources.look_at_blobs(settings)
        case config.BucketBlobs() as source:
            yield "blobs", lambda: doctor_bucket.look_at_source(source)
            if vault := settings.vault:
                yield "vault", lambda: doctor_bucket.look_at_vault(settings, source, vault, utc_now())
        case None:
            pass
        case _:
            assert_never(settings.blobs)
    yield "harbor", lambda: _harbor(settings)
    if settings.secrets.paths:
        yield "secrets", lambda: _secrets(settings)
        yield "certificates", lambda: _certificates(settings)
        yield "recipients", lambda: doctor_keys.recipients(settings)
        yield "passwords", lambda: doctor_keys.passwords(settings)
    yield "sandbox", lambda: _sandbox(settings)


def _restic() -> Iterator[Finding]:
    found = restic.version()
    restic.require(found)
    yield Finding("restic", "ok", ".".join(map(str, found)))


def _setpriv() -> Iterator[Finding]:
    find_program("setpriv", hint="it is part of util-linux")
    yield Finding("setpriv", "ok", "ends child processes with drkit")


def _state(settings: config.Config) -> Iterator[Finding]:
    State(settings.site.state).prepare()
    yield _room("state", settings.site.state)


def _room(name: str, path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    said = f"{path}, {free / (1 << 30):,.1f} GiB free"
    if free < _ROOM:
        return Finding(name, "warning", said, "less than 1 GiB: make room before it fills up")
    return Finding(name, "ok", said)


def _repository(settings: config.Config) -> Iterator[Finding]:
    for repository in settings.repositories:
        catalog = open_catalog(settings, repository.name)
        catalog.repository.open()
        points = catalog.points()
        sealed = [point for point in points if point.manifest]
        yield Finding(f"repository {repository.name}", "ok", f"opens; {len(sealed)} sealed recovery points")
        for broken in (point for point in points if point.broken_seal):
            yield Finding(
                f"repository {repository.name}",
                "warning",
                f"point {broken.id} was sealed, but {broken.broken_seal}",
                "look with `drkit verify`; nothing of it is removed by itself",
            )
        local = Path(repository.url)
        if local.is_dir():
            yield _room(f"room in {repository.name}", local)
        if sealed and sealed[0].taken_at > utc_now() + SKEW:
            yield Finding(
                "clock",
                "warning",
                "the newest recovery point is from the future",
                "set the clock of this machine",
            )


def _harbor(settings: config.Config) -> Iterator[Finding]:
    """Harbor's API, where it is to be used; and a read-only mode that a killed run has left."""
    state = State(settings.site.state)
    found = read_only.left(state)
    if found and not state.busy:
        raise ToolFailed(
            f"a killed run made Harbor at {found.url} read-only at {found.since}, and did not unset it",
            hint="the next backup unsets it; or unset it in Harbor (Configuration, System Settings)"
            f" and remove {state.read_only}",
        )
    api = collection.api_of(settings)
    if api is None:
        return
    assert settings.harbor is not None
    about = api.about()
    mode = api.read_only() if settings.harbor.read_only else about.read_only
    api.collections()
    yield Finding("harbor", "ok", f"{api.url}, version {about.version or 'unknown'}, answers {api.user}")
    if mode and not found:
        yield Finding(
            "read-only", "warning", "Harbor is read-only: pushes fail", "unset it if nobody wants it"
        )
    if api.url.startswith("http://"):
        yield Finding("harbor", "warning", "the password goes to it in the clear", "name it by https://")


def _secrets(settings: config.Config) -> Iterator[Finding]:
    gathered = secrets.gather(settings.secrets)
    members = gathered.members
    files = sum(member.kind == "file" for member in members)
    yield Finding("secrets", "ok", f"{files} files below {len(settings.secrets.paths)} paths")
    for left_out in gathered.warnings:
        yield Finding("secrets", "warning", left_out)
    if not any(member.path.endswith("/secret/keys/secretkey") for member in members) and settings.databases:
        yield Finding(
            "secret key",
            "warning",
            "Harbor's secret/keys/secretkey is not among them: encrypted columns would be lost",
            "add Harbor's secret directory to paths in [secrets]",
        )


def _certificates(settings: config.Config) -> Iterator[Finding]:
    """What a drill would turn red for; the first fault is an error, which decides the exit code."""
    warning, members = settings.secrets.expiry_warning, secrets.gather(settings.secrets).members
    faults = secret_warnings.of_content(members, utc_now(), warning)
    faults += secret_warnings.of_signing_keys(settings.secrets, members)
    if faults:
        raise ConfigError("; ".join(faults), hint="renew or replace it; the next backup takes the new one")
    found = secrets.certificate_facts(members)
    if found:
        end = min(facts.not_after for facts in found)
        said = f"{len(found)}, of which the first ends on {end:%Y-%m-%d}; no fault in pairs, issuers or names"
        yield Finding("certificates", "ok", said)


def _sandbox(settings: config.Config) -> Iterator[Finding]:
    """What a drill needs beside the repository."""
    if not (settings.objectives.drill or settings.schedule.drill):
        yield Finding("sandbox", "ok", "not looked at: no drills are planned")
        return
    if settings.blobs:
        sandbox_registry.find()
    user = settings.drill.user
    # A container needs nobody of that name.
    if os.geteuid() == 0 and settings.drill.database_image is None:
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise ConfigError(
                f'there is no user "{user}" to run the sandbox\'s PostgreSQL as', hint="see user in [drill]"
            ) from None
    path = settings.sandboxes
    path.mkdir(mode=0o711, parents=True, exist_ok=True)
    closed = next((p for p in (path, *path.parents) if os.geteuid() == 0 and not _passable(p)), None)
    if closed:
        raise ConfigError(
            f"the user {user} cannot pass through {closed}",
            hint="set directory in [drill] to one that is open to it",
        )
    yield _room("sandbox", path)


def _passable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXOTH)
