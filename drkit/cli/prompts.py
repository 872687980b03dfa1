"""Questions at a terminal."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from drkit import progress
from drkit.config import find_config
from drkit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from drkit.actions.init.plan import InitOptions
    from drkit.cli.output import Output


def complete(options: InitOptions, config: Path | None) -> InitOptions:
    """The options for `init`, with what is missing asked for if somebody is there to answer."""
    options = replace(options, output=options.output or find_config(config))
    if not sys.stdin.isatty():
        return options
    if options.harbor is None and options.registry is None:
        options = _ask_for_file(options)
    if options.repository is None:
        options = replace(options, repository=_ask("The restic repository for the backups") or None)
    if _in_bucket(options) and options.vault is None:
        options = _ask_for_vault(options)
    return options


def _ask_for_file(options: InitOptions) -> InitOptions:
    """The file that says what a registry is, or the answers to what it would have said."""
    if options.database_dsn is None and options.root is None:
        answer = _ask("Harbor's harbor.yml (empty for another registry)")
        if answer:
            return replace(options, harbor=Path(answer))
    if options.database_dsn is None:
        answer = _ask("The registry's own configuration, config.yml or config.json (empty for none)")
        if answer:
            return replace(options, registry=Path(answer))
    return _ask_for_registry(options)


def _ask_for_registry(options: InitOptions) -> InitOptions:
    """What a configuration would have said."""
    blobs = "" if options.root else _ask("The registry's root directory, or https://host/bucket/root")
    if "://" in blobs:
        options = replace(options, bucket=blobs, bucket_credentials=_ask_for_keys())
    elif blobs:
        options = replace(options, root=Path(blobs).absolute())
    site = _ask("The registry's name")
    database = options.database_dsn or _ask("Its database, as a connection string (empty for none)")
    return replace(options, site=site or None, database_dsn=database or None)


def _in_bucket(options: InitOptions) -> bool:
    from drkit.harbor.installation import read_installation
    from drkit.registry import recognising

    if options.registry is not None:
        return recognising.read(options.registry.absolute()).bucket is not None
    if options.harbor is not None:
        return read_installation(options.harbor.absolute()).storage == "s3"
    return bool(options.bucket)


def _ask_for_vault(options: InitOptions) -> InitOptions:
    vault = _ask("The images are in a bucket. The bucket that is to keep them, as https://host/bucket/prefix")
    return replace(
        options, vault=vault or None, vault_credentials=options.vault_credentials or _ask_for_keys()
    )


def _ask_for_keys() -> Path | None:
    keys = _ask("The file with its keys as KEY=value lines (empty for the machine's own role)")
    return Path(keys) if keys else None


def _ask(question: str) -> str:
    with progress.question():
        return str(typer.prompt(question, default="", show_default=False, err=True)).strip()


def confirm(show_plan: Callable[[Output], None], what: str) -> None:
    """Show what will be done and ask; raises UsageError if nobody can answer, Abort if the answer is no."""
    from drkit.cli.output import Output

    with progress.question():
        show_plan(Output(sys.stderr))
        if not sys.stdin.isatty():
            raise UsageError(
                f"there is no terminal to confirm {what}", hint="give --yes, or look first with --dry-run"
            )
        typer.confirm("Go ahead?", abort=True, err=True)


def shares() -> str:
    """Shares of secrets, from a pipe or typed one a line; an empty line ends them."""
    if not sys.stdin.isatty():
        return sys.stdin.read()
    lines: list[str] = []
    while line := _ask(f"Share {len(lines) + 1} (empty: no more)"):
        lines.append(line)
    return "\n".join(lines)
