"""Results as a person reads them, one function a verb."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views import cluster
from drkit.cli.views import vault as show_vault
from drkit.cli.views.layout import bucket, closure, drilled
from drkit.cli.views.layout import facts as _facts
from drkit.cli.views.layout import parts as _parts
from drkit.cli.views.layout import volume as _volume_facts
from drkit.cli.views.layout import warn as _warn
from drkit.model import PointStatus, utc_now
from drkit.reports import sentences
from drkit.reports.units import duration, minute, moment, size

if TYPE_CHECKING:
    from drkit.actions.backup.run import PlannedPart
    from drkit.actions.backup.sealing import BackupResult
    from drkit.actions.doctor.run import Diagnosis
    from drkit.actions.expire.run import ExpireResult
    from drkit.actions.init.further import FurtherRepository
    from drkit.actions.init.run import InitResult
    from drkit.actions.points import PointList
    from drkit.actions.reread.packs import PacksRead
    from drkit.actions.verify import VerifyResult
    from drkit.blobs.vault.verifying import VaultVerified
    from drkit.cli.output import Output


def init(paper: Output, result: InitResult | FurtherRepository) -> None:
    """What `init` wrote, and the secrets that must live elsewhere too."""
    from drkit.actions.init.further import FurtherRepository

    if isinstance(result, FurtherRepository):
        _further(paper, result)
        return
    _facts(
        paper,
        [
            ("site", result.site),
            ("database", result.database or "none"),
            ("images", result.blobs or "none"),
            *([("vault", result.vault)] if result.vault else []),
            ("secrets", "\n".join(f"{e.path}: {e.purpose}" for e in result.secret_purposes) or "none"),
            (
                "repository",
                f"{result.repository} ({'made' if result.repository_made else 'was there already'})",
            ),
            *([("copies go to", result.further.url)] if result.further else []),
            ("written", "\n".join(map(str, result.written))),
        ],
    )
    _warn(paper, result.warnings)
    purposes: tuple[str, ...] = (
        "opens the repository; without it no backup can be read",
        "decrypts the certificates and keys in it",
        "reads the images out of the vault",
    )
    if result.further:
        copies = f"opens the repository {result.further.name}"
        purposes = (*purposes[: len(result.keep_outside) - 1], copies)
    count = {2: "two", 3: "three", 4: "four"}[len(result.keep_outside)]
    paper.print()
    paper.print(f"Keep these {count} secrets outside this machine, or no backup can be read if it is lost:")
    _facts(paper, [(f"  {path}", said) for path, said in zip(result.keep_outside, purposes, strict=False)])
    paper.print()
    paper.line(f"Next: drkit --config {shlex.quote(str(result.config))} doctor")


def _further(paper: Output, added: FurtherRepository) -> None:
    """What was added, and the one secret that must live elsewhere too."""
    paper.print(f"repository {added.name} is made at {added.url}, and named in {added.config}")
    paper.print("Keep its password outside this machine, or nothing in it can be read if it is lost:")
    paper.line(f"  {added.password_file}")
    _warn(paper, added.warnings)
    if added.scheduled:
        paper.print(f"`copy` is on the schedule ({added.scheduled}): run `drkit timers --install` again")
    paper.print()
    paper.line(f"Next: drkit --config {shlex.quote(str(added.config))} copy")


def doctor(paper: Output, diagnosis: Diagnosis) -> None:
    """The findings, problems last so that they stay on the screen."""
    marks = {
        "ok": Text("ok", style="green"),
        "warning": Text("warning", style="yellow"),
        "problem": Text("problem", style="red"),
    }
    table = Table("", "looked at", "found")
    order = {"ok": 0, "warning": 1, "problem": 2}
    for finding in sorted(diagnosis.findings, key=lambda f: order[f.state]):
        detail = f"{finding.detail}\n-> {finding.hint}" if finding.hint else finding.detail
        table.add_row(marks[finding.state], finding.name, detail)
    paper.print(table)
    if paper.succeeded:
        paper.print("\nNothing prevents a backup.")


def backup_plan(paper: Output, parts: Sequence[PlannedPart]) -> None:
    """What a backup would capture."""
    table = Table("part", "name", "from")
    for part in parts:
        table.add_row(part.kind, part.name, part.source)
    paper.print(table)


def backup(paper: Output, result: BackupResult) -> None:
    """A backup, in a few lines."""
    sealed = result.status is PointStatus.SEALED and paper.succeeded
    homes = "repository and vault" if result.bucket else "repository"
    took = (result.finished_at - result.started_at).total_seconds()
    paper.print(_parts(result.parts))
    _facts(
        paper,
        [
            ("consistent at", moment(result.consistent_at)),
            ("rows", f"{result.rows:,}"),
            ("closure", closure(result.closure)),
            *_volume_facts(result.volume),
            *bucket(result.bucket),
            ("size", f"{size(result.bytes)}, of which {size(result.added_bytes)} are new in the {homes}"),
            ("time", duration(took)),
        ],
    )
    cluster.shared(paper, result.cluster, "copied")
    for line in result.swept:
        paper.print(line)
    _warn(paper, result.warnings)
    word = Text("sealed" if sealed else "incomplete", style="green" if sealed else "red")
    paper.print(Text("recovery point ").append(result.id, style="bold").append(" is ").append_text(word))


def points(paper: Output, found: PointList) -> None:
    """The list, newest first."""
    for each in found.taken_over:
        paper.print(f"taken over: the recovery points of {each}; they count and expire here from now on")
    if not found.points:
        paper.print(f"no recovery points in {found.repository}")
        _warn(paper, found.warnings)
        return
    vaults = any(point.vault for point in found.points)
    several = len({point.host for point in found.points if point.host}) > 1
    table = Table(
        "point",
        "status",
        "consistent at",
        ">size",
        "last drill",
        *(["blobs in"] if vaults else []),
        *(["made by"] if several else []),
    )
    for point in found.points:
        sealed = point.status is PointStatus.SEALED
        status = Text(point.status.value, style="green" if sealed else "yellow")
        bytes_ = size(point.bytes) if point.bytes is not None else "-"
        # Of one that is not sealed nobody knows.
        where = [point.vault or ("the repository" if sealed else "-")] if vaults else []
        drill = drilled(point.last_drill, old_keys=point.keys_unproven)
        host = [point.host or "-"] if several else []
        table.add_row(point.id, status, minute(point.consistent_at), bytes_, drill, *where, *host)
    paper.print(table)
    _warn(paper, found.warnings)


def verify(paper: Output, result: VerifyResult) -> None:
    """The repository's integrity, and the vault's."""
    read = result.read_data_subset and not result.nothing_read
    data = f" and {result.read_data_subset} of its data" if read else _packs_read(result.packs)
    took = "" if result.vault else f" ({duration(result.seconds)})"
    paper.print(f"the structure of {result.repository}{data} is sound{took}")
    if result.vault:
        _verified_vault(paper, result.vault)
        paper.print(f"it took {duration(result.seconds)}")
    if result.nothing_read:
        said = f"no data was read: none of the repository's files is in share {result.read_data_subset}"
        _warn(paper, [f"{said}; a percentage always reads some"])
    for each in result.reread:
        paper.print(sentences.reread(each, utc_now()))
    if result.unrecorded:
        said = f"nobody will know that this was read, since it cannot be recorded: {result.unrecorded}"
        _warn(paper, [said])
    _warn(paper, result.doubts)
    if not result.read_data_subset and result.packs is None:
        paper.print("no data was read: --read-data-subset 5% reads some, a full drill reads all of a point")


def _packs_read(packs: PacksRead | None) -> str:
    if packs is None:
        return ""
    about = "about " if packs.estimated else ""
    every = f"{packs.every_pack:,} packs ({about}{size(packs.every_byte)})"
    return f", and {packs.packs:,} ({about}{size(packs.bytes)}) of its {every}, those unread for longest,"


def _verified_vault(paper: Output, vault: VaultVerified) -> None:
    points = "the recovery point relies" if vault.points == 1 else f"{vault.points} recovery points rely"
    needed = f"{vault.blobs:,} blobs ({size(vault.bytes)}) that {points} on"
    read = f", {vault.read:,} of them ({size(vault.read_bytes)}) read and hashed" if vault.read else ""
    there = f"{vault.bad:,} are damaged or missing" if vault.bad else "all are there"
    paper.print(f"the vault {vault.where}: of {needed}, {there}{read}")
    cluster.shared(paper, vault.cluster)
    for fault in vault.faults:
        paper.print(f"  {fault}")
    if vault.locks_read:
        paper.print(f"{vault.locks_read - vault.locks_short} of {vault.locks_read} locks last long enough")
    if vault.unrecorded:
        _warn(
            paper, [f"the next backup will not know of this, since it cannot be recorded: {vault.unrecorded}"]
        )
    if vault.hidden:
        said = (
            f"{vault.hidden:,} blobs in the vault were deleted or overwritten; what points need are versions"
        )
        _warn(paper, [f"{said} that are still there"])


def expire(paper: Output, result: ExpireResult) -> None:
    """Each point, and why it is kept or removed."""
    several = len({line.repository for line in result.decisions}) > 1
    table = Table(*(["repository"] if several else []), "point", "", "why")
    for line in result.decisions:
        word = Text("keep", style="green") if line.keep else Text("remove", style="red")
        where = [line.repository] if several else []
        table.add_row(*where, line.point, word, ", ".join(line.reasons))
    paper.print(table)
    for sentence in result.left_alone:
        paper.print(sentence)
    verb = "would be removed" if result.dry_run else "removed"
    paper.print(f"{result.removed} recovery points {verb}, {result.kept} kept")
    if result.remaining:
        said = f"{result.remaining} that were to be removed are still there; the vault was left alone"
        paper.print(Text(said, style="red"))
    if result.vault is not None:
        show_vault.expiry(paper, result.vault, dry_run=result.dry_run)
    for vault in result.further_vaults:
        show_vault.expiry(paper, vault, dry_run=result.dry_run)
