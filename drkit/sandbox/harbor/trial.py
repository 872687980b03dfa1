"""Trying Harbor itself on what a drill has restored and checked: whether it can be, and what came of it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from drkit.blobs.dangling import Known
from drkit.checks import harbor as harbor_checks
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, passed, undecided
from drkit.checks.harbor import Running
from drkit.errors import Failure, ToolFailed
from drkit.harbor import planting
from drkit.harbor.planting import Planted, TaggedImage
from drkit.logs import register_secret
from drkit.model import (
    CheckKind,
    CheckResult,
    ControlResult,
    InventoryFacts,
    Outcome,
    PointManifest,
    Statement,
)
from drkit.registry import image_manifests, storage
from drkit.sandbox.build import Restored
from drkit.sandbox.harbor import containers, held_jobs
from drkit.sandbox.harbor.box import Box, Runner, prepared
from drkit.sandbox.harbor.choice import Images
from drkit.sandbox.harbor.containers import Containers
from drkit.sandbox.harbor.plan import Made, Places, Planner
from drkit.sandbox.harbor.processes import Processes
from drkit.sandbox.harbor.readiness import SUBJECT, Materials, Source
from drkit.tools import jwt
from drkit.tools.harbor_core import Core, Login
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

_SOCKET = ".s.PGSQL.5432"
_ROBOT_PREFIX = "robot$"
_HEALTH_SECONDS = 60.0
# Where jobservice runs as well: it is kept from running any.
_NOT_TRIED = "jobs, scans and pages were not tried"


@dataclass(frozen=True)
class Trial:
    """What came of it; `unproved` says what was not tried, and why."""

    checks: tuple[CheckResult, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    unplanted: tuple[Unplanted, ...] = ()
    unproved: tuple[Statement, ...] = ()
    tag: str = ""


def not_reached(manifest: PointManifest) -> Trial:
    """What there is to say where a drill ends before it comes to that."""
    if all(database.harbor_schema is None for database in manifest.databases):
        return Trial()
    return Trial(unproved=(Statement(SUBJECT, "it was not started: the drill did not come so far"),))


def run(
    source: Source,
    found: Materials,
    restored: Restored,
    directory: Path,
    patience: timedelta,
    stage: Callable[[str], Stage],
) -> Trial:
    """Start Harbor below the sandbox's `directory`, check it, plant faults, and take it away.

    What it is tried on is the sandbox's own, and is changed by it. Core has that `patience` to come up.
    Raises ToolFailed where something is still there at the end.
    """
    database = restored.harbor
    assert database is not None
    runner, places = _runner(source, restored, directory)
    has_jobs = source.jobservice is not None
    name = database.target.database
    planner = Planner(found.installation, name, found.keys, _made_up(), places, has_jobs)
    socket = Path(database.target.settings["host"]) / _SOCKET
    mark = f"drkit-{secrets.token_hex(4)}"
    seconds = patience.total_seconds()
    with prepared(Box(runner, planner.plan(), directory, restored.root, socket, seconds)) as box:
        core = box.core(found.installation.public_host)
        with stage("start Harbor"):
            try:
                with sessions.connect(database.target) as session:
                    planted = planting.plant(session, mark, found.keys.secret_key)
            except Failure as error:
                return _stuck(source, [], f"nobody can be planted in the database: {error.message}")
            start = partial(_starts, box, core, source, planted, database.target)
            results = [Check(CheckKind.HARBOR_START, start).run()]
        if results[0].outcome is not Outcome.PASSED:
            return Trial(tuple(results), unproved=_rest(core, started=False), tag=source.tag)
        with stage("checks of Harbor"):
            try:
                running = _running(core, planted, mark, found, restored)
            except Failure as error:
                return _stuck(source, results, f"what to try cannot be found out: {error.message}")
            held = held_jobs.start(box, database.target) if has_jobs else None
            results += [check.run() for check in harbor_checks.checks(running)]
            if held is not None:
                results.append(held.check(core))
            unproved = _rest(core, started=True)
        with stage("controls of Harbor"):
            short = replace(found.keys, secret_key=found.keys.secret_key[:-1])
            every = [
                *harbor_checks.controls(running, results, jwt.new_key()),
                *([held.control(core, results)] if held is not None else []),
                _short_key(running, results, lambda: box.start_core(planner.core(short), core)),
            ]
            controls = tuple(each.run() for each in every if isinstance(each, Control))
        box.prove_isolated()
    unplanted = tuple(each for each in every if isinstance(each, Unplanted))
    return Trial(tuple(results), controls, unplanted, unproved, source.tag)


Stage = contextlib.AbstractContextManager[None]


def _runner(source: Source, restored: Restored, directory: Path) -> tuple[Runner, Places]:
    if isinstance(source, Images):
        return Containers(source, directory), containers.PLACES
    places = Places.below(directory / "harbor")
    return Processes(source, directory, places, restored.hidden), places


def _made_up() -> Made:
    import bcrypt

    password = register_secret(secrets.token_urlsafe(24))
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    # Harbor wants 16 characters of the one, and 32 of the other.
    return Made(
        password, hashed, register_secret(secrets.token_hex(8)), register_secret(secrets.token_hex(16))
    )


def _stuck(source: Source, results: list[CheckResult], why: str) -> Trial:
    """What there is to say where the checks cannot begin: that is no verdict."""
    stuck = Check(CheckKind.HARBOR_LOGIN, lambda: undecided(why)).run()
    said = Statement(SUBJECT, "its login, pulls and pushes were not tried")
    return Trial((*results, stuck), unproved=(said,), tag=source.tag)


def _starts(box: Box, core: Core, source: Source, planted: Planted, database: Target) -> Finding:
    def look() -> Finding:
        before = _schema(database)
        box.start(core)
        health = _health(core)
        login = Login(planted.user.name, planted.user.password)
        said = str(core.ask("GET", "/api/v2.0/systeminfo", login.header).json().get("harbor_version"))
        if health.outcome is not Outcome.PASSED:
            return health
        after = _schema(database)
        brings = source.schema
        if brings is not None and after < brings:
            return failed(f"{said} runs on schema {after}, and has not migrated it to its own, {brings}")
        migrated = f"; schema {before} migrated to {after}" if after != before else ""
        health_said = f"{health.detail}{migrated}; its network leads nowhere"
        return passed(f"{said} from {source.said}: {health_said}")

    return harbor_checks.judged(look)


def _schema(database: Target) -> int:
    with sessions.connect(database) as session:
        return int(session.value("SELECT max(version) FROM public.schema_migrations"))


def _health(core: Core) -> Finding:
    """What core says of itself: it looks every few seconds, and knows nothing before its first look."""
    end = time.monotonic() + _HEALTH_SECONDS
    while True:
        found = harbor_checks.healthy(core)
        if found.outcome is Outcome.PASSED or time.monotonic() > end:
            return found
        time.sleep(0.2)


def _running(core: Core, planted: Planted, mark: str, found: Materials, restored: Restored) -> Running:
    database = restored.harbor
    assert database is not None
    with sessions.connect(database.target) as session:
        image = next((i for i in planting.pullable(session) if _whole(restored, i)), None)
    facts: dict[str, InventoryFacts] = {line.name: line.facts for line in database.evidence.inventory or ()}
    user = Login(planted.user.name, planted.user.password)
    prefix = _ROBOT_PREFIX
    with contextlib.suppress(ToolFailed, KeyError, TypeError):
        prefix = str(core.api("configurations", user)["robot_name_prefix"]["value"])
    robot = Login(f"{prefix}{planted.robot.name}", planted.robot.password)
    signer = found.keys.certificate or found.keys.token_key
    return Running(core, user, robot, mark, planted.remote, image, signer, facts)


def _whole(restored: Restored, image: TaggedImage) -> bool:
    """Whether production had all of an image: what it lacked is no fault of the point."""
    known: Known = restored.dangling
    if known.tag(image.repository, image.tag) or known.image(image.repository, image.digest):
        return False
    return _complete(restored.root, image.digest)


def _complete(root: Path, digest: str) -> bool:
    try:
        needs = image_manifests.read(root, digest)
    except ToolFailed:
        return False
    there = all(storage.blob_path(root, blob.digest).is_file() for blob in needs.blobs)
    return there and all(_complete(root, child.digest) for child in needs.children)


def _short_key(
    running: Running, results: list[CheckResult], start: Callable[[], None]
) -> Control | Unplanted:
    name = "Harbor: a secret key of another length"
    opened = any(r.kind is CheckKind.HARBOR_SETTINGS and r.outcome is Outcome.PASSED for r in results)
    if running.remote is None or not opened:
        return Unplanted(name, "its check did not pass")
    remote = running.remote

    def look() -> Finding:
        start()
        return harbor_checks.opens(running.core, running.user, remote, {})

    return Control(name, "core started again with one letter less", partial(harbor_checks.judged, look))


def _rest(core: Core, *, started: bool) -> tuple[Statement, ...]:
    """What of Harbor was not tried."""
    if not started:
        return (Statement(SUBJECT, "it did not start: its login, pulls and pushes were not tried"),)
    with contextlib.suppress(ToolFailed):
        states = harbor_checks.components(core)
        absent = sorted(name for name, state in states.items() if state != "healthy")
        if absent:
            said = f"a sandbox has no {', '.join(absent)}: {_NOT_TRIED}"
            return (Statement("the rest of Harbor", said),)
    return (Statement("the rest of Harbor", _NOT_TRIED),)
