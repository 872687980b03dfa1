"""What became of the secrets between two recovery points, from their manifests alone; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from drkit.harbor import secretkey
from drkit.model import PointManifest, SecretFile
from drkit.secrets.kinds import SecretKind
from drkit.tools.tally import first_few

_NAMES = 5


@dataclass(frozen=True)
class Changes:
    """Files by path; `comparable` is false where nobody can tell whether a file's content changed."""

    vanished: tuple[SecretFile, ...]
    appeared: tuple[SecretFile, ...]
    changed: tuple[SecretFile, ...]
    comparable: bool
    # Before and after, of files whose content is the same as far as one can tell.
    other_rights: tuple[tuple[SecretFile, SecretFile], ...] = ()

    @property
    def grave(self) -> tuple[SecretFile, ...]:
        """Files that nothing can replace, and that are another or gone.

        Harbor's `prepare` makes a new secret key without a word where it finds none; what the old one
        encrypted is noise from then on. What an authority issued is trusted by nobody who knows only a new
        one.
        """
        return tuple(file for file in (*self.vanished, *self.changed) if irreplaceable(file))


def irreplaceable(file: SecretFile) -> bool:
    """Whether a file is a secret key or an authority."""
    return file.what in (SecretKind.SECRET_KEY, SecretKind.AUTHORITY) or file.path.endswith(
        f"/{secretkey.PLACE}"
    )


def compare(before: PointManifest, files: Sequence[SecretFile], fingerprint_key: str) -> Changes:
    """What changed since an earlier point; content only where one key made the fingerprints of both."""
    old, new = {file.path: file for file in before.secret_files}, {file.path: file for file in files}
    comparable = bool(fingerprint_key) and before.fingerprint_key == fingerprint_key
    both = sorted(old.keys() & new.keys())
    return Changes(
        vanished=tuple(old[path] for path in sorted(old.keys() - new.keys())),
        appeared=tuple(new[path] for path in sorted(new.keys() - old.keys())),
        changed=tuple(new[p] for p in both if differs(old[p], new[p], comparable=comparable)),
        comparable=comparable,
        other_rights=tuple(
            (old[p], new[p])
            for p in both
            if old[p].rights
            and old[p].rights != new[p].rights
            and not differs(old[p], new[p], comparable=comparable)
        ),
    )


def differs(old: SecretFile, new: SecretFile, *, comparable: bool) -> bool:
    """Whether a file's content changed, as far as one can tell."""
    return old.bytes != new.bytes or (comparable and old.fingerprint != new.fingerprint)


def sentences(found: Changes, since: str, told: Collection[str] = ()) -> Iterator[str]:
    """The changes since point `since`, for the warnings of a backup; the gravest first.

    `told` are the paths of files that are gone and have been told of already.
    """
    yield from grave_sentences(found, since)
    rest = [file for file in found.changed if file not in found.grave]
    gone = [file for file in found.vanished if file not in found.grave and file.path not in told]
    for what, files in (("gone", gone), ("new", found.appeared), ("changed", rest)):
        if files:
            yield f"secret files {what} since point {since}: {_listed(files)}"
    if found.other_rights:
        said = [f"{new.path} (was {old.rights}, is {new.rights})" for old, new in found.other_rights]
        yield f"secret files whose mode or owner changed since point {since}: {first_few(said, most=_NAMES)}"
    if not found.comparable:
        yield (
            f"whether secret files changed since point {since} cannot be told: it was made by another "
            "machine, another state directory or an older drkit"
        )


def grave_sentences(found: Changes, since: str) -> Iterator[str]:
    """What is a problem and not only news."""
    for file in found.grave:
        yield sentence(file, "is gone" if file in found.vanished else "is another one", since)


def sentence(file: SecretFile, became: str, since: str) -> str:
    """What became of one file since a point, and what follows where nothing can take its place."""
    what = file.what or "file"
    said = f"the {what} {file.path} {became} since point {since}"
    if what == SecretKind.AUTHORITY:
        said += ": certificates that it issued are not trusted with a new one, unless that has the same key"
    elif irreplaceable(file):
        said += ": what Harbor encrypted before cannot be decrypted with a new one"
    return said


def _listed(files: Sequence[SecretFile]) -> str:
    named = [
        f"{file.path} ({file.what})" if file.what not in ("", SecretKind.OTHER) else file.path
        for file in files
    ]
    return first_few(named, most=_NAMES)
