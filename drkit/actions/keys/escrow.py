"""`drkit keys escrow`: the page that has to be found when the machine is gone."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions.keys.custody import keyring, make_private, write_private
from drkit.blobs.ends import place_of_vault
from drkit.errors import ConfigError, UsageError
from drkit.logs import register_secret
from drkit.model import utc_now
from drkit.reports import escrow as report
from drkit.reports.escrow import Page, Printed, RecipientLine, RepositoryLine, VaultLine
from drkit.tools import age, dsse, shamir
from drkit.tools.recipient import named
from drkit.tools.shamir import Scheme


@dataclass(frozen=True)
class EscrowOptions:
    """What the command line says; `split` makes one page a holder."""

    output: Path | None = None
    with_secrets: bool = False
    split: str | None = None
    identities: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Escrow:
    """What was written; `text` is the page itself where it went nowhere, and then it holds no secret."""

    site: str
    written: tuple[Path, ...]
    secrets: tuple[str, ...]
    holders: int
    needed: int
    text: str | None = None


def escrow(settings: config.Config, path: Path, options: EscrowOptions) -> Escrow:
    """Write the page, or one for each holder; raises UsageError, ConfigError.

    Secrets go to private files alone, and only where they were asked for.
    """
    scheme = shamir.parse_scheme(options.split) if options.split else None
    wanted = options.with_secrets or scheme is not None
    if wanted and options.output is None:
        raise UsageError(
            "secrets are never printed to a terminal or a pipe", hint="name a directory: --output DIR"
        )
    base = _page(settings, path, options)
    secrets = tuple(_secrets(settings, options.identities)) if wanted else ()
    pages = _split(base, secrets, scheme) if scheme else [replace(base, secrets=secrets)]
    labels = tuple(secret.label for secret in secrets)
    needed = scheme.needed if scheme else 1
    if options.output is None:
        return Escrow(base.site, (), labels, len(pages), needed, report.text(base))
    return Escrow(base.site, tuple(_write(options.output, pages)), labels, len(pages), needed)


def _page(settings: config.Config, path: Path, options: EscrowOptions) -> Page:
    ring = keyring(settings, options.identities)
    recipients = []
    for text in settings.secrets.recipients:
        known = named(text)
        opened_by = next((str(file) for file, own in ring.items() if age.opens(text, own)), None)
        recipients.append(RecipientLine(known.name, known.key, known.kind, opened_by))
    return Page(
        site=settings.site.name,
        written_at=utc_now(),
        host=platform.node(),
        config=str(path),
        repositories=tuple(
            RepositoryLine(
                each.name,
                each.url,
                str(each.password_file),
                str(each.credentials_file) if each.credentials_file else None,
            )
            for each in settings.repositories
        ),
        recipients=tuple(recipients),
        vault=_vault(settings.vault) if settings.vault else None,
        signing_key=dsse.read_public(settings.drill.signing_key) if settings.drill.signing_key else "",
    )


def _vault(vault: config.Vault) -> VaultLine:
    if vault.credentials_file:
        credentials = str(vault.credentials_file)
    elif vault.profile:
        credentials = f"the profile {vault.profile} of ~/.aws"
    else:
        credentials = "the environment, or what the machine itself may do"
    return VaultLine(place_of_vault(vault).where, credentials, str(vault.ca_file) if vault.ca_file else None)


def _secrets(settings: config.Config, identities: Sequence[Path]) -> Iterator[Printed]:
    for repository in settings.repositories:
        yield _printed(f"Password of the repository {repository.name}", repository.password_file)
        if repository.credentials_file:
            yield _printed(f"Credentials of the repository {repository.name}", repository.credentials_file)
    if settings.vault and settings.vault.credentials_file:
        yield _printed("Credentials of the vault", settings.vault.credentials_file)
    for each in settings.with_vaults:
        if each.vault and each.vault.credentials_file:
            yield _printed(f"Credentials of the vault of {each.name}", each.vault.credentials_file)
    for path, own in keyring(settings, identities).items():
        opens = [named(text).name for text in settings.secrets.recipients if age.opens(text, own)]
        whose = " and ".join(name or "a recipient without a name" for name in opens) or "nobody any more"
        yield _printed(f"Identity of {whose}", path)


def _printed(label: str, path: Path) -> Printed:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="the configuration names it") from None
    # Comments are no part of a key, and would only be more to type.
    kept = [line for line in lines if line.strip() and not (len(lines) > 1 and line.startswith("#"))]
    return Printed(label, str(path), register_secret("\n".join(kept)), share=False)


def _split(page: Page, secrets: Sequence[Printed], scheme: Scheme) -> list[Page]:
    shares = shamir.split_all([secret.text for secret in secrets], scheme)
    return [
        replace(
            page,
            secrets=tuple(
                replace(secret, text=own[number], share=True)
                for secret, own in zip(secrets, shares, strict=True)
            ),
            holder=number + 1,
            needed=scheme.needed,
            shares=scheme.shares,
        )
        for number in range(scheme.shares)
    ]


def _write(directory: Path, pages: Sequence[Page]) -> Iterator[Path]:
    directory = make_private(directory)
    for page in pages:
        name = f"holder-{page.holder}" if page.holder else "escrow"
        for ending, render in (("html", report.html), ("txt", report.text)):
            path = directory / f"{name}.{ending}"
            write_private(path, render(page))
            yield path
