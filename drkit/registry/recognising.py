"""Which registry a configuration file is of: distribution's and GitLab's config.yml, zot's config.json."""

from __future__ import annotations

from pathlib import Path

import yaml

from drkit.errors import ConfigError
from drkit.registry import distribution_settings, zot_settings
from drkit.registry.installation import RegistryInstallation

_HINT = "name the registry's own file: config.yml of distribution or GitLab, config.json of zot"


def read(path: Path) -> RegistryInstallation:
    """The registry of a file; raises ConfigError, NotSupported."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint=_HINT) from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> RegistryInstallation:
    """The registry that the bytes of its file describe, JSON being YAML too; raises as `read`."""
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {str(error).splitlines()[0]}", hint=_HINT) from None
    if isinstance(document, dict):
        if zot_settings.is_one(document):
            return zot_settings.parse(document, path)
        if distribution_settings.is_one(document):
            return distribution_settings.parse(document, path)
        if document.get("hostname"):
            raise ConfigError(f"{path} seems to be Harbor's harbor.yml", hint="name it with --harbor")
    raise ConfigError(f"{path} is the configuration of no registry that drkit knows", hint=_HINT)
