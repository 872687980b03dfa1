"""drkit.toml -> frozen settings.

Secrets are never in the file, only the names of files that hold them. docs/configuration.md describes every
key.
"""

from __future__ import annotations

from drkit.config.cluster import Cluster
from drkit.config.limits import Hook, Limits, MaxDuration
from drkit.config.reading import DEFAULT_PATH, find_config, from_document, load_config, parse_config
from drkit.config.repositories import Repository, Retention
from drkit.config.service import Drill, Harbor, Registry, Restore
from drkit.config.site import Config, ConfigurationFile, Objectives, Site
from drkit.config.sources import (
    S3,
    BucketBlobs,
    Database,
    DirectoryBlobs,
    FilesystemBlobs,
    LayoutBlobs,
    Secrets,
    Vault,
)
from drkit.config.unattended import Notify, Ping, Schedule

__all__ = [
    "DEFAULT_PATH",
    "S3",
    "BucketBlobs",
    "Cluster",
    "Config",
    "ConfigurationFile",
    "Database",
    "DirectoryBlobs",
    "Drill",
    "FilesystemBlobs",
    "Harbor",
    "Hook",
    "LayoutBlobs",
    "Limits",
    "MaxDuration",
    "Notify",
    "Objectives",
    "Ping",
    "Registry",
    "Repository",
    "Restore",
    "Retention",
    "Schedule",
    "Secrets",
    "Site",
    "Vault",
    "find_config",
    "from_document",
    "load_config",
    "parse_config",
]
