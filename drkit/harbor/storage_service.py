"""harbor.yml's `storage_service`: where the images are, and how the registry reaches them in a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drkit.registry import bucket_parameters
from drkit.registry.bucket_parameters import Place, RegistryBucket


def driver(section: Mapping[str, Any]) -> str:
    """The driver that Harbor picks; the order is that of its prepare script, and an empty section is none."""
    order = ("filesystem", "azure", "gcs", "s3", "swift", "oss")
    return next((name for name in order if section.get(name)), "filesystem")


def bucket(service: Mapping[str, Any], path: Path) -> RegistryBucket:
    """The bucket that a `storage_service` with `s3` in it names; raises ConfigError where it names none.

    `path` is that of the harbor.yml, for errors.
    """
    found, ca_bundle = service.get("s3"), service.get("ca_bundle")
    ca_file = Path("/", str(ca_bundle).strip().lstrip("/")) if ca_bundle else None
    section = found if isinstance(found, dict) else {}
    return bucket_parameters.bucket(section, Place(path, "storage_service.s3"), ca_file)
