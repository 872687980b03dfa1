"""Units and cron lines in the directories of the system: put there, found again, compared and removed.

The first line of each file says whose it is: nothing else is ever touched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from drkit.errors import ConfigError
from drkit.files import replace_file

Form = Literal["timers", "daemon", "cron"]
SYSTEMD, CRON = Path("/etc/systemd/system"), Path("/etc/cron.d")
FORMS: tuple[Form, ...] = ("timers", "daemon", "cron")
_NOTED = "timers.json"
# What `systemctl enable` makes.
_WANTS = ("timers.target.wants", "multi-user.target.wants")
_MARK = re.compile(
    r"# Written by `drkit timers`: (?P<form>\w+) of (?P<site>\S+), (?P<fingerprint>[0-9a-f]+)\n"
)


@dataclass(frozen=True)
class Installed:
    """A file of drkit's: which form of the schedule it belongs to, and what it was made from."""

    path: Path
    form: str
    fingerprint: str


@dataclass(frozen=True)
class Files:
    """A form of a site's schedule: file name -> text; `fingerprint` is that of what it was made from."""

    form: Form
    site: str
    texts: Mapping[str, str]
    fingerprint: str

    @property
    def marked(self) -> dict[str, str]:
        """The same, each file saying whose it is."""
        mark = f"# Written by `drkit timers`: {self.form} of {self.site}, {self.fingerprint}\n"
        return {name: mark + text for name, text in self.texts.items()}


def fingerprint(texts: Mapping[str, str]) -> str:
    """What identifies a set of files."""
    return hashlib.sha256(json.dumps(sorted(texts.items())).encode()).hexdigest()[:16]


def default_directory(form: Form) -> Path:
    """Where the system looks for files of a form."""
    return CRON if form == "cron" else SYSTEMD


def find(site: str, directories: Iterable[Path]) -> tuple[Installed, ...]:
    """The files of a site in these directories; what cannot be read is none."""
    found = []
    for path in sorted({path for directory in directories for path in directory.glob("drkit-*")}):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            mark = _MARK.match(path.read_text(encoding="utf-8")) if path.is_file() else None
            if mark and mark["site"] == site:
                found.append(Installed(path, mark["form"], mark["fingerprint"]))
    return tuple(found)


def install(files: Files, directory: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write the files that are not there, or differ, with mode 0644; returns their names.

    And of the same form those that are no more on the schedule, which are removed. Raises ConfigError where
    the directory cannot be written, and for a file of that name that is not drkit's.
    """
    ours = {each.path.name: each for each in find(files.site, [directory])}
    changed = []
    # Before anything is written: a part of a schedule is none.
    for name in files.marked:
        if (path := directory / name).exists() and name not in ours:
            raise ConfigError(
                f"{path} is there already, and was not written by drkit for this site",
                hint="move it away, or name another --directory",
            )
    try:
        for name, text in files.marked.items():
            path = directory / name
            if name not in ours or path.read_text(encoding="utf-8") != text:
                replace_file(path, text, mode=0o644)
                changed.append(name)
    except OSError as error:
        raise _unwritable(directory, error) from None
    gone = [each for each in ours.values() if each.form == files.form and each.path.name not in files.texts]
    return tuple(changed), remove(gone)


def remove(installed: Iterable[Installed]) -> tuple[str, ...]:
    """Remove these files, and what enables them; returns their names. Raises ConfigError."""
    names = []
    for each in installed:
        try:
            for wants in _WANTS:
                link = each.path.parent / wants / each.path.name
                if link.is_symlink():
                    link.unlink()
            each.path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(each.path.parent, error) from None
        names.append(each.path.name)
    return tuple(names)


def _unwritable(directory: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot write to {directory}: {error.strerror}",
        hint="run it as root, or print them with `drkit timers` and put them there yourself",
    )


def differences(files: Files, installed: Iterable[Installed]) -> str:
    """How what is installed of a form differs from what the configuration asks for; empty: it does not."""
    there = {each.path.name: each for each in installed if each.form == files.form}
    missing = [name for name in files.texts if name not in there]
    if missing:
        return f"{missing[0]} is missing"
    if surplus := [name for name in there if name not in files.texts]:
        return f"{surplus[0]} is no more on the schedule"
    if old := [name for name, each in there.items() if each.fingerprint != files.fingerprint]:
        return f"{old[0]} was made from another configuration"
    return ""


def remember(state: Path, directory: Path) -> None:
    """Note a directory that files were put into, to look there later; the usual ones need no note."""
    if directory not in (SYSTEMD, CRON):
        known = {*_remembered(state), str(directory)}
        with contextlib.suppress(OSError):
            replace_file(state / _NOTED, json.dumps(sorted(known)) + "\n")


def directories(state: Path) -> tuple[Path, ...]:
    """Where files of drkit's may be on this machine."""
    return (SYSTEMD, CRON, *map(Path, _remembered(state)))


def _remembered(state: Path) -> list[str]:
    try:
        found = json.loads((state / _NOTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
