"""What results are laid out with: lists of facts, warnings, and the words for outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Output, Table
from drkit.model import SEAL_ONLY, Closure, Outcome
from drkit.reports.units import duration, moment, size

if TYPE_CHECKING:
    from drkit.model import Bucketed, DrillNote, Part, Volume

_COLOURS = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "red",
    Outcome.ERROR: "red",
    Outcome.NOT_PROVABLE: "yellow",
}


def facts(paper: Output, pairs: Iterable[tuple[str, str | Text]]) -> None:
    """Names and what there is to say of each."""
    made = Table()
    for name, value in pairs:
        made.add_row(Text(name, style="bold"), value)
    paper.print(made)


def heading(paper: Output, words: str) -> None:
    """A heading with an empty line before it."""
    paper.print()
    paper.print(Text(words, style="bold"))


def warn(paper: Output, warnings: Sequence[str]) -> None:
    """Warnings, one a line."""
    for warning in warnings:
        paper.print(Text("warning: ", style="yellow").append(warning, style="default"))


def outcome(found: Outcome) -> Text:
    """An outcome in its colour."""
    return Text(found.value.replace("_", " "), style=_COLOURS[found])


def parts(found: Sequence[Part]) -> Table:
    """The parts of a point."""
    made = Table("part", "name", ">size", ">new", ">time", "snapshot")
    for part in found:
        new = "in the seal" if part.kind in SEAL_ONLY else size(part.added_bytes)
        made.add_row(part.kind, part.name, size(part.bytes), new, duration(part.seconds), part.snapshot[:8])
    return made


def closure(found: Closure | None) -> str:
    """A closure at a glance: a line of its own for each kind of thing that was looked at."""
    if found is None:
        return "not compared"
    if found.whole:
        said = f"whole: all {found.referenced:,} blobs that are referred to are there"
    else:
        missing = f"{found.missing:,} of {found.referenced:,} blobs missing"
        said = f"{missing}, {found.size_mismatch:,} of the wrong size"
    if found.unreferenced:
        said += f"; {found.unreferenced:,} unreferenced ({size(found.unreferenced_bytes)})"
    return "\n".join([said, *_proofs(found)])


def _proofs(found: Closure) -> Iterator[str]:
    links, manifests = found.links, found.manifests
    if links:
        bad = f", {links.bad:,} of them empty or cut short" if links.bad else ""
        yield f"{links.links:,} links{bad}"
    if manifests:
        faults = f", {manifests.faults:,} of them unusable" if manifests.faults else ""
        unlisted = f"; {manifests.unlisted:,} digests needed that nothing lists" if manifests.unlisted else ""
        yield f"{manifests.manifests:,} manifests, {manifests.read:,} newly read{faults}{unlisted}"


def gaps(paper: Output, found: Closure | None) -> None:
    """The blobs by name: up to twenty of each kind."""
    if found is None:
        return
    lines = [f"missing: {digest}" for digest in found.missing_names]
    lines += [f"wrong size: {m.digest}, {m.stored:,} bytes, not {m.recorded:,}" for m in found.mismatches]
    lines += [f"unreferenced: {digest}" for digest in found.unreferenced_names]
    lines += [f"bad link: {path}" for path in (found.links.bad_names if found.links else ())]
    proof = found.manifests
    lines += [f"manifest: {sentence}" for sentence in (proof.fault_names if proof else ())]
    lines += [f"on no list: {sentence}" for sentence in (proof.unlisted_names if proof else ())]
    if lines:
        paper.print()
    for line in lines:
        paper.print(line)


def volume(found: Volume | None) -> list[tuple[str, str]]:
    """How the blobs were read; a point without any, or made before this was recorded, does not tell."""
    if found is None:
        return []
    how = "read live" if found.kind == "live" else f"frozen by {found.kind} in {found.seconds:.2f} s"
    return [("images", f"{how}: {found.why}")]


def bucket(found: Bucketed | None) -> list[tuple[str, str]]:
    """Where the blobs of a bucket's point were, where they are kept, and what protects them there."""
    if found is None:
        return []
    versions = "by version" if found.versioned else "no versions are kept: what is overwritten is lost"
    lock = f"locked until {moment(found.locked_until)} at least" if found.locked_until else "not locked"
    pairs = [
        ("images", found.source.where),
        ("kept in the vault", f"{found.vault.where}\n{versions}, {lock}"),
        ("new in the vault", f"{found.copied:,} blobs of {size(found.copied_bytes)}"),
    ]
    if found.bad:
        names = ", ".join(found.bad_names[:3])
        pairs.append(("left out", f"{found.bad:,} blobs whose bytes do not hash to their name: {names}"))
    return pairs


def drilled(note: DrillNote | None, *, old_keys: bool = False) -> Text:
    """A drill in a list, where there is little room; with `old_keys` nothing is proven with the new keys."""
    if note is None:
        return Text("never", style="dim")
    level = "" if note.level == "full" else f" ({note.level})"
    level += " (old keys)" if old_keys else ""
    return outcome(note.outcome).append(f" {note.finished_at.astimezone():%Y-%m-%d}{level}", style="default")


def drill_note(note: DrillNote | None) -> Text:
    """When a point was drilled, and what came of it."""
    if note is None:
        return Text("never", style="dim")
    return outcome(note.outcome).append(f" ({note.level}) {moment(note.finished_at)}", style="default")
