"""The ledger of one run: opened before anything is read, and stored when all is done."""

from __future__ import annotations

import logging
import platform
from datetime import datetime, timedelta
from pathlib import Path

from drkit import tidying
from drkit.errors import DrkitError, Failure, failure_of
from drkit.model import CLOCK_SKEW, utc_now
from drkit.model.reread import LedgerSummary, Reread, reread
from drkit.points import seals
from drkit.points.catalog import Catalog
from drkit.points.ledger.joining import Reader
from drkit.points.ledger.keeping import Book
from drkit.state.directory import new_id
from drkit.tools.restic.repository import Repository

log = logging.getLogger(__name__)


def open_ledger(
    catalog: Catalog, verb: str, directory: Path, run: str = "", began: datetime | None = None
) -> Book:
    """The ledgers of a repository, for a run of a verb that reads; raises the repository's errors.

    What it reads counts as read when it `began`, by default now. Nothing in the repository is older than its
    oldest snapshot: reports of drills stay for years, when their points have long gone.
    """
    now = utc_now()
    every = catalog.repository.listed()[0]
    own = [each for each in every if seals.SITE + catalog.site in each.tags]
    oldest = min((each.time for each in every), default=now)
    reader = Reader(run or new_id(now), verb, platform.node(), began or now, now)
    book = Book(catalog, own, reader, oldest, directory)
    for doubt in book.found.doubts:
        log.warning("%s", doubt)
    return book


def write(book: Book, target: timedelta | None, *, tidy: bool = True) -> tuple[tuple[Reread, ...], str]:
    """Store what was read, if anything was; how far reading is now, and why it could not be stored.

    What cannot be stored costs the work of a run and proves nothing: the rest of its verdict stands. Not
    `tidy` leaves the ledgers that it has taken in to the next `verify` or `expire`.
    """
    if not book.has_news:
        return (), ""
    try:
        found = book.write()
        if tidy:
            book.remove()
        return judged(found, target), ""
    except (Failure, OSError) as error:
        why = failure_of(error).message
        log.warning("what was read is not in the ledger: %s", why)
        return (), why


def write_in_a_hurry(book: Book, repository: Repository) -> None:
    """Store what was read while drkit is being interrupted, if anything was; says how that went.

    What has been read to its end and was right stays so, whatever ends the run.
    """
    if not book.has_news:
        return
    with tidying.undisturbed():
        try:
            ending = repository.while_ending()
            # A restic that was just ended may have left its lock.
            ending.open()
            book.write(ending)
        except (DrkitError, OSError) as error:
            log.warning("what was read is not in the ledger: %s", failure_of(error).message)
        else:
            log.warning("what was read until the interruption is in the ledger")


def judged(found: LedgerSummary, target: timedelta | None) -> tuple[Reread, ...]:
    """How far reading is at this moment."""
    return tuple(reread(each, utc_now(), target, CLOCK_SKEW) for each in found.stores)
