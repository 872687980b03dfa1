"""What a unit of drkit's may do on the machine: systemd's sandboxing (systemd.exec(5)), by the configuration.

drkit runs as root, for it reads root's files and freezes file systems. docs/systemd.md says what is left
open, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from drkit import config

_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - to see whether anything of the site's is there
# Where LVM's programs have their locks and keep what they did.
_LVM = (Path("/run/lock"), Path("/run/lvm"), Path("/etc/lvm"))
# Where what is called sendmail leaves a mail for its server, and says so.
_MAIL = (Path("/var/spool"), Path("/var/log/exim4"))
_RCLONE = Path("/root/.config/rclone")

_ALWAYS = """\
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectClock=yes
LockPersonality=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=mnt net
UMask=0077
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL
CapabilityBoundingSet=CAP_SETGID CAP_SETUID CAP_SETPCAP CAP_SYS_ADMIN CAP_SYS_PTRACE
PrivateMounts=yes
DevicePolicy=closed
DeviceAllow=/dev/fuse rw
"""
# Snapshots of LVM and ZFS, and any file system that is mounted from its device.
_VOLUMES = """\
DeviceAllow=block-* rw
DeviceAllow=/dev/mapper/control rw
DeviceAllow=/dev/zfs rw
DeviceAllow=/dev/btrfs-control rw
"""


def confined(settings: config.Config) -> str:
    """The lines of [Service] that confine it."""
    blobs = settings.blobs
    live = not isinstance(blobs, config.DirectoryBlobs) or blobs.volume == "live"
    lines = [_ALWAYS, "" if live else _VOLUMES]
    shared = _uses_temporary(settings)
    lines.append(f"PrivateTmp={'no' if shared else 'yes'}\n")
    paths = _outermost([*written(settings), *(_TEMPORARY if shared else ())])
    # A place that is not there just now must not keep drkit from starting: it says so itself.
    lines += [f"ReadWritePaths={_word(path)}\n" for path in paths]
    return "".join(lines)


def written(settings: config.Config) -> Iterator[Path]:
    """Where drkit writes, on this machine."""
    yield settings.site.state
    yield settings.sandboxes
    for repository in settings.repositories:
        if path := _local(repository.url):
            yield path
        elif repository.url.startswith("rclone:"):
            yield _RCLONE
    if settings.metrics:
        yield settings.metrics.textfile.parent
    if settings.status.page:
        yield settings.status.page.parent
    if isinstance(listen := settings.status.listening, Path):
        yield listen.parent
    if settings.notify.mail:
        yield from _MAIL
    if settings.runbook.directory:
        yield settings.runbook.directory
    if isinstance(settings.blobs, config.DirectoryBlobs):
        volume, path = settings.blobs.volume, settings.blobs.path
        if volume in ("auto", "reflink"):
            # A copy that shares its blocks stands beside the directory, or within, where that is a mount.
            yield path.parent
        if volume in ("auto", "lvm"):
            yield from _LVM


def _local(url: str) -> Path | None:
    """The directory of a repository on this machine."""
    path = url.removeprefix("local:")
    return Path(path) if path.startswith("/") else None


def _uses_temporary(settings: config.Config) -> bool:
    """Whether something that the configuration names stands where others have their temporary files."""
    dump = settings.model_dump(by_alias=True)
    paths = [Path(found) for text in _texts(dump) for found in re.findall(r"(?<![\w.-])/[^\s'\"]*", text)]
    if settings.file is not None:
        paths.append(settings.file.path)
    return any(place in (path, *path.parents) for path in paths for place in _TEMPORARY)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str | Path):
        yield str(value)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    every = set(paths)
    return sorted(path for path in every if not every.intersection(path.parents))


def _word(path: Path) -> str:
    """A path in a list that spaces separate: no specifier is meant."""
    text = f"-{path}".replace("%", "%%")
    if any(char in text for char in " \t\"'\\"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
