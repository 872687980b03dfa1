"""How a listing is cut: every key exactly once, however the keys are spread."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from drkit.tools.s3.access import Object
from drkit.tools.s3.pages import Page
from drkit.tools.s3.ranges import Range, left

FULL = 10
AREA = "r/blobs/sha256/"


def answer(keys: list[str], wanted: Range, full: int) -> Page:
    """What a service says: its keys are sorted, and it goes on where it was told to."""
    after = (wanted.following or {}).get("ContinuationToken", wanted.after)
    prefix = wanted.within if wanted.names else wanted.prefix
    below = [key for key in keys[bisect_right(keys, after) :] if key.startswith(prefix)]
    if wanted.names:
        folded = {key[: key.index("/", len(prefix)) + 1] for key in below if "/" in key[len(prefix) :]}
        return Page([], sorted(folded), None)
    objects = [Object(key, 0, "", "") for key in below[:full]]
    more = len(below) > full
    return Page(objects, [], {"ContinuationToken": objects[-1].key} if more else None)


def walk(keys: list[str], prefix: str, *, versions: bool = False, full: int = FULL) -> tuple[list[str], int]:
    """List it all, range by range; the keys in the order of the ranges, and how many requests it took."""
    requests = 0

    def keys_of(wanted: Range) -> Iterator[str]:
        nonlocal requests
        requests += 1
        page = answer(keys, wanted, full)
        if not wanted.names:
            yield from (found.key for found in page.objects if wanted.end is None or found.key <= wanted.end)
        for rest in left(wanted, page, full=full, versions=versions):
            yield from keys_of(rest)

    return list(keys_of(Range(prefix, prefix))), requests


def hashed(count: int) -> list[str]:
    digests = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(count))
    return sorted(f"{AREA}{digest[:2]}/{digest}/data" for digest in digests)


@settings(max_examples=60)
@given(st.sets(st.text("ab/~0f", min_size=1, max_size=6), max_size=80))
def test_any_keys_once_and_in_order(found: set[str]) -> None:
    """Also those that have the name of a folder, and what stands below it."""
    keys = sorted(f"p/{key}" for key in found)
    assert walk(keys, "p/")[0] == keys


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 30))
@settings(max_examples=40)
def test_hashes_among_other_keys(count: int, links: int, odd: int) -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(links)]
    keys = hashed(count)
    keys += [
        f"r/repositories/p{number % 7}/app/_layers/sha256/{name}/link" for number, name in enumerate(names)
    ]
    keys += [f"{AREA}{'z' * number}" for number in range(1, odd + 1)]
    keys.sort()
    assert walk(keys, "")[0] == keys
    blobs = keys[bisect_left(keys, AREA) : bisect_left(keys, AREA + "\U0010ffff")]
    assert walk(keys, AREA)[0] == blobs


def test_hashes_take_few_requests_more_than_pages() -> None:
    keys = hashed(4_000)
    found, requests = walk(keys, AREA, full=100)
    assert found == keys
    assert requests <= 4_000 / 100 * 1.5
    assert walk(hashed(FULL), AREA)[1] == 1
    assert walk(hashed(200), AREA, full=100)[1] <= 3


def test_versions_are_cut_by_their_first_digits() -> None:
    for count in (5, 100, 2_000):
        keys = hashed(count)
        assert walk(keys, AREA, versions=True)[0] == keys
