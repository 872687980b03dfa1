"""Results of `drkit keys` as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views.layout import facts, warn

if TYPE_CHECKING:
    from drkit.actions.keys.custody import (
        Combined,
        Generated,
        KeyCheck,
        KeyList,
        RecipientState,
        SigningKey,
    )
    from drkit.actions.keys.escrow import Escrow
    from drkit.actions.keys.rotate import Rotation
    from drkit.cli.output import Output


def generate(paper: Output, found: Generated) -> None:
    """A new identity, and what to do with its two halves."""
    facts(paper, [("identity", str(found.identity_file)), ("recipient", found.recipient)])
    paper.print()
    paper.line(f"For new recovery points: drkit keys rotate --add '{found.recipient}'")
    paper.print("Keep the identity where it is needed, and not on the machine that is backed up.")


def generate_signing(paper: Output, found: SigningKey) -> None:
    """A new key for reports of drills, and where its two halves belong."""
    facts(
        paper, [("key", str(found.key_file)), ("public half", str(found.public_file)), ("its id", found.id)]
    )
    paper.print()
    paper.line(f'In the configuration: [drill] signing_key = "{found.key_file}"')
    paper.print(
        "Give the public half to whoever reads reports. Whoever has the key can sign a report of their own:"
        " keep it where drills run, and nowhere else."
    )


def list_keys(paper: Output, found: KeyList) -> None:
    """The recipients, and who is seen to open what they are sent."""
    _recipients(paper, found.recipients)
    for identity in found.identities:
        paper.print(f"identity {identity.file}: {', '.join(identity.recipients) or 'an SSH key'}")
    warn(paper, found.warnings)


def check(paper: Output, found: KeyCheck) -> None:
    """What opened, and what was not tried."""
    _recipients(paper, [each for each in found.recipients if each.in_bundle])
    for identity in found.identities:
        good = identity.opens_bundle
        word = Text("opens it" if good else "does not open it", style="green" if good else "yellow")
        paper.print(Text(f"identity {identity.file} ").append_text(word))
    warn(paper, found.warnings)
    said = Text(f"secrets of {found.point} in {found.repository}: ")
    if found.opened:
        files = "1 file" if found.files == 1 else f"{found.files} files"
        said.append("opened", style="green").append(f", {files}, hashes as packed", style="default")
    else:
        said.append("not opened", style="red")
    paper.print(said)


def _recipients(paper: Output, recipients: Sequence[RecipientState]) -> None:
    listed = Table("recipient", "kind", "key", "opened by")
    for each in recipients:
        by = "\n".join(map(str, each.opened_by))
        opened = Text(by or "no identity at hand", style="" if by else "dim")
        listed.add_row(each.name or "-", each.kind, each.key, opened)
    paper.print(listed)


def rotate(paper: Output, found: Rotation) -> None:
    """What a rotation will do, or did."""
    if found.recipients == found.recipients_before:
        paper.print("the recipients stay as they are")
    else:
        for text in found.recipients_before:
            if text not in found.recipients:
                paper.line(f"- {text}")
        for text in found.recipients:
            paper.line(f"{' ' if text in found.recipients_before else '+'} {text}")
    for line in found.swept:
        paper.print(line)
    if found.points:
        listed = Table("repository", "point", "secrets", "snapshot")
        for point in found.points:
            word = "encrypted anew" if point.snapshot else "to be encrypted again"
            listed.add_row(point.repository, point.point, word, (point.snapshot or "-")[:8])
        paper.print(listed)
    warn(paper, found.warnings)
    if found.done and paper.succeeded:
        paper.print(f"done: {len(found.recipients)} recipients, {len(found.points)} points encrypted again")


def escrow(paper: Output, found: Escrow) -> None:
    """The page itself, or where it was written and what is on it."""
    if found.text is not None:
        paper.line(found.text, end="")
        return
    for path in found.written:
        paper.print(f"written: {path}")
    if not found.secrets:
        paper.print("No secret is on it: --with-secrets or --split 2-of-3 put them there.")
    elif found.holders > 1:
        paper.print(f"One page a holder; any {found.needed} of {found.holders} bring back:")
    else:
        paper.print("Print it, lock it away, and remove the files. It contains:")
    for label in found.secrets:
        paper.print(f"  {label}")


def combine(paper: Output, found: Combined) -> None:
    """Where the secrets are."""
    for path in found.written:
        paper.print(f"written: {path}")
