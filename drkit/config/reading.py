"""Finding the file, reading it, and what its sections must agree on."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drkit.config import kept
from drkit.config.explain import explain
from drkit.config.service import Harbor
from drkit.config.site import Config, ConfigurationFile
from drkit.config.sources import BucketBlobs, Vault
from drkit.errors import ConfigError

DEFAULT_PATH = Path("/etc/drkit/drkit.toml")


def find_config(option: Path | None) -> Path:
    """The file to read: `--config`, else `$DRKIT_CONFIG`, else /etc/drkit/drkit.toml."""
    return option or Path(os.environ.get("DRKIT_CONFIG") or DEFAULT_PATH)


def load_config(path: Path) -> Config:
    """Read and check the file; raises ConfigError that names the key, its place and the nearest known key."""
    try:
        # Some editors put a byte order mark before it.
        text = path.read_text(encoding="utf-8-sig")
        status = path.stat()
    except FileNotFoundError:
        hint = "make one with `drkit init`, or name it with --config or DRKIT_CONFIG"
        raise ConfigError(f"there is no configuration at {path}", hint=hint) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", hint="name a file that drkit's user may read"
        ) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} is not text in UTF-8: see line {line}", hint="correct that line, or name another file"
        ) from None
    mode = stat.S_IMODE(status.st_mode) & 0o777
    file = ConfigurationFile(path.absolute(), text, mode, status.st_uid, status.st_gid)
    return parse_config(text, str(path)).read_from(kept.original(file))


def parse_config(text: str, source: str) -> Config:
    """The settings that a TOML text says; `source` names it in errors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        hint = 'a line is a [section], key = "string" in double quotes, or a # comment'
        raise ConfigError(f"{source} is not TOML: {error}", hint=hint) from None
    return from_document(document, source)


def from_document(document: Mapping[str, Any], source: str) -> Config:
    """The settings that a document says which is TOML no more."""
    try:
        # Through JSON, since only there do strict types and paths given as strings go together.
        config = Config.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise explain(error, source) from None
    _check_whole(config, source)
    return config


def _check_whole(config: Config, source: str) -> None:
    for what, names in (
        ("database", [database.name for database in config.databases]),
        ("repository", [repository.name for repository in config.repositories]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigError(
                f'{source}: two [[{what}]] are named "{twice}"', hint="give each a name of its own"
            )
    for number, database in enumerate(config.databases, 1):
        if database.dsn is None and database.container is None:
            raise ConfigError(
                f'{source}: "dsn" is missing in [[database]] number {number}',
                hint='every database needs it, or container = "harbor-db"; see docs/configuration.md',
            )
    if config.primary.rpo is not None:
        raise ConfigError(
            f'{source}: "rpo" in the first [[repository]] is wrong: backups go there, and are not copied',
            hint="that one is rpo in [objectives]",
        )
    if config.schedule.copy_ and len(config.repositories) == 1:
        raise ConfigError(
            f'{source}: "copy" in [schedule] has nowhere to copy to', hint="add a second [[repository]]"
        )
    if config.secrets.paths and not config.secrets.recipients:
        raise ConfigError(
            f"{source}: [secrets] names paths but no recipients",
            hint="give at least one age recipient (age1...), or nobody could open the bundle",
        )
    if isinstance(config.blobs, BucketBlobs):
        _check_vault(config.blobs, config.vault, source)
    _check_further_vaults(config, source)
    if config.harbor:
        _check_harbor(config.harbor, source)
    if config.drill.jobservice and not config.drill.core:
        raise ConfigError(
            f"{source}: [drill] names jobservice but no core",
            hint="jobservice is started beside a core that is a program as well: name that as core",
        )


def _check_vault(blobs: BucketBlobs, vault: Vault | None, source: str) -> None:
    """Blobs in a bucket are kept in another: in the same one, what loses the one loses the other."""
    if vault is None:
        raise ConfigError(
            f"{source}: [blobs] is a bucket, and there is no [vault]",
            hint="name the bucket that keeps them, in another account, region or provider, as [vault]",
        )
    if (blobs.bucket, _service(blobs.endpoint)) == (vault.bucket, _service(vault.endpoint)):
        raise ConfigError(
            f"{source}: [vault] is the bucket that it protects, {vault.bucket}",
            hint="use another bucket, best in another account, region or at another provider",
        )


def _check_further_vaults(config: Config, source: str) -> None:
    """A further repository's vault is another place than the first, and than the bucket that both protect."""
    if config.primary.vault:
        raise ConfigError(
            f"{source}: [repository.vault] in the first [[repository]] is wrong: its blobs are in [vault]",
            hint="put it below the [[repository]] that points are copied to",
        )
    for repository in config.with_vaults:
        own = repository.vault
        assert own is not None
        if isinstance(config.blobs, BucketBlobs):
            _check_vault(config.blobs, own, source)
        places = [other.vault for other in config.with_vaults if other is not repository]
        if _place(own) in {_place(vault) for vault in (config.vault, *places) if vault}:
            raise ConfigError(
                f"{source}: the vault of {repository.name}, {own.where}, is another one's as well",
                hint="use another bucket, best in another account, region or at another provider",
            )


def _place(vault: Vault) -> tuple[str, str, str]:
    return vault.bucket, vault.prefix, _service(vault.endpoint)


def _service(endpoint: str | None) -> str:
    """An endpoint in one spelling; a host may have other names, so a backup proves that there are two."""
    scheme, _, rest = (endpoint or "").rstrip("/").lower().partition("://")
    return f"{scheme}://{rest.removesuffix({'http': ':80', 'https': ':443'}.get(scheme, '/'))}"


def _check_harbor(harbor: Harbor, source: str) -> None:
    """The API needs all three, or is not used."""
    given = {"url": harbor.url, "user": harbor.user, "password_file": harbor.password_file}
    missing = [key for key, value in given.items() if value is None]
    wanted = harbor.read_only or harbor.ca_file is not None or len(missing) < len(given)
    if wanted and missing:
        raise ConfigError(
            f"{source}: [harbor] has no {' and no '.join(missing)}",
            hint="Harbor's API needs url, user and password_file; only waiting works without it",
        )
