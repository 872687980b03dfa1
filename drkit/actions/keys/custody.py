"""`drkit keys`: who can open the secrets, and is it really so?"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.errors import ConfigError, IdentityRefused, UsageError
from drkit.files import write_new
from drkit.logs import register_secret
from drkit.model import PointManifest, utc_now
from drkit.points.catalog import open_catalog
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.tools import age, dsse, shamir
from drkit.tools.age import Identity
from drkit.tools.recipient import Named, named


@dataclass(frozen=True)
class Generated:
    """A new identity: where it is, and the line for `recipients`."""

    name: str
    recipient: str
    identity_file: Path
    created_at: datetime


@dataclass(frozen=True)
class SigningKey:
    """A new key that reports of drills are signed with: both halves, and the public one's id."""

    key_file: Path
    public_file: Path
    public: str
    id: str
    created_at: datetime


@dataclass(frozen=True)
class RecipientState:
    """A recipient, and which identity files at hand have been seen to open what it is sent.

    `configured` and `in_bundle` say whether it is among the configuration's, and the bundle's, recipients;
    None where no bundle was looked at.
    """

    name: str
    key: str
    kind: str
    opened_by: tuple[Path, ...]
    configured: bool
    in_bundle: bool | None = None


@dataclass(frozen=True)
class IdentityState:
    """An identity file at hand: its public keys (an SSH key does not tell), and if it opens the bundle."""

    file: Path
    recipients: tuple[str, ...]
    opens_bundle: bool | None = None


