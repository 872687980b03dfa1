"""Results of `drkit keys` as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.layout import facts, table, warn

if TYPE_CHECKING:
    from rich.console import Console

    from drkit.actions.escrow import Escrow
    from drkit.actions.keys import Combined, Generated, KeyCheck, KeyList, RecipientState
    from drkit.actions.rotate import Rotation


def generate(console: Console, found: Generated) -> None:
    """A new identity, and what to do with its two halves."""
    facts(console, [("identity", str(found.identity_file)), ("recipient", found.recipient)])
    console.print(
        f"\nFor new recovery points: drkit keys rotate --add '{found.recipient}'",
        markup=False,
        soft_wrap=True,
    )
    console.print("Keep the identity where it is needed, and not on the machine that it shall outlive.")


def list_keys(console: Console, found: KeyList) -> None:
    """The recipients, and who is seen to open what they are sent."""
    _recipients(console, found.recipients)
    for identity in found.identities:
        console.print(
            f"identity {identity.file}: {', '.join(identity.recipients) or 'an SSH key'}", markup=False
        )
    warn(console, found.warnings)


def check(console: Console, found: KeyCheck) -> None:
    """What opened, and what was not tried."""
    _recipients(console, [each for each in found.recipients if each.in_bundle])
    for identity in found.identities:
        good = identity.opens_bundle
        word = Text("opens it" if good else "does not open it", style="green" if good else "yellow")
        console.print(Text(f"identity {identity.file} ").append_text(word))
    warn(console, found.warnings)
    said = Text(f"secrets of {found.point} in {found.repository}: ")
    if found.opened:
        files = "1 file" if found.files == 1 else f"{found.files} files"
        said.append("opened", style="green").append(f", {files}, hashes as packed", style="default")
    else:
        said.append("not opened", style="red")
    console.print(said)


def _recipients(console: Console, recipients: Sequence[RecipientState]) -> None:
    listed = table("recipient", "kind", "key", "opened by")
    for each in recipients:
        by = "\n".join(map(str, each.opened_by))
        opened = Text(by or "no identity at hand", style="" if by else "dim")
        listed.add_row(Text(each.name or "-"), each.kind, Text(each.key), opened)
    console.print(listed)


def rotate(console: Console, found: Rotation) -> None:
    """What a rotation will do, or did."""
    if found.recipients == found.recipients_before:
        console.print("the recipients stay as they are")
    else:
        for text in found.recipients_before:
            if text not in found.recipients:
                console.print(f"- {text}", markup=False)
        for text in found.recipients:
            console.print(f"{' ' if text in found.recipients_before else '+'} {text}", markup=False)
    for line in found.swept:
        console.print(line)
    if found.points:
        listed = table("repository", "point", "secrets", "snapshot")
        for point in found.points:
            word = "encrypted anew" if found.done else "to be encrypted anew"
            listed.add_row(point.repository, point.point, word, (point.snapshot or "-")[:8])
        console.print(listed)
    warn(console, found.warnings)
    if found.done:
        console.print(
            f"done: {len(found.recipients)} recipients, {len(found.points)} points encrypted anew",
            markup=False,
        )


def escrow(console: Console, found: Escrow) -> None:
    """The page itself, or where it was written and what is on it."""
    if found.text is not None:
        console.print(found.text, markup=False, soft_wrap=True, end="")
        return
    for path in found.written:
        console.print(f"written: {path}", markup=False)
    if not found.secrets:
        console.print("No secret is on it: --with-secrets or --split 2-of-3 put them there.")
    elif found.holders > 1:
        console.print(f"One page a holder; any {found.needed} of {found.holders} bring back:", markup=False)
    else:
        console.print("Print it, put it where only you have the key to, and remove the files. It holds:")
    for label in found.secrets:
        console.print(f"  {label}", markup=False)


def combine(console: Console, found: Combined) -> None:
    """Where the secrets are."""
    for path in found.written:
        console.print(f"written: {path}", markup=False)
