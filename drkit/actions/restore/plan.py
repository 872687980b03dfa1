"""What `drkit restore` would do, and what is in the way; looked at before anything is touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from drkit import config
from drkit.actions import spreading
from drkit.actions.restore import bare, secrets, service
from drkit.actions.restore import server as restore_server
from drkit.actions.restore import target as restore_target
from drkit.actions.restore.expected import Expected, Wanted, expect
from drkit.actions.restore.options import RestoreOptions, What
from drkit.blobs.directory import placing
from drkit.blobs.ends import place_of_blobs
from drkit.database import clients, locked, swap
from drkit.errors import ConfigError, TargetNotEmpty, UsageError
from drkit.harbor.hostname import is_hostname
from drkit.model import DatabaseEvidence, Part, Point, PointManifest, utc_now
from drkit.points.catalog import open_catalog
from drkit.points.seal_files import SealFiles
from drkit.registry import storage
from drkit.reports import next_steps
from drkit.reports.units import size
from drkit.secrets import install
from drkit.tools.postgres import targets
from drkit.tools.postgres.targets import Target
from drkit.tools.restic import repository

StepKind = Literal["database", "blobs", "secrets", "configuration"]


@dataclass(frozen=True)
class RestoreStep:
    """One thing that a restore will do; `present` says what is there now, `blocked` whether that stops it.

    `source` says where the bytes come from, if not from the repository; what goes `in_bucket` cannot be set
    aside.
    """

    kind: StepKind
    name: str
    what: str
    target: str
    bytes: int
    present: str
    blocked: bool
    source: str = ""
    in_bucket: bool = False
    # Of a database: an empty one is filled as it is; who is connected and will be cut off; what else to know.
    in_place: bool = False
    connected: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    # Where its files go: what is needed at most, and what is free.
    room: str = ""


@dataclass(frozen=True)
class RestorePlan:
    """Everything that a restore will do."""

    point: str
    site: str
    manifest: PointManifest
    steps: tuple[RestoreStep, ...]
    options: RestoreOptions
    # As it was listed, for whoever fetches its seal.
    listed: Point
    age_seconds: float = 0.0
    # By the last drill; None where there was none.
    expected: Expected | None = None
    # The commands of [restore] around it, and where there is none, what somebody must stop himself.
    stop: str = ""
    start: str = ""
    to_stop: str = ""

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the point has beside these steps, in words."""
        kinds = {step.kind for step in self.steps}
        found = [f"database {each.name}" for each in self.manifest.databases if "database" not in kinds]
        found += ["image blobs"] if self.manifest.images and "blobs" not in kinds else []
        secret = self.manifest.part("secrets") and "secrets" not in kinds
        return (*found, *([f"{len(self.manifest.secret_files)} secret files"] if secret else []))


def plan(settings: config.Config, options: RestoreOptions) -> RestorePlan:
    """What would be restored, and what is in the way.

    Raises NoSuchPoint, UsageError, DatabaseUnreachable, and TargetNotEmpty (with the plan) if something is in
    the way and `replace` is not wished for.
    """
    _look_at_hostname(options)
    repository.require(repository.version())
    service.require(settings.restore)
    settings = settings.at(options.repository).over(options.cluster)
    catalog = open_catalog(settings, options.repository)
    point, _, known = catalog.find_among(options.point, locked=True)
    files = catalog.fetch_seal(point)
    manifest = files.manifest
    steps = tuple(_steps(settings, files, options))
    if not steps:
        raise UsageError(
            f"point {point.id} has no {options.only or 'part to restore'}",
            hint="`drkit show` tells what is in it",
        )
    of_bucket = manifest.bucket is not None and any(step.kind == "blobs" for step in steps)
    spreading.refuse_alone(options.cluster, "this restore", bucket=of_bucket)
    live = _touches_live(steps, options)
    found = RestorePlan(
        point.id,
        manifest.site,
        manifest,
        steps,
        options,
        point,
        age_seconds=(utc_now() - manifest.consistent_at).total_seconds(),
        expected=_expected(known, point, steps),
        stop=(live and settings.restore.stop) or "",
        start=(live and settings.restore.start) or "",
        to_stop=_to_stop(manifest) if live and settings.restore.stop is None else "",
    )
    blocked = [step for step in steps if step.blocked]
    if blocked:
        what = "; ".join(f"{step.what} ({step.present} at {step.target})" for step in blocked)
        hint = "--replace sets it aside under another name; nothing was changed"
        if any(step.in_bucket for step in blocked):
            hint = "objects cannot be set aside: name another bucket or root in [blobs]; nothing was changed"
        raise TargetNotEmpty(f"the target is not empty: {what}", hint=hint, result=found)
    return found


