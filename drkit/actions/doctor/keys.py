"""What doctor says of keys: who opens the bundle when this machine is gone, and which secret is reused."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from drkit import config
from drkit.actions.doctor.finding import Finding
from drkit.database import locked
from drkit.errors import ConfigError
from drkit.logs import register_secret
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.tools import age, dsse, notify
from drkit.tools.recipient import named

# A shorter one could stand in a file by chance.
_LONG_ENOUGH = 8


def private_files(settings: config.Config) -> Iterator[Finding]:
    """Whether others may read what the configuration names: a key that they may is no secret."""
    files = [repository.password_file for repository in settings.repositories]
    files += [r.credentials_file for r in settings.repositories if r.credentials_file]
    files += [entry.password_file for entry in settings.databases if entry.password_file]
    ends = (settings.blobs, settings.vault, *(each.vault for each in settings.with_vaults))
    files += [end.credentials_file for end in ends if isinstance(end, config.S3) and end.credentials_file]
    if settings.registry and settings.registry.credentials_file:
        files.append(settings.registry.credentials_file)
    files += [settings.harbor.password_file] if settings.harbor and settings.harbor.password_file else []
    own: tuple[Path | None, ...] = (settings.secrets.identity_file, settings.secrets.cosign_password_file)
    told = settings.notify
    own += (told.urls_file, told.critical_urls_file, told.webhook_file)
    if settings.drill.signing_key and not dsse.is_public(settings.drill.signing_key):
        own += (settings.drill.signing_key,)
    own += (settings.cluster.key_file,)
    if any(map(notify.holds_secret, told.urls)):
        said = "an address of urls in [notify] contains a secret, and the configuration is no place for one"
        yield Finding("private files", "warning", said, "move it to a file that urls_file in [notify] names")
    files += [path for path in (*own, *settings.ping.files.values()) if path is not None]
    open_ones = []
    for path in files:
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise ConfigError(
                f"cannot read {path}: {error.strerror}", hint="the configuration names it"
            ) from None
        if mode & (stat.S_IRGRP | stat.S_IROTH):
            open_ones.append(path)
    if open_ones:
        names = " ".join(map(str, open_ones))
        raise ConfigError(f"others may read {', '.join(map(str, open_ones))}", hint=f"chmod 600 {names}")
    yield Finding("private files", "ok", f"{len(files)} files that nobody else may read")


def recipients(settings: config.Config) -> Iterator[Finding]:
    """Who opens the bundle; raises IdentityRefused where the identity here does not."""
    listed = settings.secrets.recipients
    keys = {named(text).key for text in listed}
    names = ", ".join(named(text).name or "one without a name" for text in listed)
    said = f"{len(keys)} recipients ({names})" if len(keys) > 1 else f"1 recipient ({names})"
    trial = age.encrypt(b"trial", listed)
    path = settings.secrets.identity_file
    if path is None:
        yield Finding("recipients", "ok", said)
        yield Finding("identity", "warning", "no identity_file: drills on this machine need --identity", "")
        here = set()
    else:
        identities = age.read_identities(path)
        age.decrypt(trial, identities)
        yield Finding("recipients", "ok", f"{said}; {path} opens what they are sent")
        here = {named(text).key for text in listed if age.opens(text, identities)}
    if here == keys:
        yield Finding(
            "recipients",
            "warning",
            "every identity that opens the bundle is on this machine, and is lost with it",
            "make one elsewhere (drkit keys generate), add it (drkit keys rotate --add), keep it on paper",
        )
    elif len(keys) < 2:
        yield Finding(
            "recipients",
            "warning",
            "if this one identity is lost, no bundle can be decrypted",
            "add a second recipient whose identity is kept elsewhere: drkit keys rotate --add",
        )


def passwords(settings: config.Config) -> Iterator[Finding]:
    """Whether the repository's password is a secret of its own; compared in memory.

    Raises ConfigError where it is not.
    """
    members = capture.collect(settings.secrets.paths)
    logins = {entry.name: locked.password_of(entry) for entry in settings.databases}
    for repository in settings.repositories:
        name = repository.name
        password = _read(repository)
        if password in [login for login in logins.values() if login]:
            raise _reused(name, "the password of a database")
        for member in members:
            if member.path == str(repository.password_file):
                yield _shut_in(f"the password of the repository {name}", member)
            elif _holds(member, password):
                raise _reused(name, f"in {member.path}")
    yield from _identities(settings, members)
    yield Finding("passwords", "ok", "the repository's password is used for nothing else")


def _read(repository: config.Repository) -> str:
    try:
        return register_secret(repository.password_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {repository.password_file}: {error}", hint="see password_file"
        ) from None


def _holds(member: Member, secret: str) -> bool:
    if len(secret) < _LONG_ENOUGH:
        return member.data.strip() == secret.encode()
    return secret.encode() in member.data


def _reused(name: str, where: str) -> ConfigError:
    return ConfigError(
        f"the password of the repository {name} is also {where}",
        hint="give the repository its own (restic key passwd); leave a mere copy out of paths in [secrets]",
    )


def _identities(settings: config.Config, members: Sequence[Member]) -> Iterator[Finding]:
    path = settings.secrets.identity_file
    if path is None:
        return
    lines = [line.strip() for line in path.read_bytes().splitlines() if line.startswith(b"AGE-SECRET-KEY-")]
    for member in members:
        if any(line in member.data for line in lines):
            yield _shut_in("the identity that opens the bundle", member)


def _shut_in(what: str, member: Member) -> Finding:
    return Finding(
        "custody",
        "warning",
        f"{what} is in the bundle too ({member.path}): a key that is encrypted to itself is of no use",
        "leave it out of paths in [secrets], and keep a copy elsewhere: drkit keys escrow",
    )
