"""Names and links inside a bundle: what a name may be, and where a link really leads; pure."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath

# Linux's: NAME_MAX, PATH_MAX without the end, and how many links are followed.
_LONGEST_NAME = 255
_LONGEST_PATH = 4095
_MOST_LINKS = 40
# Whoever can write to the repository can make a bundle. What stands here is run, or believed, by root.
_TOP = frozenset({"bin", "boot", "dev", "lib", "lib32", "lib64", "libx32", "proc", "sbin", "sys"})
_DEEPER = frozenset(
    {
        *(("usr", name) for name in ("bin", "lib", "lib64", "libexec", "sbin")),
        *(("usr", "local", name) for name in ("bin", "lib", "sbin")),
        *(("run", name) for name in ("systemd", "udev")),
        *(("var", "spool", name) for name in ("at", "cron")),
    }
)
_IN_ETC = frozenset(
    {
        *("bash.bashrc", "bash_completion.d", "environment", "environment.d", "group", "gshadow", "init.d"),
        *("inittab", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "logrotate.conf"),
        *("logrotate.d", "modprobe.d", "modules-load.d", "nsswitch.conf", "pam.conf", "pam.d", "passwd"),
        *("polkit-1", "profile", "profile.d", "rc.local", "security", "shadow", "ssh", "subgid", "subuid"),
        *("sudo.conf", "sudoers", "sudoers.d", "sysctl.conf", "sysctl.d", "systemd", "tmpfiles.d", "udev"),
        "xdg",
    }
)


def unprintable(name: str) -> bool:
    """Whether a name holds control characters: it could forge a line of a report or steer a terminal."""
    return any(unicodedata.category(character) == "Cc" for character in name)


def too_long(path: str) -> bool:
    """Whether no file can have this path."""
    longest = max((len(os.fsencode(part)) for part in path.split("/")), default=0)
    return longest > _LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH


def is_system(path: str) -> bool:
    """Whether an absolute path belongs to the operating system's own set-up, or to somebody's login."""
    parts = PurePosixPath(posixpath.normpath(path)).parts[1:]
    if ".ssh" in parts or any(parts[:count] in _DEEPER for count in (2, 3)):
        return True
    match parts:
        case ("etc", name, *_):
            return name in _IN_ETC or "cron" in name
        case ("root", name, *_) | ("home", _, name, *_):
            return name.startswith(".")
        case _:
            return parts[:1] != () and parts[0] in _TOP


def link_target(path: str, link: str) -> str:
    """Where a link at `path` leads, as an absolute path; links on the way are not followed."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def leads_to(path: str, links: Mapping[str, str]) -> str | None:
    """Where a link ends up, as the kernel follows it, by the links of the bundle; None if in a circle."""
    followed = 0
    here = "/"
    pending = _parts(path)
    while pending:
        part = pending.pop(0)
        if part == "..":
            here = posixpath.dirname(here)
            continue
        there = posixpath.join(here, part)
        if there not in links:
            here = there
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return None
        link = links[there]
        here = "/" if link.startswith("/") else here
        pending = [*_parts(link), *pending]
    return here


def _parts(path: str) -> list[str]:
    return [part for part in PurePosixPath(path).parts if part not in ("/", "//")]
