"""harbor.yml's `storage_service`: where the images are, and how the registry reaches them in a bucket.

The keys of `s3` are those of the registry's own s3 driver, to which Harbor hands them on as they are
(distribution's docs/storage-drivers/s3.md; Harbor's make/photon/prepare/utils/registry.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from drkit.errors import ConfigError
from drkit.logs import register_secret

ACCESS_KEY_ID, SECRET_ACCESS_KEY, SESSION_TOKEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
)


@dataclass(frozen=True)
class HarborBucket:
    """The bucket of a registry: `root` is its rootdirectory without slashes around it.

    `endpoint` is None at Amazon; `credentials` is empty where the machine's own role is used. `regrets` says
    what harbor.yml asks for and drkit does otherwise, a sentence each.
    """

    bucket: str
    root: str = ""
    endpoint: str | None = None
    region: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    regrets: tuple[str, ...] = ()


def driver(section: Mapping[str, Any]) -> str:
    """The driver that Harbor picks; the order is that of its prepare script, and an empty section is none."""
    order = ("filesystem", "azure", "gcs", "s3", "swift", "oss")
    return next((name for name in order if section.get(name)), "filesystem")


def bucket(service: Mapping[str, Any], path: Path) -> HarborBucket:
    """The bucket that a `storage_service` with `s3` in it names; raises ConfigError where it names none.

    `path` is that of the harbor.yml, for errors.
    """
    found = service.get("s3")
    section = found if isinstance(found, dict) else {}
    name = _text(section, "bucket")
    if name is None:
        raise ConfigError(f"{path}: storage_service.s3 names no bucket", hint="see bucket in harbor.yml")
    endpoint = _endpoint(section)
    ca_bundle = service.get("ca_bundle")
    return HarborBucket(
        bucket=name,
        root=(_text(section, "rootdirectory") or "").strip("/"),
        endpoint=endpoint,
        region=_text(section, "region"),
        credentials=_credentials(section, path),
        ca_file=Path("/", str(ca_bundle).strip().lstrip("/")) if ca_bundle else None,
        addressing=_addressing(section, endpoint),
        regrets=tuple(_regrets(section)),
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


def _credentials(section: Mapping[str, Any], path: Path) -> dict[str, str]:
    """Empty where neither key is given: the driver then asks the environment or the machine's role."""
    key, secret = _text(section, "accesskey"), _text(section, "secretkey")
    if key is None and secret is None:
        return {}
    if key is None or secret is None:
        missing = "accesskey" if key is None else "secretkey"
        raise ConfigError(
            f"{path}: storage_service.s3 has no {missing}",
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


def _regrets(section: Mapping[str, Any]) -> list[str]:
    found = []
    if _is(section, "skipverify", True):
        found.append(
            "harbor.yml has skipverify: drkit verifies the storage's certificate all the same;"
            " name its authority by ca_file in [blobs] if it is one of your own"
        )
    if _is(section, "v4auth", False):
        found.append("harbor.yml turns v4auth off: drkit signs its requests by version 4 all the same")
    if _is(section, "accelerate", True):
        found.append("harbor.yml has accelerate: drkit uses the bucket's ordinary address")
    ways = [key for key in ("encrypt", "keyid", "storageclass") if _text(section, key) is not None]
    if "encrypt" in ways and _is(section, "encrypt", False):
        ways.remove("encrypt")
    if ways:
        found.append(
            f"harbor.yml has {' and '.join(ways)}: what a restore writes to the bucket"
            " has the bucket's own default instead"
        )
    return found
