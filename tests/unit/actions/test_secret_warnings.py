"""What a backup warns of before it reads anything: an identity that opens no new bundle."""

from __future__ import annotations

from pathlib import Path

import pyrage

from drkit import config
from drkit.actions.secret_warnings import of_recipients
from drkit.tools import age


def test_recipients_that_the_identity_here_does_not_open(tmp_path: Path) -> None:
    line, mine = age.generate()
    _, other = age.generate()
    path = tmp_path / "identity"
    path.write_text(line)

    def said(*recipients: str, paths: tuple[Path, ...] = (tmp_path,)) -> tuple[str, ...]:
        return of_recipients(config.Secrets(paths=paths, recipients=recipients, identity_file=path))

    assert said(f"{mine} me") == ()
    assert said(other, mine) == ()
    (found,) = said(f"{other} a colleague")
    assert found.startswith(f"{path} opens none of the recipients")
    assert said(other, paths=()) == (), "there are no secrets to open"
    path.write_bytes(pyrage.passphrase.encrypt(line.encode(), "a passphrase"))
    assert said(other) == (), "a backup asks for no passphrase"
    path.unlink()
    (found,) = said(other)
    assert found.startswith("whether identity_file opens the secrets cannot be told: ")
