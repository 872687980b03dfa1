"""drkit.toml -> frozen settings.

Secrets are never in the file, only the names of files that hold them. docs/configuration.md describes every
key.
"""

from __future__ import annotations

from drkit.config.reading import DEFAULT_PATH, find_config, from_document, load_config, parse_config
from drkit.config.sections import (
    S3,
    BucketBlobs,
    Config,
    ConfigurationFile,
    Database,
    FilesystemBlobs,
    Harbor,
    Registry,
    Repository,
    Restore,
    Retention,
    Schedule,
    Secrets,
    Vault,
)

__all__ = [
    "DEFAULT_PATH",
    "S3",
    "BucketBlobs",
    "Config",
    "ConfigurationFile",
    "Database",
    "FilesystemBlobs",
    "Harbor",
    "Registry",
    "Repository",
    "Restore",
    "Retention",
    "Schedule",
    "Secrets",
    "Vault",
    "find_config",
    "from_document",
    "load_config",
    "parse_config",
]