def _look_at_hostname(options: RestoreOptions) -> None:
    if not options.hostname:
        return
    if not is_hostname(options.hostname):
        raise UsageError(
            f"--hostname {options.hostname!r} is no name of a host",
            hint="give the name that clients will use, such as registry.example.com, without a scheme",
        )
    if options.only not in (None, "secrets"):
        raise UsageError(
            f"--hostname changes harbor.yml, which --only {options.only} does not restore",
            hint="leave one of them out",
        )


def _touches_live(steps: Sequence[RestoreStep], options: RestoreOptions) -> bool:
    """Whether something goes where the registry has it: a restore elsewhere must not stop what runs."""
    return any((options.database_dsn if step.kind == "database" else options.root) is None for step in steps)


def _to_stop(manifest: PointManifest) -> str:
    """What uses the parts of a point, in words."""
    if all(evidence.harbor_schema is None for evidence in manifest.databases):
        return "the registry"
    directory = next_steps.harbor_directory(manifest)
    where = f": docker compose stop core jobservice registry registryctl in {directory}" if directory else ""
    return f"Harbor (core, jobservice, registry, registryctl){where}"


def _expected(known: Sequence[Point], point: Point, steps: Sequence[RestoreStep]) -> Expected | None:
    """By the points that were read anyway: nobody shall wait for the others to be told how long he waits."""
    wanted = [Wanted(step.kind, step.name, step.bytes) for step in steps]
    return expect(wanted, known, point.id)


def _steps(settings: config.Config, files: SealFiles, options: RestoreOptions) -> Iterator[RestoreStep]:
    manifest = files.manifest
    wanted: tuple[What, ...] = (options.only,) if options.only else ("database", "blobs", "secrets")
    if "database" in wanted:
        _refuse_one_name_for_many(manifest, options)
        for evidence in manifest.databases:
            yield _database_step(settings, files, evidence, options)
    if "blobs" in wanted and (part := manifest.images):
        yield _blobs_step(settings, manifest, part, options)
    if "secrets" in wanted and (part := manifest.part("secrets")):
        identity = secrets.identity_file(settings, options.identity)
        present, in_the_way = secrets.look(files, identity, options.root, options.hostname)
        where, what = str(options.root or "their old places"), f"{len(manifest.secret_files)} secret files"
        blocked = in_the_way and not options.replace
        said = (f"harbor.yml will say {options.hostname}",) if options.hostname else ()
        yield RestoreStep("secrets", "secrets", what, where, part.bytes, present, blocked, remarks=said)
    member = secrets.configuration(files) if options.bare and options.only is None else None
    if member is not None:
        place = install.below(options.root, member.path)
        present = str(place) if install.obstacles((member,), options.root) else ""
        what = "drkit's configuration"
        step = _step("configuration", "drkit.toml", what, str(place), len(member.data), present, options)
        yield replace(step, remarks=_of_configuration(files, options))


def _of_configuration(files: SealFiles, options: RestoreOptions) -> tuple[str, ...]:
    missing, acting = bare.missing_files(files, options.root), bare.acting(files)
    said = []
    if missing:
        said.append(f"it names files that are neither here nor in the point: {', '.join(missing)}")
    if acting:
        said.append(f"read its {' and '.join(acting)} before drkit goes by it: this restore does not")
    return tuple(said)


def _refuse_one_name_for_many(manifest: PointManifest, options: RestoreOptions) -> None:
    if options.database_dsn is None or len(manifest.databases) < 2:
        return
    if "dbname" in targets.target(options.database_dsn, None).settings:
        names = ", ".join(evidence.name for evidence in manifest.databases)
        raise UsageError(
            f"--database-dsn names one database, and this point has {len(manifest.databases)}: {names}",
            hint="leave dbname out: each gets the name that it had",
        )


def _step(
    kind: StepKind, name: str, what: str, target: str, count: int, present: str, options: RestoreOptions
) -> RestoreStep:
    blocked = bool(present) and not options.replace
    return RestoreStep(kind, name, what, target, count, present or "nothing", blocked)


