"""Trying Harbor itself on what a drill has restored and checked: whether it can be, and what came of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from drkit import config
from drkit.blobs.dangling import Known
from drkit.checks import harbor as harbor_checks
from drkit.checks import keys as key_checks
from drkit.checks import named
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, passed
from drkit.checks.harbor import Running
from drkit.errors import DrillError, ToolFailed
from drkit.harbor import planting, secretkey, versions
from drkit.harbor.installation import Installation
from drkit.harbor.planting import Planted, TaggedImage
from drkit.logs import register_secret
from drkit.model import (
    CheckKind,
    CheckResult,
    ControlResult,
    InventoryFacts,
    Level,
    Outcome,
    PointManifest,
    Statement,
)
from drkit.registry import image_manifests, storage
from drkit.sandbox.build import Restored
from drkit.sandbox.harbor import box as boxes
from drkit.sandbox.harbor import choice, plan
from drkit.sandbox.harbor.box import Box
from drkit.sandbox.harbor.choice import Images, NoImages
from drkit.sandbox.harbor.plan import Keys, Made
from drkit.secrets.classify import SecretKind
from drkit.tools import docker, jwt
from drkit.tools.harbor_core import Core, Login
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target
from drkit.tools.process.command import which

_SUBJECT = "Harbor itself"
_SOCKET = ".s.PGSQL.5432"
_ROBOT_PREFIX = "robot$"
_HEALTH_SECONDS = 60.0


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
    return Trial(unproved=(Statement(_SUBJECT, "it was not started: the drill did not come so far"),))


def look(
    settings: config.Drill, manifest: PointManifest, level: Level, newer: str | None
) -> Images | Statement | None:
    """The images to start Harbor from, or why it is not started; None where there is no Harbor.

    `newer` is the release to upgrade to, which is as good as required. Raises DrillError where what is
    required cannot be.
    """
    schema = next((d.harbor_schema for d in manifest.databases if d.harbor_schema is not None), None)
    if schema is None and newer is None:
        return None
    if schema is None:
        found: Images | NoImages = NoImages(
            "no database of Harbor's is in this point", "leave --upgrade-to out"
        )
    else:
        found = _why_not(settings, manifest, level) or _images(settings, schema, newer)
    if isinstance(found, Images):
        return found
    return not_started(settings, found)


def refuse_without_any() -> None:
    """Raise DrillError where this machine cannot start any Harbor, whatever a point's schema is."""
    found = _machine_lacks()
    if found is None:
        try:
            found = choice.missing(docker.images())
        except ToolFailed as error:
            found = NoImages(error.message, error.hint)
    if found:
        raise DrillError(f"Harbor cannot be started: {found.reason}", hint=found.hint)


def not_started(settings: config.Drill, why: NoImages) -> Statement:
    """What the report says of it; raises DrillError where it is required."""
    if settings.harbor == "required":
        raise DrillError(f"Harbor cannot be started: {why.reason}", hint=why.hint)
    return Statement(_SUBJECT, f"it was not started: {why.reason}; its login, pages and jobs were not tried")


def _why_not(settings: config.Drill, manifest: PointManifest, level: Level) -> NoImages | None:
    if settings.harbor == "off":
        return NoImages("harbor in [drill] is off", "set it to auto")
    if level != "full":
        return NoImages("a quick drill does not start it", "run a full drill")
    if not manifest.images or not manifest.part("secrets"):
        return NoImages("images or secrets are not in this point", "see [blobs] and [secrets]")
    return _machine_lacks()


def _machine_lacks() -> NoImages | None:
    if os.geteuid() != 0:
        return NoImages("drkit is not root here, and its files need other owners", "run drkit as root")
    for program in ("docker", "nsenter"):
        if which(program) is None:
            return NoImages(f"{program} is not installed here", "install it")
    return None


def _images(settings: config.Drill, schema: int, newer: str | None) -> Images | NoImages:
    try:
        if not docker.is_local():
            return NoImages("docker's daemon is on another machine", "run drills where it is")
        here = docker.images()
        if newer is not None:
            return choice.choose_newer(here, schema, newer)
        return choice.choose(here, schema, settings.harbor_version)
    except ToolFailed as error:
        return NoImages(error.message, error.hint)


@dataclass(frozen=True)
class Materials:
    """What the restored secrets have for a Harbor."""

    installation: Installation
    keys: Keys


