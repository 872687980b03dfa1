"""What became of the secrets between two recovery points, from their manifests alone; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drkit.model import Manifest, SecretFile
from drkit.sources import kinds

_NAMES = 5
_KEY_PLACE = next(end for end, what in kinds.PLACES.items() if what == kinds.SECRET_KEY)


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
        return tuple(file for file in (*self.vanished, *self.changed) if _irreplaceable(file))


def _irreplaceable(file: SecretFile) -> bool:
    return file.what in (kinds.SECRET_KEY, kinds.AUTHORITY) or file.path.endswith("/" + _KEY_PLACE)


def compare(before: Manifest, files: Sequence[SecretFile], fingerprint_key: str) -> Changes:
    """What changed since an earlier point; content only where one key made the fingerprints of both."""
    old, new = {file.path: file for file in before.secret_files}, {file.path: file for file in files}
    comparable = bool(fingerprint_key) and before.fingerprint_key == fingerprint_key
    both = sorted(old.keys() & new.keys())
    return Changes(
        vanished=tuple(old[path] for path in sorted(old.keys() - new.keys())),
        appeared=tuple(new[path] for path in sorted(new.keys() - old.keys())),
        changed=tuple(new[p] for p in both if _differs(old[p], new[p], comparable=comparable)),
        comparable=comparable,
        other_rights=tuple(
            (old[p], new[p])
            for p in both
            if old[p].rights
            and old[p].rights != new[p].rights
            and not _differs(old[p], new[p], comparable=comparable)
        ),
    )


def _differs(old: SecretFile, new: SecretFile, *, comparable: bool) -> bool:
    return old.bytes != new.bytes or (comparable and old.fingerprint != new.fingerprint)


def sentences(found: Changes, since: str) -> Iterator[str]:
    """The changes since point `since`, for the warnings of a backup; the gravest first."""
    yield from grave_sentences(found, since)
    rest = [file for file in found.changed if file not in found.grave]
    gone = [file for file in found.vanished if file not in found.grave]
    for what, files in (("gone", gone), ("new", found.appeared), ("changed", rest)):
        if files:
            yield f"secret files {what} since point {since}: {_listed(files)}"
    if found.other_rights:
        said = [f"{new.path} (was {old.rights}, is {new.rights})" for old, new in found.other_rights]
        yield f"secret files whose mode or owner changed since point {since}: {_first(said)}"
    if not found.comparable:
        yield (
            f"whether secret files changed since point {since} cannot be told: it was made by another "
            "machine, another state directory or an older drkit"
        )


def grave_sentences(found: Changes, since: str) -> Iterator[str]:
    """What is a problem and not only news."""
    for file in found.grave:
        became = "is gone" if file in found.vanished else "is another one"
        what = file.what or "file"
        advice = (
            "what Harbor encrypted before does not open with a new one"
            if what != kinds.AUTHORITY
            else "what it issued is not trusted by means of a new one, unless that has the same key"
        )
        yield f"the {what} {file.path} {became} since point {since}: {advice}"


def _listed(files: Sequence[SecretFile]) -> str:
    named = [
        f"{file.path} ({file.what})" if file.what not in ("", kinds.OTHER) else file.path for file in files
    ]
    return _first(named)


def _first(named: Sequence[str]) -> str:
    more = f" and {len(named) - _NAMES} more" if len(named) > _NAMES else ""
    return ", ".join(named[:_NAMES]) + more
