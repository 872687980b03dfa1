"""A machine that has nothing but a repository's address, its password and an identity.

The configuration is in the recovery point. There it is data, for whoever can write to the repository can
write one: it names no file of this machine, has no command run on it, and writes nowhere but where a restore
does. Files that it names are taken from the point's own secrets, or are missing.
"""

from __future__ import annotations

import os
import posixpath
import stat
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from drkit import config
from drkit.actions.restore import secrets
from drkit.actions.restore.target import is_systems
from drkit.errors import DatabaseUnreachable, RestoreDamaged, ToolFailed, UsageError
from drkit.files import make_directory, write_new
from drkit.model import utc_now
from drkit.points.catalog import open_catalog
from drkit.points.seal_files import SealFiles
from drkit.secrets.bundle import Member
from drkit.secrets.install import below
from drkit.state.directory import State, left_behind, new_id, private_directory, remove_tree
from drkit.tools.postgres import targets

_FILES = ("password_file", "credentials_file", "ca_file")
# What says where a database is. The rest of a connection string can name files.
_OF_A_SERVER = ("host", "hostaddr", "port", "user", "dbname", "sslmode")
_DEFAULT_STATE = "/var/lib/drkit"
_OLD_SECONDS = 3600
_REQUIRE_AUTH = "PGREQUIREAUTH"


@dataclass(frozen=True)
class Origin:
    """Where the recovery points are; `site` is whose, where there are several in there."""

    url: str
    password_file: Path
    credentials_file: Path | None = None
    site: str | None = None

    def settings(self, site: str, state: Path, more: Mapping[str, Any] | None = None) -> config.Config:
        """A configuration with this repository; raises ConfigError."""
        files = {"password_file": self.password_file, "credentials_file": self.credentials_file}
        given = {key: str(path.absolute()) for key, path in files.items() if path}
        document = {
            **(more or {}),
            "site": {"name": site, "state": str(state)},
            "repository": [{"name": "primary", "url": self.url, **given}],
        }
        return config.from_document(document, "the command line")


@contextmanager
def looking(origin: Origin) -> Iterator[config.Config]:
    """Settings to look at the repository with; what is kept meanwhile is gone afterwards.

    Raises UsageError where there are points of several sites and nobody says which are meant.
    """
    with _scratch() as state:
        site = origin.site
        if site is None:
            sites = sorted(open_catalog(origin.settings("unknown", state)).other_sites())
            if len(sites) > 1:
                raise UsageError(
                    f"the repository has recovery points of {len(sites)} sites: {', '.join(sites)}",
                    hint="say which one with --site NAME",
                )
            site = sites[0] if sites else "unknown"
        yield origin.settings(site, state)


@contextmanager
def _scratch() -> Iterator[Path]:
    """A state directory for a moment; what killed runs have left of theirs goes."""
    parent = Path(gettempdir()) / f"drkit-bare-{os.geteuid()}"
    make_directory(parent, 0o700, exist_ok=True)
    found = parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ToolFailed(f"{parent} is not drkit's", hint="remove it, or set TMPDIR")
    for path in left_behind(parent):
        # One that has only just been made may not have its lock yet.
        if time.time() - path.stat().st_mtime > _OLD_SECONDS:
            remove_tree(path)
    try:
        with private_directory(parent, new_id(utc_now())) as made:
            yield made
    finally:
        with suppress(OSError):
            parent.rmdir()


@contextmanager
def configured(
    origin: Origin, point: str, identity: Path | None, root: Path | None, *, server_given: bool = False
) -> Iterator[config.Config]:
    """The configuration of a point, for its restore to this machine; what it takes is gone afterwards.

    `server_given` is whether somebody else than the point says where the database is. Raises RestoreDamaged.
    """
    with looking(origin) as settings:
        catalog = open_catalog(settings)
        found, manifest = catalog.find(point)
        files = catalog.fetch_seal(found)
        document = _document(files)
    members = _members(files, identity)
    state = state_directory(document, root)
    with ExitStack() as stack:
        State(state).prepare()
        # Not by the number of the process: in a container that is always the same.
        private = stack.enter_context(private_directory(State(state).runs, f"bare-{new_id(utc_now())}"))
        if not server_given:
            stack.enter_context(no_clear_passwords())
        more = of_point(document, members, private)
        more["secrets"] = {"identity_file": str(identity.absolute())} if identity else {}
        yield origin.settings(manifest.site, state, more)


