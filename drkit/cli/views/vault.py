"""What became of a vault's blobs, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.reports.units import size

if TYPE_CHECKING:
    from drkit.blobs.vault.pruning import VaultExpiry
    from drkit.cli.output import Output


def expiry(paper: Output, found: VaultExpiry, *, dry_run: bool) -> None:
    """What `expire` removed from the vault, and what stays and why."""
    if found.left_alone:
        paper.print(f"the vault {found.where} was left alone: {found.left_alone}")
        return
    verb = "would be removed from" if dry_run else "removed from"
    versions = f" and {found.versions} old versions" if found.versions else ""
    paper.print(f"{found.blobs} blobs{versions} ({size(found.bytes)}) {verb} the vault {found.where}")
    if found.locked:
        first = f", the first until {found.locked_until:%Y-%m-%d %H:%M} UTC" if found.locked_until else ""
        paper.print(f"{found.locked} objects ({size(found.locked_bytes)}) stay, since they are locked{first}")
    if found.waiting:
        words = f"{found.waiting} blobs ({size(found.waiting_bytes)}) belong to a backup that failed"
        paper.print(f"{words}: the next one uses them")
    if found.refused:
        said = f"{found.refused} objects could not be removed: {found.refusal}"
        paper.print(Text(said, style="yellow"))