def materials(restored: Restored, secret_paths: tuple[str, ...]) -> Materials | NoImages:
    """The restored harbor.yml and keys, or what is missing."""
    members = restored.bundle.members
    found = named.find(members, secret_paths)
    if found.installation is None:
        return NoImages(
            found.fault or "no harbor.yml is among the restored secrets", "see paths in [secrets]"
        )
    by_kind = {member.what: member.data for member in members if member.kind == "file"}
    secret_key = key_checks.secret_key(key_checks.contents(members))
    token_key = by_kind.get(SecretKind.TOKEN_KEY)
    if secret_key is None or token_key is None:
        which_one = secretkey.PLACE if secret_key is None else "secret/core/private_key.pem"
        return NoImages(f"{which_one} is not among the restored secrets", "see paths in [secrets]")
    register_secret(secret_key.decode("utf-8", "replace"))
    certificate = by_kind.get(SecretKind.TOKEN_CERTIFICATE)
    return Materials(found.installation, Keys(secret_key, token_key, certificate))


def run(
    images: Images, found: Materials, restored: Restored, directory: Path, stage: Callable[[str], Stage]
) -> Trial:
    """Start Harbor below the sandbox's `directory`, check it, plant faults, and take it away.

    What it is tried on is the sandbox's own, and is changed by it. Raises ToolFailed where something is
    still there at the end.
    """
    database = restored.harbor
    assert database is not None
    made = _made_up()
    name = database.target.database
    wanted = plan.plan(found.installation, name, found.keys, images, made)
    socket = Path(database.target.settings["host"]) / _SOCKET
    mark = f"drkit-{secrets.token_hex(4)}"
    with boxes.prepared(wanted, directory, restored.root, socket) as box:
        core = box.core(found.installation.public_host)
        with stage("start Harbor"):
            with sessions.connect(database.target) as session:
                planted = planting.plant(session, mark, found.keys.secret_key)
            start = partial(_starts, box, core, images, planted, database.target)
            results = [Check(CheckKind.HARBOR_START, start).run()]
        if results[0].outcome is not Outcome.PASSED:
            return Trial(tuple(results), unproved=_rest(core, started=False), tag=images.tag)
        with stage("checks of Harbor"):
            running = _running(core, planted, mark, found, restored)
            results += [check.run() for check in harbor_checks.checks(running)]
            unproved = _rest(core, started=True)
        with stage("controls of Harbor"):
            short = replace(found.keys, secret_key=found.keys.secret_key[:-1])
            other = plan.core(found.installation, name, short, images, made)
            every = [
                *harbor_checks.controls(running, results, jwt.new_key()),
                _short_key(running, results, lambda: box.start_core(other, core)),
            ]
            controls = tuple(each.run() for each in every if isinstance(each, Control))
        box.prove_isolated()
    unplanted = tuple(each for each in every if isinstance(each, Unplanted))
    return Trial(tuple(results), controls, unplanted, unproved, images.tag)


Stage = contextlib.AbstractContextManager[None]


def _made_up() -> Made:
    import bcrypt

    password = register_secret(secrets.token_urlsafe(24))
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    # Harbor wants 16 characters of the one, and 32 of the other.
    return Made(
        password, hashed, register_secret(secrets.token_hex(8)), register_secret(secrets.token_hex(16))
    )


def _starts(box: Box, core: Core, images: Images, planted: Planted, database: Target) -> Finding:
    def look() -> Finding:
        before = _schema(database)
        box.start(core)
        health = _health(core)
        login = Login(planted.user.name, planted.user.password)
        said = str(core.ask("GET", "/api/v2.0/systeminfo", login.header).json().get("harbor_version"))
        if health.outcome is not Outcome.PASSED:
            return health
        after = _schema(database)
        brings = versions.schema_of(release) if (release := versions.release(images.tag)) else None
        if brings is not None and after < brings:
            return failed(f"{said} runs on schema {after}, and has not migrated it to its own, {brings}")
        migrated = f"; schema {before} migrated to {after}" if after != before else ""
        health_said = f"{health.detail}{migrated}; its network leads nowhere"
        return passed(f"{said} from the images of {images.tag}: {health_said}")

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
        return (Statement(_SUBJECT, "it did not start: its login, pulls and pushes were not tried"),)
    with contextlib.suppress(ToolFailed):
        absent = [name for name, state in harbor_checks.components(core).items() if state != "healthy"]
        if absent:
            said = f"a sandbox has no {', '.join(sorted(absent))}: jobs, scans and pages were not tried"
            return (Statement("the rest of Harbor", said),)
    return (Statement("the rest of Harbor", "jobs, scans and pages were not tried"),)