def state_directory(document: Mapping[str, Any], root: Path | None) -> Path:
    """Where a configuration has drkit's state; raises RestoreDamaged where that may be somebody else's.

    drkit lets others pass through it, writes there, and removes what looks like the remains of a killed run.
    """
    said = str(section(document, "site").get("state", _DEFAULT_STATE))
    straight = said.startswith("/") and posixpath.normpath(said) == said and "\0" not in said
    place = below(root, said)
    systems = root is None and is_systems(said)
    if not straight or systems or not (said == _DEFAULT_STATE or _may_be_ours(place)):
        raise RestoreDamaged(
            f"the configuration in the point has drkit's state in {said!r}, which is not drkit's here",
            hint="use --root DIR with an empty directory, or write a configuration and name it with --config",
        )
    return place


def _may_be_ours(place: Path) -> bool:
    try:
        return not place.exists() or (place / "locks").is_dir() or not any(place.iterdir())
    except OSError:
        return False


@contextmanager
def no_clear_passwords() -> Iterator[None]:
    """Let libpq refuse a server that asks for the password itself, unless the environment says what it wants.

    Which server it is says the configuration in the point: whoever wrote that would get to know the password.
    """
    if _REQUIRE_AUTH in os.environ:
        yield
        return
    os.environ[_REQUIRE_AUTH] = "!password"
    try:
        yield
    except DatabaseUnreachable as error:
        error.hint = (
            "give the password with --database-password-file FILE, or another server with --database-dsn;"
            " one that asks for the password in clear is refused, unless --database-dsn names it"
        )
        raise
    finally:
        os.environ.pop(_REQUIRE_AUTH, None)


def _document(files: SealFiles) -> dict[str, Any]:
    """The configuration in a point; nothing where it has none. Raises RestoreDamaged."""
    if files.manifest.part("configuration") is None:
        return {}
    try:
        found = tomllib.loads(files.data("configuration", "configuration").decode())
    except ValueError as error:
        raise RestoreDamaged(
            f"the configuration in point {files.manifest.id} cannot be read: {error}",
            hint="write a configuration, and name it with --config",
        ) from None
    return found


def _members(files: SealFiles, identity: Path | None) -> dict[str, bytes]:
    """The secret files by their paths, as far as somebody can open them."""
    if identity is None or files.manifest.part("secrets") is None:
        return {}
    opened: tuple[Member, ...] = secrets.open_members(files, identity)
    return {member.path: member.data for member in opened if member.kind == "file"}


def of_point(document: Mapping[str, Any], members: Mapping[str, bytes], private: Path) -> dict[str, Any]:
    """What a restore needs of a configuration that is not to be trusted further than its point.

    Where images are in a directory the point itself says in which.
    """
    entries = document.get("database", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise _unlike("database")
    more: dict[str, Any] = {"database": [_database(_own_files(each, members, private)) for each in entries]}
    for name in ("blobs", "vault"):
        found = section(document, name)
        if found and (name == "vault" or found.get("kind") == "s3"):
            more[name] = _own_files(found, members, private)
    return more


def section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of a configuration, empty where it has none; raises RestoreDamaged for what is no section."""
    found = document.get(name, {})
    if not isinstance(found, dict):
        raise _unlike(name)
    return found


def _unlike(name: str) -> RestoreDamaged:
    return RestoreDamaged(
        f'"{name}" in the configuration of the point is not what it should be',
        hint="write a configuration, and name it with --config",
    )


def _database(entry: dict[str, Any]) -> dict[str, Any]:
    if "dsn" not in entry:
        return entry
    settings = targets.target(str(entry["dsn"]), None).settings
    kept = {key: value for key, value in settings.items() if key in _OF_A_SERVER}
    return {**entry, "dsn": targets.connection_string(**kept)}


def _own_files(section: Mapping[str, Any], members: Mapping[str, bytes], private: Path) -> dict[str, Any]:
    """A section whose files are those in the point; the others are not named any more."""
    found = {key: value for key, value in section.items() if key not in _FILES}
    for key in _FILES:
        data = members.get(str(section.get(key)))
        if data is not None:
            written = private / f"{len(list(private.iterdir()))}-{key}"
            write_new(written, data.decode("utf-8", "replace"))
            found[key] = str(written)
    return found


def missing_files(files: SealFiles, root: Path | None) -> tuple[str, ...]:
    """The files that the configuration in a point names, and that are neither in it nor on this machine."""
    there = {file.path for file in files.manifest.secret_files}
    named = {value for key, value in _strings(_document(files)) if key.endswith("_file")}
    return tuple(sorted(path for path in named - there if not below(root, path).exists()))


def acting(files: SealFiles) -> tuple[str, ...]:
    """The sections of the configuration in the point that have commands run and others told."""
    document = _document(files)
    return tuple(f"[{name}]" for name in ("restore", "notify", "ping", "hook") if document.get(name))


def _strings(value: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a document, with the key that it stands under."""
    match value:
        case dict():
            for name, each in value.items():
                yield from _strings(each, name)
        case list():
            for each in value:
                yield from _strings(each, key)
        case str():
            yield key, value
        case _:
            pass
