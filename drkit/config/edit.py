"""Changing one thing in drkit.toml, and nothing else: comments and layout stay as their author left them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array, Table

from drkit.config import parse_config
from drkit.errors import ConfigError
from drkit.files import replace_file


def write_recipients(path: Path, recipients: Sequence[str]) -> None:
    """Make these the recipients of the secrets; raises ConfigError, and then the file is as it was."""
    try:
        text = with_recipients(path.read_text(encoding="utf-8-sig"), recipients)
        if parse_config(text, str(path)).secrets.recipients != tuple(recipients):
            raise ConfigError(f"cannot change the recipients in {path}", hint="change them by hand")
    except OSError as error:
        raise _unwritable(path, error) from None
    write(path, text)


def write(path: Path, text: str) -> None:
    """Replace the file, which keeps its owner and mode; raises ConfigError, and then it is as it was."""
    try:
        before = path.stat()
        replace_file(path, text, mode=stat.S_IMODE(before.st_mode))
        if os.geteuid() == 0:
            os.chown(path, before.st_uid, before.st_gid)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}", hint="drkit's user must be able to write it")


def with_repository(text: str, entry: Mapping[str, str]) -> str:
    """The TOML text with one more [[repository]], after those that are there."""
    document = _parsed(text)
    listed = document.get("repository")
    if not isinstance(listed, AoT):
        raise ConfigError(
            "the configuration lists its repositories in one line", hint="write them as [[repository]]"
        )
    table = tomlkit.table()
    for key, value in entry.items():
        table.add(key, value)
    table.add(tomlkit.nl())
    listed.append(table)
    return tomlkit.dumps(document)


def with_job(text: str, verb: str, expression: str) -> str:
    """The TOML text with a verb on the schedule, which is there and lacks it."""
    document = _parsed(text)
    schedule = document["schedule"]
    assert isinstance(schedule, Table)
    schedule.add(verb, expression)
    return tomlkit.dumps(document)


def with_recipients(text: str, recipients: Sequence[str]) -> str:
    """The TOML text with those recipients: what stays keeps its place, what is new comes last."""
    document = _parsed(text)
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


def _parsed(text: str) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(f"the configuration is not TOML: {error}") from None