@dataclass(frozen=True)
class KeyList:
    """Who the next bundle will be encrypted to."""

    recipients: tuple[RecipientState, ...]
    identities: tuple[IdentityState, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class KeyCheck:
    """A bundle that was really opened, in memory, or was not."""

    repository: str
    point: str
    snapshot: str
    opened: bool
    files: int
    recipients: tuple[RecipientState, ...]
    identities: tuple[IdentityState, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Combined:
    """Files that hold what shares added up to."""

    written: tuple[Path, ...]


Keyring = dict[Path, list[Identity]]


def generate(name: str, output: Path) -> Generated:
    """Make an age identity in a new file that only its owner may read; raises ConfigError, UsageError."""
    if not name.strip() or not name.isprintable() or name != name.strip():
        raise UsageError(
            f"{name!r} is not a name for a recipient", hint="such as operator, drill host or offline"
        )
    output = output.absolute()
    now = utc_now()
    identity, recipient = age.generate()
    made = f"# created: {now.isoformat(timespec='seconds')}\n# name: {name}\n"
    write_private(output, f"{made}# public key: {recipient}\n{identity}\n")
    return Generated(name, f"{recipient} {name}", output, now)


def generate_signing(output: Path) -> SigningKey:
    """Make an ed25519 key for reports of drills, its public half in FILE.pub; raises ConfigError."""
    output = output.absolute()
    beside = output.with_name(output.name + ".pub")
    private, public = dsse.generate()
    if beside.exists():
        raise ConfigError(f"{beside} exists already", hint="a key is never overwritten: name another file")
    write_private(output, private)
    write_private(beside, public)
    return SigningKey(output, beside, public, dsse.key_id(public), utc_now())


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner may read; raises ConfigError where something is there already."""
    try:
        write_new(path, text)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists already", hint="a key is never overwritten: name another file"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}", hint="name another file") from None


def make_private(directory: Path) -> Path:
    """Make a directory for such files, if it is not there; returns its absolute path, raises ConfigError."""
    directory = directory.absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make {directory}: {error.strerror}", hint="name another") from None
    return directory


def keyring(settings: config.Config, identities: Sequence[Path]) -> Keyring:
    """The identity files at hand, the configured one among them; raises ConfigError for one that is none."""
    paths = [path.absolute() for path in identities]
    if settings.secrets.identity_file:
        paths.append(settings.secrets.identity_file)
    return {path: age.read_identities(path) for path in dict.fromkeys(paths)}


def list_keys(settings: config.Config, identities: Sequence[Path]) -> KeyList:
    """Recipients by name and kind, and which of the identities at hand open what they are sent."""
    ring = keyring(settings, identities)
    configured = settings.secrets.recipients
    found = tuple(_recipient(text, ring, configured=True) for text in configured)
    return KeyList(found, tuple(map(_identity, ring.items())), tuple(_concerns(found)))


def check(
    settings: config.Config, wanted: str, repository: str | None, identities: Sequence[Path]
) -> KeyCheck:
    """Open the bundle of a point, as it is in the repository, with every identity at hand.

    Raises IdentityRefused (with the KeyCheck) if none opens it, RestoreDamaged if it is damaged.
    """
    ring = keyring(settings, identities)
    if not ring:
        raise ConfigError("there is no age identity at hand", hint="give --identity FILE; it may be repeated")
    catalog = open_catalog(settings, repository)
    point, _ = catalog.find(wanted)
    files = catalog.fetch_seal(point)
    manifest = files.manifest
    if manifest.part("secrets") is None:
        raise UsageError(f"point {point.id} has no secrets", hint="see paths in [secrets]")
    part = manifest.need("secrets", "secrets")
    sealed = files.data("secrets", "secrets")
    opened = {path: members for path, own in ring.items() if (members := _open(sealed, own)) is not None}
    recipients = tuple(_of_bundle(settings, manifest, ring, opened.keys()))
    result = KeyCheck(
        repository=settings.repository(repository).name,
        point=point.id,
        snapshot=part.snapshot,
        opened=bool(opened),
        files=sum(m.kind == "file" for m in next(iter(opened.values()), ())),
        recipients=recipients,
        identities=tuple(_identity(item, item[0] in opened) for item in ring.items()),
        warnings=tuple(
            _bundle_concerns(recipients, age.count_recipients(sealed), len(set(manifest.recipients)))
        ),
    )
    if not opened:
        known = ", ".join(r.name or r.key for r in recipients if r.in_bundle)
        raise IdentityRefused(
            f"no age identity at hand opens the secrets of {point.id}",
            hint=f"it takes the identity of one of these: {known}",
            result=result,
        )
    return result


def combine(sources: Sequence[Path], directory: Path, typed: str = "") -> Combined:
    """Put together what shares add up to: every share that stands in the files or in `typed`.

    Writes one private file a secret. Raises SharesRefused, ConfigError.
    """
    text = typed
    for path in sources:
        try:
            text += path.read_text(encoding="utf-8") + "\n"
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}", hint="it is a text file of words") from None
    found = shamir.combine(shamir.find(text))
    directory = make_private(directory)
    written = []
    for number, secret in enumerate(found, 1):
        kind = "agekey" if "AGE-SECRET-KEY-" in secret or "PRIVATE KEY-----" in secret else "password"
        path = directory / f"recovered-{number}.{kind}"
        # Line ends may have filled the secret up; a file ends in one.
        write_private(path, register_secret(secret.rstrip("\n")) + "\n")
        written.append(path)
    return Combined(tuple(written))


def _open(sealed: bytes, identities: list[Identity]) -> tuple[Member, ...] | None:
    try:
        return capture.unseal(sealed, identities)
    except IdentityRefused:
        return None


def _recipient(
    text: str, ring: Keyring, *, configured: bool, in_bundle: bool | None = None
) -> RecipientState:
    known: Named = named(text)
    opened_by = tuple(path for path, own in ring.items() if age.opens(text, own))
    return RecipientState(known.name, known.key, known.kind, opened_by, configured, in_bundle)


def _identity(item: tuple[Path, list[Identity]], opens: bool | None = None) -> IdentityState:
    return IdentityState(item[0], tuple(age.recipients_of(item[1])), opens)


def _of_bundle(
    settings: config.Config, manifest: PointManifest, ring: Keyring, opened: Container[Path]
) -> list[RecipientState]:
    """The recipients that the manifest names, then those of the configuration that it does not."""
    able = {path: own for path, own in ring.items() if path in opened}
    configured = {named(text).key: text for text in settings.secrets.recipients}
    recorded = {named(text).key: text for text in manifest.recipients}
    states = [
        # The configuration may name what the manifest does not.
        _recipient(configured.get(key, text), able, configured=key in configured, in_bundle=True)
        for key, text in recorded.items()
    ]
    states += [
        _recipient(text, {}, configured=True, in_bundle=False)
        for key, text in configured.items()
        if key not in recorded
    ]
    return states


def _concerns(recipients: Sequence[RecipientState]) -> list[str]:
    said = []
    if len({r.key for r in recipients}) == 1:
        said.append("there is one recipient: if its identity is lost, no bundle can be decrypted")
    said += [
        f"recipient {r.key[:20]}... has no name: add one after the key" for r in recipients if not r.name
    ]
    return said


def _bundle_concerns(recipients: Sequence[RecipientState], stanzas: int, recorded: int) -> list[str]:
    said = []
    if stanzas != recorded:
        said.append(f"the bundle is encrypted to {stanzas} recipients, and its manifest names {recorded}")
    for recipient in recipients:
        label = recipient.name or recipient.key
        if recipient.in_bundle and not recipient.configured:
            said.append(f"{label} opens this bundle, and is no longer a recipient: see `drkit keys rotate`")
        elif not recipient.in_bundle:
            said.append(f"{label} does not open this bundle: see `drkit keys rotate --points`")
        elif not recipient.opened_by:
            said.append(f"{label} was not tried: check it with --identity where its identity is")
    return said
