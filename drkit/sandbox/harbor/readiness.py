"""Whether Harbor can be started on a restored point: images, rights and keys, and why not where it cannot."""

from __future__ import annotations

import os
from dataclasses import dataclass

from drkit import config
from drkit.checks import keys as key_checks
from drkit.checks import named
from drkit.errors import DrillError, ToolFailed
from drkit.harbor import secretkey
from drkit.harbor.installation import Installation
from drkit.logs import register_secret
from drkit.model import Level, PointManifest, Statement
from drkit.sandbox.build import Restored
from drkit.sandbox.harbor import choice, programs
from drkit.sandbox.harbor.choice import Images, NoImages
from drkit.sandbox.harbor.plan import Keys
from drkit.sandbox.harbor.programs import Programs
from drkit.secrets.kinds import SecretKind
from drkit.tools import docker
from drkit.tools.process.command import which

SUBJECT = "Harbor itself"
# What a Harbor can be started from.
Source = Images | Programs
_FOR_IMAGES = ("docker", "nsenter")
_FOR_PROGRAMS = ("nsenter", "unshare", "setpriv", "prlimit", "taskset")


def look(
    settings: config.Drill, manifest: PointManifest, level: Level, newer: str | None
) -> Source | Statement | None:
    """What to start Harbor from, or why it is not started; None where there is no Harbor.

    `newer` is the release to upgrade to, which is as good as required. Raises DrillError where what is
    required cannot be. A quick drill is to be quick: it never starts Harbor, and what is required is so of
    full drills.
    """
    schema = next((d.harbor_schema for d in manifest.databases if d.harbor_schema is not None), None)
    if schema is None and newer is None:
        return None
    if level != "full":
        return _statement("a quick drill does not start it")
    if schema is None:
        found: Source | NoImages = NoImages(
            "no database of Harbor's is in this point", "leave --upgrade-to out"
        )
    else:
        found = _why_not(settings, manifest) or _source(settings, schema, newer)
    if isinstance(found, Source):
        return found
    return not_started(settings, found)


def refuse_without_any(settings: config.Drill) -> None:
    """Raise DrillError where this machine cannot start any Harbor, whatever a point's schema is."""
    found: Programs | NoImages | None = _machine_lacks(settings)
    if found is None:
        try:
            if settings.core is not None:
                found = programs.find(settings.core, settings.jobservice, settings.registry_program)
            else:
                found = choice.missing(docker.images())
        except ToolFailed as error:
            found = NoImages(error.message, error.hint)
    if isinstance(found, NoImages):
        raise DrillError(f"Harbor cannot be started: {found.reason}", hint=found.hint)


def not_started(settings: config.Drill, why: NoImages) -> Statement:
    """What the report says of it; raises DrillError where it is required."""
    if settings.harbor == "required":
        raise DrillError(f"Harbor cannot be started: {why.reason}", hint=why.hint)
    return _statement(why.reason)


def _statement(reason: str) -> Statement:
    return Statement(SUBJECT, f"it was not started: {reason}; its login, pages and jobs were not tried")


def _why_not(settings: config.Drill, manifest: PointManifest) -> NoImages | None:
    if settings.harbor == "off":
        return NoImages("harbor in [drill] is off", "set it to auto")
    if not manifest.images or not manifest.part("secrets"):
        return NoImages("images or secrets are not in this point", "see [blobs] and [secrets]")
    return _machine_lacks(settings)


def _machine_lacks(settings: config.Drill) -> NoImages | None:
    if os.geteuid() != 0:
        return NoImages("drkit is not root here, and its files need other owners", "run drkit as root")
    for program in _FOR_IMAGES if settings.core is None else _FOR_PROGRAMS:
        if which(program) is None:
            return NoImages(f"{program} is not installed here", "install it")
    return None


def _source(settings: config.Drill, schema: int, newer: str | None) -> Source | NoImages:
    """The programs that are named, else images: what somebody has named is what they mean."""
    if settings.core is None:
        return _images(settings, schema, newer)
    found = programs.find(settings.core, settings.jobservice, settings.registry_program)
    if isinstance(found, NoImages):
        return found
    if newer is not None:
        return programs.fit_newer(found, schema, newer) or found
    return programs.fit(found, schema, settings.harbor_version) or found


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
