"""Whether a repository is whole: what restic's own check says of it, and which packs there are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from drkit.errors import RepositoryDamaged, ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Completed
from drkit.tools.restic.access import Access
from drkit.tools.restic.output import damaged_packs, found_damage, packs_are_listed, unread_packs
from drkit.tools.restic.output import pack_faults as faults_in


def packs(access: Access) -> tuple[str, ...]:
    """The names of all pack files, from a listing."""
    done = access.check(access.command("list", "packs", "--no-lock", "--quiet"))
    return tuple(done.text.split())


def check(access: Access, read_data_subset: str | None = None) -> tuple[str, ...]:
    """The repository's own integrity; with a subset (`5%`, `1/7`, `2G`) reads that much data as well.

    Returns the packs that no index names, which restic does not read. Raises RepositoryDamaged where
    restic found damage, and ToolFailed where it could not look.
    """
    # Only who asks for more words is told which packs no index names.
    options = (f"--read-data-subset={read_data_subset}", "--verbose") if read_data_subset else ()
    done = access.run_mending("check", *options)
    try:
        access.judge(access.command("check", *options), done)
    except ToolFailed as error:
        if type(error) is ToolFailed and found_damage(error.message):
            damaged = damaged_packs(done.stderr)
            raise RepositoryDamaged(error.message, hint=error.hint, packs=damaged) from None
        raise
    return unread_packs(done.text)


def pack_sizes(access: Access) -> Iterator[tuple[str, int | None]]:
    """The names of all pack files, sorted, each with its size in bytes.

    restic tells no sizes: they are known where the repository is a directory, else None.
    """
    folder = Path(access.url.removeprefix("local:"), "data")
    local = folder.is_dir()
    for pack in sorted(packs(access)):
        try:
            yield pack, (folder / pack[:2] / pack).stat().st_size if local else None
        except OSError:
            # Removed meanwhile, or in the layout of an older restic.
            yield pack, None


def pack_faults(access: Access) -> tuple[str, ...]:
    """The packs that the index names and that are missing or have another size, a sentence each.

    The index is read and the packs are listed; no pack is read, and nothing comes from the cache. Raises
    ToolFailed where the index cannot be read.
    """
    if _listed_faults(access):
        # Perhaps somebody has just removed them with `prune`: it holds a lock until the index is new.
        access.check_mending("cat", "config")
        return _listed_faults(access)
    return ()


def _listed_faults(access: Access) -> tuple[str, ...]:
    """What `check` finds before it walks all trees: restic has no command for that alone, so it is ended
    there: killed, for it may go on for long when it is asked (seen with restic 0.18).
    """
    # Without a lock and a cache nothing of it is left behind.
    command = access.command("check", "--no-lock", "--no-cache")
    # Both outputs in one pipe, in their order.
    words = ("sh", "-c", 'exec "$@" 2>&1', "sh", *command.arguments)
    joined = replace(command, arguments=words, nothing_behind=True)
    said: list[str] = []

    def ended(done: Completed) -> None:
        access.judge(command, Completed(done.code, b"", "\n".join(said)))

    with contextlib.closing(execute.lines(joined, ended=ended)) as lines:
        for line in lines:
            said.append(line.decode("utf-8", "replace").strip())
            if packs_are_listed(said[-1]):
                break
    return faults_in(said)
