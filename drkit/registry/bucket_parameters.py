"""The parameters of distribution's s3 driver: which bucket, and how the registry reaches it.

Harbor hands those of harbor.yml on as they are (distribution's docs/storage-drivers/s3.md; Harbor's
make/photon/prepare/utils/registry.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from drkit.errors import ConfigError
from drkit.logs import register_secret

ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


class Place(NamedTuple):
    """Where parameters stand, for errors: a configuration file, and the section in it."""

    file: Path
    key: str


@dataclass(frozen=True)
class RegistryBucket:
    """The bucket of a registry: `root` is its rootdirectory without slashes around it.

    `endpoint` is None at Amazon; `credentials` is empty where the machine's own role is used. `regrets` says
    what the configuration asks for and drkit does otherwise, a sentence each.
    """

    bucket: str
    root: str = ""
    endpoint: str | None = None
    region: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    regrets: tuple[str, ...] = ()


def bucket(section: Mapping[str, Any], where: Place, ca_file: Path | None = None) -> RegistryBucket:
    """The bucket that these parameters name; raises ConfigError where they name none."""
    name = _text(section, "bucket")
    if name is None:
        raise ConfigError(
            f"{where.file}: {where.key} names no bucket", hint=f"see bucket in {where.file.name}"
        )
    endpoint = _endpoint(section)
    return RegistryBucket(
        bucket=name,
        root=(_text(section, "rootdirectory") or "").strip("/"),
        endpoint=endpoint,
        region=_text(section, "region"),
        credentials=_credentials(section, where),
        ca_file=ca_file,
        addressing=_addressing(section, endpoint),
        regrets=tuple(_regrets(section, where.file.name)),
    )


def _text(section: Mapping[str, Any], key: str) -> str | None:
    value = section.get(key)
    return str(value) if value not in (None, "") else None


def _is(section: Mapping[str, Any], key: str, wanted: bool) -> bool:
    """Whether a flag is given and has this value; YAML's and the driver's ways to write it."""
    value = _text(section, key)
    return value is not None and (value.lower() in ("true", "1", "t")) is wanted


def _endpoint(section: Mapping[str, Any]) -> str | None:
    """With the scheme that the driver would add: https, unless `secure` is false."""
    endpoint = _text(section, "regionendpoint")
    if endpoint is None:
        return None
    if not re.match(r"https?://", endpoint):
        endpoint = f"{'http' if _is(section, 'secure', False) else 'https'}://{endpoint}"
    return endpoint.rstrip("/")


def _credentials(section: Mapping[str, Any], where: Place) -> dict[str, str]:
    """Empty where neither key is given: the driver then asks the environment or the machine's role."""
    key, secret = _text(section, "accesskey"), _text(section, "secretkey")
    if key is None and secret is None:
        return {}
    if key is None or secret is None:
        missing = "accesskey" if key is None else "secretkey"
        raise ConfigError(
            f"{where.file}: {where.key} has no {missing}",
            hint="it needs accesskey and secretkey, or neither where the machine has a role",
        )
    found = {ACCESS_KEY_ID: key, SECRET_ACCESS_KEY: register_secret(secret)}
    token = _text(section, "sessiontoken")
    return found | ({SESSION_TOKEN: register_secret(token)} if token else {})


def _addressing(section: Mapping[str, Any], endpoint: str | None) -> Literal["auto", "path", "virtual"]:
    """As the driver does: but at Amazon's the bucket stands in the path, if not told otherwise."""
    if endpoint is None:
        return "auto"
    return "virtual" if _is(section, "forcepathstyle", False) else "path"


def _regrets(section: Mapping[str, Any], file: str) -> list[str]:
    found = []
    if _is(section, "skipverify", True):
        found.append(
            f"{file} has skipverify: drkit verifies the storage's certificate all the same;"
            " name its authority by ca_file in [blobs] if it is one of your own"
        )
    if _is(section, "v4auth", False):
        found.append(f"{file} turns v4auth off: drkit signs its requests by version 4 all the same")
    if _is(section, "accelerate", True):
        found.append(f"{file} has accelerate: drkit uses the bucket's ordinary address")
    ways = [key for key in ("encrypt", "keyid", "storageclass") if _text(section, key) is not None]
    if "encrypt" in ways and _is(section, "encrypt", False):
        ways.remove("encrypt")
    if ways:
        found.append(
            f"{file} has {' and '.join(ways)}: what a restore writes to the bucket"
            " has the bucket's own default instead"
        )
    return found
