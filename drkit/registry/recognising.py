"""Which registry a configuration file is of: distribution's and GitLab's config.yml, zot's config.json."""

from __future__ import annotations

import json
from contextlib import suppress
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
    """The registry that the bytes of its file describe; raises as `read`."""
    try:
        return _recognise(_document(data, path), path)
    except RecursionError:
        raise ConfigError(f"{path} refers to itself, or is nested too deeply", hint=_HINT) from None


def _document(data: bytes, path: Path) -> object:
    """JSON first: it may be indented by tabs, which YAML forbids.

    The parser's own words are not told: they may quote a password.
    """
    with suppress(ValueError):
        return json.loads(data)
    try:
        return yaml.safe_load(data)
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f": there is an error in line {mark.line + 1}" if mark else ", or has a value that is none"
        raise ConfigError(f"{path} is not YAML{where}", hint=_HINT) from None


def _recognise(document: object, path: Path) -> RegistryInstallation:
    if isinstance(document, dict):
        if zot_settings.is_one(document):
            return zot_settings.parse(document, path)
        if distribution_settings.is_one(document):
            return distribution_settings.parse(document, path)
        if document.get("hostname"):
            raise ConfigError(f"{path} seems to be Harbor's harbor.yml", hint="name it with --harbor")
    raise ConfigError(f"{path} is the configuration of no registry that drkit knows", hint=_HINT)
