"""`drkit doctor`: look before anything runs. Every finding says what to do about it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import assert_never

from drkit import __version__, config
from drkit.actions import hooks, secret_warnings, trail
from drkit.actions.backup import gc_watch, read_only
from drkit.actions.doctor import bucket, disk, keys, neighbours, repositories, sources
from drkit.actions.doctor.finding import Finding
from drkit.actions.drift import look as drift
from drkit.actions.restore import service
from drkit.actions.runbook import record
from drkit.errors import ConfigError, DrkitError, Failure, NotGreen, ToolFailed
from drkit.files import make_directory, writable_by_others
from drkit.harbor import secretkey
from drkit.model import clock_changes, utc_now
from drkit.sandbox import postgres as sandbox_postgres
from drkit.sandbox import registry as sandbox_registry
from drkit.sandbox import zot
from drkit.sandbox.harbor import readiness
from drkit.secrets import capture
from drkit.state.directory import State
from drkit.tools.process.command import find_program
from drkit.tools.restic import repository as restic


@dataclass(frozen=True)
class Diagnosis:
    """Everything that was looked at."""

    findings: tuple[Finding, ...]
    problems: int
    warnings: int


Look = tuple[str, Callable[[], Iterator[Finding]]]


def doctor(settings: config.Config, further: Sequence[Look] = ()) -> Diagnosis:
    """Look at everything that a backup or a drill needs, and at what is `further` to be looked at.

    Raises the first problem's own error (with the Diagnosis), so that the exit code tells what kind it is.
    """
    findings: list[Finding] = []
    first: DrkitError | None = None
    for name, look in (*_looks(settings), *further):
        try:
            findings.extend(look())
        except Failure as error:
            first = first or error
            findings.append(Finding(name, "problem", error.message, error.hint))
    problems = sum(finding.state == "problem" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    diagnosis = Diagnosis(tuple(findings), problems, warnings)
    if problems:
        found = next(finding for finding in findings if finding.state == "problem")
        worst = first or NotGreen(found.detail, hint=found.hint)
        said = "1 problem" if problems == 1 else f"{problems} problems"
        raise type(worst)(f"{said}; the first: {worst.message}", hint=worst.hint, result=diagnosis)
    return diagnosis


def _looks(settings: config.Config) -> Iterator[Look]:
    compared = cache(lambda: drift.of_site(settings))
    yield "restic", _restic
    yield "setpriv", _setpriv
    yield "state", lambda: _state(settings)
    yield "private files", lambda: keys.private_files(settings)
    yield from repositories.looks(settings, compared)
    for entry in settings.databases:
        yield f"database {entry.name}", partial(sources.look_at_database, settings, entry)
    if settings.databases:
        yield "other databases", lambda: neighbours.look(settings)
    match settings.blobs:
        case config.FilesystemBlobs() | config.LayoutBlobs():
            yield "blobs", lambda: sources.look_at_blobs(settings)
        case config.BucketBlobs() as source:
            yield "blobs", lambda: bucket.look_at_source(source)
            if vault := settings.vault:
                yield "vault", lambda: bucket.look_at_vault(settings, source, vault, utc_now())
            for each in settings.repositories[1:]:
                what = f"vault of {each.name}"
                yield what, partial(bucket.look_at_further, settings, source, each, utc_now())
        case None:
            pass
        case _:
            assert_never(settings.blobs)
    yield "harbor", lambda: _harbor(settings)
    if settings.secrets.paths:
        yield "secrets", lambda: _secrets(settings)
        yield "certificates", lambda: _certificates(settings)
        yield "harbor.yml", lambda: _harbor_yml(compared())
        yield "recipients", lambda: keys.recipients(settings)
        yield "passwords", lambda: keys.passwords(settings)
    yield "sandbox", lambda: _sandbox(settings)
    if settings.hooks:
        yield "hooks", lambda: hooks.examine(settings)
    if settings.file:
        yield "configuration", partial(_configuration, settings.file)
    yield "audit trail", lambda: trail.examine(settings)
    yield "schedule", lambda: _schedule(settings)
    yield "runbooks", lambda: _runbooks(settings)
    if settings.restore.stop or settings.restore.start:
        yield "restore", lambda: _restore(settings)


def _restore(settings: config.Config) -> Iterator[Finding]:
    service.require(settings.restore)
    yield Finding("restore", "ok", "the programs that stop and start the service are there")


def _configuration(file: config.ConfigurationFile) -> Iterator[Finding]:
    """Whoever can change it can have drkit run programs and write files as its user."""
    if other := writable_by_others(file.path):
        raise ConfigError(
            f"others may change what drkit goes by: {other}",
            hint="let root or drkit's user own it, and nobody else write to it",
        )
    yield Finding("configuration", "ok", f"nobody else may change {file.path}")


def _restic() -> Iterator[Finding]:
    found = restic.version()
    restic.require(found)
    yield Finding("restic", "ok", ".".join(map(str, found)))


def _setpriv() -> Iterator[Finding]:
    find_program("setpriv", hint="it is part of util-linux")
    yield Finding("setpriv", "ok", "ends child processes with drkit")


def _state(settings: config.Config) -> Iterator[Finding]:
    State(settings.site.state).prepare()
    yield disk.look("state", settings.site.state)


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
    api = gc_watch.api_of(settings)
    if api is None:
        return
    assert settings.harbor is not None
    about = api.about()
    mode = api.read_only() if settings.harbor.read_only else about.read_only
    api.collections()
    yield Finding("harbor", "ok", f"{api.url}, version {about.version or 'unknown'}, answers {api.user}")
    if mode and not found:
        yield Finding(
            "read-only", "warning", "Harbor is read-only: pushes fail", "unset it if it is not wanted"
        )
    if api.url.startswith("http://"):
        yield Finding("harbor", "warning", "the password is sent unencrypted", "use an https:// address")


def _secrets(settings: config.Config) -> Iterator[Finding]:
    gathered = capture.gather(settings.secrets)
    members = gathered.members
    files = sum(member.kind == "file" for member in members)
    yield Finding("secrets", "ok", f"{files} files below {len(settings.secrets.paths)} paths")
    for left_out in gathered.warnings:
        yield Finding("secrets", "warning", left_out)
    if not any(member.path.endswith(f"/{secretkey.PLACE}") for member in members) and settings.databases:
        yield Finding(
            "secret key",
            "warning",
            f"Harbor's {secretkey.PLACE} is not among them: encrypted columns would be lost",
            "add Harbor's secret directory to paths in [secrets]",
        )


def _certificates(settings: config.Config) -> Iterator[Finding]:
    """What a drill would turn red for; the first fault is an error, which decides the exit code."""
    warning, members = settings.secrets.expiry_warning, capture.gather(settings.secrets).members
    faults = secret_warnings.of_content(members, utc_now(), warning)
    faults += secret_warnings.of_signing_keys(settings.secrets, members)
    if faults:
        hint = "renew or replace it, or add what is missing to paths in [secrets]; then run `drkit backup`"
        raise ConfigError("; ".join(faults), hint=hint)
    for said in secret_warnings.unproved(members, utc_now(), warning):
        yield Finding("certificates", "warning", f"a drill cannot prove it: {said}")
    found = capture.certificate_facts(members)
    if found:
        end = min(facts.not_after for facts in found)
        said = (
            f"{len(found)}, of which the first expires on {end:%Y-%m-%d}; no fault in pairs, issuers or names"
        )
        yield Finding("certificates", "ok", said)


def _harbor_yml(found: drift.Look) -> Iterator[Finding]:
    """Whether the configuration backs up what harbor.yml names."""
    for each in found.drift:
        yield Finding("harbor.yml", "problem", each.said, each.hint)
    for note in found.notes:
        yield Finding("harbor.yml", "warning", note)
    if found.harbor_yml and not found.drift:
        but = ", but for what dropped in [site] names" if found.confirmed else ""
        said = f"the database, images and files that {found.harbor_yml} names are backed up{but}"
        yield Finding("harbor.yml", "ok", said)


def _schedule(settings: config.Config) -> Iterator[Finding]:
    for said in clock_changes.warnings(settings.schedule.jobs, settings.schedule.zone, utc_now()):
        yield Finding(
            "schedule", "warning", said, "see [schedule]; systemd leaves out a day without that time"
        )
    schedule = settings.schedule
    if settings.objectives.reread and schedule.jobs and not (schedule.verify and schedule.verify_for):
        said = "there is a reread objective, and no verify on the schedule that reads anything"
        yield Finding("schedule", "warning", said, "set verify and verify_for in [schedule]")


def _runbooks(settings: config.Config) -> Iterator[Finding]:
    """Whether what was written down for an emergency is still true."""
    known = record.read(settings.site.state)
    if known.rendered_at is None:
        yield Finding("runbooks", "ok", "not written yet: `drkit runbook` does")
        return
    said = f"{known.directory}, of {known.rendered_at:%Y-%m-%d}"
    if known.settings != record.fingerprint(settings):
        old = "are older than the configuration"
    elif known.drkit != __version__:
        old = f"are of drkit {known.drkit}"
    elif not Path(known.directory).is_dir():
        old = "are gone"
    else:
        yield Finding("runbooks", "ok", said)
        return
    yield Finding("runbooks", "warning", f"{said}, {old}", "run `drkit runbook`, and replace printed copies")


def _sandbox(settings: config.Config) -> Iterator[Finding]:
    """What a drill needs beside the repository."""
    if not (settings.objectives.drill or settings.schedule.drill):
        yield Finding("sandbox", "ok", "not looked at: no drills are planned")
        return
    if isinstance(settings.blobs, config.LayoutBlobs):
        if zot.find(settings.drill.registry_program) is None:
            yield Finding(
                "zot",
                "warning",
                "it is not on this machine: a drill cannot try that it serves what was restored",
                "install it here, or name it as registry_program in [drill]",
            )
    elif settings.blobs:
        sandbox_registry.find(settings.drill.registry_program)
    # A container needs nobody of that name.
    if settings.drill.database_image is None:
        sandbox_postgres.account(settings.drill.user)
    path = settings.sandboxes
    make_directory(path, 0o711, exist_ok=True)
    closed = next((p for p in (path, *path.parents) if os.geteuid() == 0 and not _passable(p)), None)
    if closed:
        raise ConfigError(
            f"the user {settings.drill.user} cannot pass through {closed}",
            hint="set directory in [drill] to one that is open to it",
        )
    # Whoever names a program wants it to be started, also where Harbor need not be.
    if settings.drill.harbor == "required" or (settings.drill.core and settings.drill.harbor == "auto"):
        readiness.refuse_without_any(settings.drill)
    yield disk.look("sandbox", path)


def _passable(path: Path) -> bool:
    return bool(path.stat().st_mode & stat.S_IXOTH)
