"""Listings of a bucket: one page after another, or many pages at once and in order all the same.

A listing side by side is a row of ranges of keys (see s3_ranges). A range is asked for one page, and what the
page leaves of it takes its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from drkit.errors import ToolFailed
from drkit.tools.s3.access import Object
from drkit.tools.s3.client import Client
from drkit.tools.s3.pages import Page, ask
from drkit.tools.s3.ranges import Range, left

AT_ONCE = 32


def one_by_one(client: Client, prefix: str, *, versions: bool) -> Iterator[Object]:
    """The objects below a prefix, sorted by key; raises ToolFailed where the server does not sort them."""
    last = ""
    following: Mapping[str, str] | None = {}
    while following is not None:
        page = ask(client, versions=versions, Prefix=prefix, **following)
        if page.objects and page.objects[0].key < last:
            raise _not_sorted(client, page.objects[0].key, last)
        yield from page.objects
        last = page.objects[-1].key if page.objects else last
        if page.following is not None and page.following == following:
            raise ToolFailed(f"{client.where}: the listing of {prefix!r} repeats itself")
        following = page.following


def each_once(objects: Iterator[Object]) -> Iterator[Object]:
    """Without what a server says again: some begin a page of versions with the last of the page before."""
    key, seen = None, set[str | None]()
    for found in objects:
        if found.key != key:
            key, seen = found.key, set()
        if found.version not in seen:
            seen.add(found.version)
            yield found


def first_of(client: Client, prefix: str) -> Object | None:
    """The first object below a prefix, None where there is none."""
    page = ask(client, versions=False, Prefix=prefix, MaxKeys=1)
    return page.objects[0] if page.objects else None


@dataclass
class _Step:
    """A range in its place in the row, the page that it was asked for, whether the rest stands behind it."""

    range: Range
    page: Future[Page] | None = None
    spread: bool = False


@dataclass(frozen=True)
class _Listing:
    client: Client
    prefix: str
    versions: bool

    def fetch(self, wanted: Range) -> Page:
        """The next page of a range, or the names below it."""
        arguments: dict[str, object] = {"Prefix": wanted.prefix}
        if wanted.after:
            arguments["KeyMarker" if self.versions else "StartAfter"] = wanted.after
        if wanted.names:
            arguments |= {"Prefix": wanted.within, "Delimiter": "/"}
        elif wanted.following is not None:
            arguments = {"Prefix": wanted.prefix, **wanted.following}
        return ask(self.client, versions=self.versions, **arguments)

    def spread(self, row: list[_Step]) -> None:
        """Put what the pages that have come leave of their ranges into the row, behind them."""
        for place in reversed(range(min(len(row), AT_ONCE))):
            step = row[place]
            if step.page is not None and step.page.done() and not step.spread:
                row[place + 1 : place + 1] = map(_Step, self._left(step.range, step.page.result()))
                step.spread = True

    def _left(self, done: Range, page: Page) -> list[Range]:
        if page.following is not None and page.following == done.following:
            raise ToolFailed(f"{self.client.where}: the listing of {self.prefix!r} repeats itself")
        return left(done, page, full=self.client.access.page, versions=self.versions)

    def objects(self, done: Range, page: Page) -> Iterator[Object]:
        """What belongs to the range; raises ToolFailed for a key that cannot come there."""
        for found in () if done.names else page.objects:
            if found.key < done.after or (found.key == done.after and not self.versions):
                raise _not_sorted(self.client, found.key, done.after)
            if done.end is not None and found.key > done.end:
                return
            yield found


def at_once(client: Client, prefix: str, *, versions: bool) -> Iterator[Object]:
    """The same objects in the same order, asked for side by side.

    No more than 32 pages are on their way or wait to be taken, so that memory stays flat.
    """
    listing = _Listing(client, prefix, versions)
    row = [_Step(Range(prefix, prefix))]
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="listing")
    try:
        while row:
            for step in islice(row, AT_ONCE):
                step.page = step.page or pool.submit(listing.fetch, step.range)
            first = row[0]
            assert first.page is not None
            page = first.page.result()
            listing.spread(row)
            del row[0]
            yield from listing.objects(first.range, page)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _not_sorted(client: Client, key: str, last: str) -> ToolFailed:
    return ToolFailed(f"{client.where}: the listing is not sorted: {key} after {last}")
