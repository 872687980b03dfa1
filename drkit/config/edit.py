"""Changing one list in drkit.toml, and nothing else: comments and layout stay as their author left them."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from drkit.config import parse_config
from drkit.errors import ConfigError
from drkit.files import replace_file


def write_recipients(path: Path, recipients: Sequence[str]) -> None:
    """Make these the recipients of the secrets; raises ConfigError, and then the file is as it was."""
    try:
        text = with_recipients(path.read_text(encoding="utf-8-sig"), recipients)
        if parse_config(text, str(path)).secrets.recipients != tuple(recipients):
            raise ConfigError(f"cannot change the recipients in {path}", hint="change them by hand")
        before = path.stat()
        replace_file(path, text, mode=stat.S_IMODE(before.st_mode))
        if os.geteuid() == 0:
            os.chown(path, before.st_uid, before.st_gid)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="drkit's user must be able to write it"
        ) from None


def with_recipients(text: str, recipients: Sequence[str]) -> str:
    """The TOML text with those recipients: what stays keeps its place, what is new comes last."""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"the configuration is not TOML: {error}") from None
    section = document.setdefault("secrets", tomlkit.table())
    listed = section.get("recipients")
    if not isinstance(listed, Array):
        listed = section["recipients"] = tomlkit.array().multiline(True)
    for entry in [str(each) for each in listed if each not in recipients]:
        listed.remove(entry)
    for entry in recipients:
        if entry not in listed:
            listed.append(entry)
    if "\n" not in listed.as_string() and len(listed) > 1:
        listed.multiline(True)
    return tomlkit.dumps(document)
