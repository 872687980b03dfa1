"""What alarms need of the configuration, also where that is broken just now.

Of a configuration that cannot be read, `[site]`, `[notify]` and `[ping]` may still be: they are taken as they
stand. Else those of the last run that could read them are used, which are kept in the state directory (they
name files; what is secret stands in those).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from drkit import config
from drkit.errors import ConfigError
from drkit.files import replace_file

log = logging.getLogger(__name__)

S = TypeVar("S", config.Notify, config.Ping)

_Section = dict[str, Any] | None
_FILE = "alarm_settings.json"
_STATE = re.compile(r"^\s*state\s*=\s*[\"'](/[^\"'\n]+)[\"']", re.MULTILINE)
_SECTION = re.compile(r"^\s*\[(\w+)\]\s*(?:#.*)?$")


@dataclass(frozen=True)
class AlarmSettings:
    """Who is told, of which site, and where it is remembered.

    `patience` is how many seconds a ping or the webhook may take: it is asked for amid other things.
    """

    site: str
    state: Path
    notify: config.Notify
    ping: config.Ping
    patience: float = 15.0

    @property
    def anybody(self) -> bool:
        """Whether there is anybody to tell."""
        return self.wants_status or bool(self.notify.webhook_file or self.ping.files)

    @property
    def wants_status(self) -> bool:
        """Whether somebody is to be told what is wrong with the site, for which it has to be looked at."""
        told = self.notify
        return bool(told.urls or told.mail or told.urls_file or told.critical_urls_file or self.ping.status)


@dataclass(frozen=True)
class _Kept:
    """The last good ones, and the file that they are from."""

    file: Path
    site: str
    notify: config.Notify
    ping: config.Ping


_ADAPTER = TypeAdapter(_Kept)


def of(settings: config.Config) -> AlarmSettings:
    """Those of a configuration that was read."""
    return AlarmSettings(settings.site.name, settings.site.state, settings.notify, settings.ping)


def keep(settings: config.Config) -> None:
    """Write them down for the day on which the configuration is broken; that this fails is logged."""
    if settings.file is None:
        return
    kept = _Kept(settings.file.path, settings.site.name, settings.notify, settings.ping)
    path = settings.site.state / _FILE
    try:
        text = _ADAPTER.dump_json(kept, by_alias=True, indent=1).decode()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            replace_file(path, text)
    except OSError as error:
        log.warning("cannot write down in %s who is to be told: %s", path, error.strerror)


def salvaged(file: Path) -> AlarmSettings | None:
    """Those for a configuration that cannot be used; None where nothing is known of them."""
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        text = ""
    sections, kept = _sections(text), _last_good(file, text)
    try:
        site = config.Site.model_validate_json(_json(sections.get("site")))
        name, state = site.name, site.state
    except ValidationError:
        return kept
    try:
        notify = config.Notify.model_validate_json(_json(sections.get("notify", {})))
        ping = config.Ping.model_validate_json(_json(sections.get("ping", {})))
        found = AlarmSettings(name, state, notify, ping)
    except ValidationError:
        # Those that name nobody, as before there was anybody to tell, are of no use.
        return kept if kept and kept.anybody else _of_what_is_sound(name, state, sections)
    return found if found.anybody or kept is None else kept


def _of_what_is_sound(site: str, state: Path, sections: Mapping[str, _Section]) -> AlarmSettings:
    """Of the two, where nothing was kept: each key that is sound by itself."""
    notify = _sound_keys(config.Notify, sections.get("notify"))
    return AlarmSettings(site, state, notify, _sound_keys(config.Ping, sections.get("ping")))


def _sound_keys(kind: type[S], section: _Section) -> S:
    sound: dict[str, Any] = {}
    for key, value in (section or {}).items():
        with contextlib.suppress(ValidationError):
            kind.model_validate_json(_json({key: value}))
            sound[key] = value
    return kind.model_validate_json(_json(sound))


def _last_good(file: Path, text: str) -> AlarmSettings | None:
    stated = _STATE.search(text)
    # Of a file that is gone nothing else says where; the units of `drkit timers` do.
    otherwise = os.environ.get("DRKIT_STATE") or config.Site.model_fields["state"].default
    state = Path(stated[1] if stated else otherwise)
    try:
        kept = _ADAPTER.validate_json((state / _FILE).read_bytes())
    except (OSError, ValueError):
        return None
    if kept.file != file.absolute():
        # Another site's, whose people have nothing to do with this.
        return None
    return AlarmSettings(kept.site, state, kept.notify, kept.ping)


def _sections(text: str) -> dict[str, _Section]:
    """The sections, each read by itself: one that is not TOML (None) spoils no other."""
    found: dict[str, _Section] = {}
    name, lines = "", list[str]()
    for line in [*text.splitlines(), "[]"]:
        if line.lstrip().startswith("["):
            _take(found, name, lines)
            heading = _SECTION.match(line)
            name, lines = (heading[1] if heading else ""), []
        else:
            lines.append(line)
    return found


def _take(found: dict[str, _Section], name: str, lines: list[str]) -> None:
    if name and name not in found:
        try:
            found[name] = tomllib.loads("\n".join(lines))
        except tomllib.TOMLDecodeError:
            found[name] = None


def _json(section: _Section) -> str:
    return json.dumps(section, default=str)


def require_anybody(settings: AlarmSettings) -> None:
    """Raise ConfigError where nobody is to be told."""
    if not settings.anybody:
        raise ConfigError(
            "nobody is to be told of anything", hint="give [notify] urls, urls_file, mail or webhook_file"
        )
