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

    from drkit.actions.init_plan import Wishes
    from drkit.actions.restore_plan import RestorePlan
    from drkit.cli.paper import Paper


def complete(wishes: Wishes, config: Path | None) -> Wishes:
    """The wishes for `init`, with what is missing asked for if somebody is there to answer."""
    wishes = replace(wishes, output=wishes.output or find_config(config))
    if not sys.stdin.isatty():
        return wishes
    if wishes.harbor is None and wishes.database_dsn is None:
        answer = _ask("Harbor's harbor.yml (empty for a plain registry)")
        wishes = replace(wishes, harbor=Path(answer) if answer else None)
    if wishes.harbor is None:
        wishes = _ask_for_registry(wishes)
    if wishes.repository is None:
        wishes = replace(wishes, repository=_ask("Where restic shall keep the backups") or None)
    in_bucket = bool(wishes.bucket) or (wishes.harbor is not None and _in_bucket(wishes.harbor))
    if in_bucket and wishes.vault is None:
        wishes = _ask_for_vault(wishes)
    return wishes


def _ask_for_registry(wishes: Wishes) -> Wishes:
    """What harbor.yml would have said."""
    blobs = _ask("The registry's root directory, or https://host/bucket/root")
    if "://" in blobs:
        wishes = replace(wishes, bucket=blobs, bucket_credentials=_ask_for_keys())
    elif blobs:
        wishes = replace(wishes, blobs=Path(blobs).absolute())
    site = _ask("The registry's name")
    database = wishes.database_dsn or _ask("Its database, as a connection string (empty for none)")
    return replace(wishes, site=site or None, database_dsn=database or None)


def _in_bucket(harbor: Path) -> bool:
    from drkit.harbor.installation import read_installation

    return read_installation(harbor.absolute()).storage == "s3"


def _ask_for_vault(wishes: Wishes) -> Wishes:
    vault = _ask("The images are in a bucket. Which other one shall keep them, as https://host/bucket/prefix")
    return replace(wishes, vault=vault or None, vault_credentials=wishes.vault_credentials or _ask_for_keys())


def _ask_for_keys() -> Path | None:
    keys = _ask("The file with its keys as KEY=value lines (empty for the machine's own role)")
    return Path(keys) if keys else None


def _ask(question: str) -> str:
    with progress.question():
        return str(typer.prompt(question, default="", show_default=False, err=True)).strip()


def confirm_restore(plan: RestorePlan) -> None:
    """Show the plan and ask, as `confirm` does."""
    from drkit.cli import show

    confirm(lambda paper: show.restore_plan(paper, plan), "the restore")


def confirm(show_plan: Callable[[Paper], None], what: str) -> None:
    """Show what will be done and ask; raises UsageError if nobody can answer, Abort if the answer is no."""
    from drkit.cli.paper import Paper

    with progress.question():
        show_plan(Paper(sys.stderr))
        if not sys.stdin.isatty():
            raise UsageError(
                f"nobody is here to confirm {what}", hint="say --yes, or look first with --dry-run"
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
