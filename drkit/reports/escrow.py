"""The escrow page: what must be kept outside the machine, on paper.

Two renderings of the same facts, a self-contained HTML page to print and plain text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from drkit.reports import qr
from drkit.reports.text import printable, shell_word, templates


@dataclass(frozen=True)
class RepositoryLine:
    """A repository: where it is, and the files that are needed to open it."""

    name: str
    url: str
    password_file: str
    credentials_file: str | None


@dataclass(frozen=True)
class VaultLine:
    """The vault that keeps the images of a bucket: where it is, and how it was reached."""

    where: str
    credentials: str
    ca_file: str | None


@dataclass(frozen=True)
class RecipientLine:
    """Who can open the secrets: the public key, and where its identity is, as far as known."""

    name: str
    key: str
    kind: str
    identity_file: str | None


@dataclass(frozen=True)
class Printed:
    """A secret on a page: the whole of it, or one share."""

    label: str
    file: str
    text: str
    share: bool


@dataclass(frozen=True)
class Page:
    """Everything that stands on one page; `holder` counts from 1 where the secrets are split."""

    site: str
    written_at: datetime
    host: str
    config: str
    repositories: tuple[RepositoryLine, ...]
    recipients: tuple[RecipientLine, ...]
    vault: VaultLine | None = None
    # The public half of the key that reports of drills are signed with, as PEM.
    signing_key: str = ""
    secrets: tuple[Printed, ...] = ()
    holder: int | None = None
    needed: int | None = None
    shares: int | None = None

    @property
    def public(self) -> str:
        """The public parts as lines, for a QR code."""
        lines = [f"drkit escrow of {self.site}"]
        lines += [f"repository {each.name}: {each.url}" for each in self.repositories]
        lines += [f"vault: {self.vault.where}"] if self.vault else []
        lines += [f"recipient {each.name}: {each.key}".replace(" : ", ": ") for each in self.recipients]
        return "\n".join(lines)


def text(page: Page) -> str:
    """The page as plain text; a share is wrapped, ten words a line."""
    return templates(printable, **_filters()).get_template("escrow.txt").render(page=page)


def html(page: Page) -> str:
    """The page as HTML: one file, no script, nothing fetched from elsewhere."""
    return templates(**_filters()).get_template("escrow.html").render(page=page)


def _filters() -> dict[str, Callable[..., object]]:
    return {"sh": shell_word, "qr": _code, "ten": _ten, "lines": str.splitlines}


def _code(content: str) -> Markup:
    """A QR code, or nothing for what is too long for one."""
    return Markup(qr.svg(content))  # noqa: S704 - drawn from modules, not from the text


def _ten(words: str) -> list[str]:
    """The words of a share, ten a line."""
    every = words.split()
    return [" ".join(every[start : start + 10]) for start in range(0, len(every), 10)]