def _blobs_step(
    settings: config.Config, manifest: PointManifest, part: Part, options: RestoreOptions
) -> RestoreStep:
    to = restore_target.target(settings, manifest, options.root)
    if isinstance(to, Path):
        spreading.refuse_unseen(settings, options.cluster, placing.staging_for(to, manifest.id))
    source = restore_target.look_at_vault(settings, manifest)
    present = restore_target.obstacles(to, manifest)
    where = str(to) if isinstance(to, Path) else place_of_blobs(to).where
    step = _step("blobs", "blobs", "image blobs", where, part.bytes, present, options)
    in_bucket = isinstance(to, config.BucketBlobs)
    # Nothing in a bucket can be renamed: what is there stays, whatever is wished.
    blocked = step.blocked or (bool(present) and in_bucket)
    if isinstance(to, Path) and not blocked:
        step = replace(
            step, room=restore_target.room(to, manifest.id, part.bytes), remarks=_kept(to, present)
        )
    return replace(step, blocked=blocked, source=source, in_bucket=in_bucket)


def _kept(target: Path, present: str) -> tuple[str, ...]:
    if not present or not (target / storage.BLOBS).is_dir():
        return ()
    return ("blobs that are there and hash right are kept; only the others are read",)


def database_entry(
    settings: config.Config, evidence: DatabaseEvidence, options: RestoreOptions
) -> config.Database | None:
    """The configuration's database of that name, unless --database-dsn names a server of its own."""
    if options.database_dsn is not None:
        return None
    return next((entry for entry in settings.databases if entry.name == evidence.name), None)


def database_target(settings: config.Config, evidence: DatabaseEvidence, options: RestoreOptions) -> Target:
    """The database to make: by --database-dsn, else by the configuration; raises ConfigError."""
    entry = next((entry for entry in settings.databases if entry.name == evidence.name), None)
    if options.database_dsn is None:
        if entry is None:
            raise ConfigError(
                f"the configuration does not say where the database {evidence.name} goes",
                hint="--database-dsn 'host=... user=...' names it; the password comes from PGPASSFILE",
            )
        if options.database_password_file and entry.dsn and entry.container is None:
            return targets.target(entry.dsn, options.database_password_file)
        return locked.target_of(entry)
    own = targets.target(options.database_dsn, options.database_password_file)
    if entry and not options.database_password_file and _same_login(own, entry):
        own = targets.target(options.database_dsn, entry.password_file)
    return own if "dbname" in own.settings else own.with_database(evidence.shape.database)


def _same_login(wanted: Target, entry: config.Database) -> bool:
    """Whether the configured password is meant for this login: nobody else is shown it."""
    if entry.container is not None:
        return False
    configured = targets.target(entry.dsn or "", None).settings
    default = {"port": "5432"}
    keys = ("host", "hostaddr", "port", "user", "service")
    return all(
        wanted.settings.get(key, default.get(key)) == configured.get(key, default.get(key)) for key in keys
    )


def _database_step(
    settings: config.Config, files: SealFiles, evidence: DatabaseEvidence, options: RestoreOptions
) -> RestoreStep:
    target = database_target(settings, evidence, options)
    if len(target.database.encode()) > swap.NAME_BYTES:
        raise UsageError(
            f"the name is too long for PostgreSQL: database {target.database}",
            hint=f"a name has {swap.NAME_BYTES} bytes at most",
        )
    dump = files.manifest.need("database", evidence.name)
    text = files.data("roles", evidence.name).decode("utf-8", "replace")
    server = restore_server.look(target, evidence, text)
    entry = database_entry(settings, evidence, options)
    clients.look_for_loader(entry, evidence.archive_major, server.major)
    step = _step(
        "database",
        evidence.name,
        f"database {evidence.name}",
        target.where,
        dump.bytes,
        server.present,
        options,
    )
    if not step.blocked:
        restore_server.refuse(server, target, evidence)
        state = settings.site.state
        place = next(path for path in (state, *state.parents) if path.exists())
        free = shutil.disk_usage(place).free
        restore_server.room_for_dump(free, dump.bytes, str(state))
        step = replace(step, room=f"{size(dump.bytes)} in {state} meanwhile, {size(free)} free")
    return replace(
        step,
        in_place=server.in_place,
        connected=tuple(one.said for one in server.connected),
        remarks=server.remarks,
    )
