"""What a restore that did not end well has left, part by part, and the commands that undo what it did."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from drkit.actions.restore.options import RestoreOptions
from drkit.actions.restore.plan import RestoreStep, database_target
from drkit.blobs.directory import placing
from drkit.config import Config
from drkit.database import swap
from drkit.errors import DrkitError
from drkit.model import PointManifest
from drkit.model.set_aside import original, there
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.targets import Target, connection_string


@dataclass(frozen=True)
class NotRestored:
    """A part that did not come back: why, and what is in its place now."""

    what: str
    target: str
    why: str
    now: str


def of_path(aside: Path, point: str) -> str:
    """The command that puts back what was set aside; what was restored is renamed in its turn."""
    place = original(aside)
    away = place.with_name(f"{place.name}.restored-{point}")
    first = f"mv -T {shlex.quote(str(place))} {shlex.quote(str(away))} && " if there(place) else ""
    return f"{first}mv -T {shlex.quote(str(aside))} {shlex.quote(str(place))}"


def of_database(database: Target, aside: str, point: str) -> str:
    """The same of a database, with psql at another database of that server."""
    away = swap.away_name(database.database, point)
    renamings = (
        sql.text(
            sql.compose(
                "ALTER DATABASE {old} RENAME TO {new}", old=sql.identifier(old), new=sql.identifier(new)
            )
        )
        for old, new in ((database.database, away), (aside, database.database))
    )
    where = connection_string(**swap.maintenance(database).settings)
    return " ".join(["psql", shlex.quote(where), *(f"-c {shlex.quote(each)}" for each in renamings)])


def now_at(step: RestoreStep, settings: Config, manifest: PointManifest, options: RestoreOptions) -> str:
    """What is in the place of a part that did not come back; a sentence."""
    match step.kind:
        case "database":
            return _database(step, settings, manifest, options)
        case "secrets" | "configuration":
            return "each file is either as it was or as packed: none is half written"
        case _:
            return _blobs(step, manifest)


def _blobs(step: RestoreStep, manifest: PointManifest) -> str:
    if step.in_bucket:
        return f"{step.target} may be filled in part: let nothing use it"
    target = Path(step.target)
    try:
        staging = placing.staging_for(target, manifest.id)
        kept = f"; what came so far is kept in {staging}" if staging.is_dir() else ""
        said = f"{target} is as it was" if placing.obstacles(target) else f"there are no images in {target}"
    except OSError as error:
        return f"{target} cannot be looked at: {error.strerror}"
    return f"{said}{kept}"


def _database(step: RestoreStep, settings: Config, manifest: PointManifest, options: RestoreOptions) -> str:
    if step.in_place:
        return f"{step.target} was empty, and has what was loaded so far"
    evidence = next(each for each in manifest.databases if each.name == step.name)
    try:
        target = database_target(settings, evidence, options)
        with sessions.connect(swap.maintenance(target)) as session:
            found = swap.exists(session, target.database)
            closed = found and not swap.admits(session, target.database)
    except DrkitError as error:
        return f"nobody can tell: {error.message}"
    if closed:
        opened = "ALTER DATABASE ... ALLOW_CONNECTIONS true"
        return f"{step.target} is as it was, and accepts no connections ({opened} lets them in)"
    return f"{step.target} is as it was" if found else f"there is no {step.target}"
