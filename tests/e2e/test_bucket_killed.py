"""kill -9 while blobs go from bucket to bucket: the next run goes on, and leaves nothing unfinished."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from testenv import Site, buckets, damage
from testenv.buckets import Storage
from testenv.s3_faults import Fault, Proxy, Request
from tests.e2e import bucketed, moments
from tests.e2e.commands import Drkit, wait_for
from tests.e2e.moments import Moment
from tests.e2e.test_killed import clean, kill_when, nothing_survives

# Goes up in parts, of which S3 lets none but the last be smaller than 5 MiB.
_BIG = 40 << 20


@dataclass(frozen=True)
class Interrupted:
    """A drkit without points, its vault, and a registry with one blob that takes its time."""

    drkit: Drkit
    site: Site
    vault: Storage
    big: str


@pytest.fixture(scope="module")
def interrupted(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> Iterator[Interrupted]:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    big = damage.orphan_blob(bucket_site, Random("big").randbytes(_BIG))
    yield Interrupted(drkit, bucket_site, vault, big)
    damage.remove_blob(bucket_site, big)
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


@contextmanager
def unanswered(drkit: Drkit, vault: Storage, held: Callable[[Request], bool]) -> Iterator[Proxy]:
    """As long as this lasts, no answer comes to these requests to drkit's vault: it gets no further."""
    over = threading.Event()
    with Proxy(vault.endpoint) as proxy:
        proxy.plan = lambda request: Fault(hold=over, drop=True) if held(request) else None
        drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
        try:
            yield proxy
        finally:
            over.set()
            drkit.change(lambda document: document["vault"].update(endpoint=vault.endpoint))


def further_part(request: Request) -> bool:
    """A part of a large blob, not the first."""
    return "partNumber=" in request.path and "partNumber=1&" not in f"{request.path}&"


def test_backup(interrupted: Interrupted) -> None:
    """Killed at moments that can be seen, and at random ones on top; then one backup is left alone."""
    drkit, vault = interrupted.drkit, interrupted.vault

    def kill(proxy: Proxy, moment: Moment, what: str) -> bool:
        killed = kill_when(drkit, moment, what, "backup")
        nothing_survives(drkit)
        # What it has asked for, the service still does: it must be there before the next one looks.
        wait_for(proxy.idle, "what was under way is done")
        return killed

    with unanswered(drkit, vault, further_part) as proxy:
        assert kill(proxy, lambda: buckets.uploads(vault), "the big one goes up")
        assert buckets.uploads(vault) == [vault.key(damage.blob_name(interrupted.big))], "killed half-way"
        assert kill(proxy, lambda: len(buckets.names(vault, "docker")) > 40, "most are there")
    with unanswered(drkit, vault, lambda _request: False) as proxy:
        for delay in (0.8, 1.4):
            kill(proxy, moments.after(delay), "time is up")

    result = drkit.ask("backup")
    assert result["status"] == "sealed"
    assert drkit.sealed()[0] == result["id"]
    assert buckets.uploads(vault) == []
    kept = buckets.contents(vault, "docker")
    assert kept == buckets.contents(bucketed.images(interrupted.site), "docker/registry/v2/blobs")
    keys = [key for key, _, _ in buckets.versions(vault) if "/docker/" in key]
    assert len(keys) == len(set(keys)), "what an earlier run had brought was not brought again"
    assert [name for name in buckets.names(vault, "drkit") if "running" in name] == []
    clean(drkit)


def test_restore_to_a_bucket(interrupted: Interrupted) -> None:
    drkit, images = interrupted.drkit, bucketed.images(interrupted.site)
    if not drkit.sealed():
        drkit.ask("backup")
    before = drkit.config.read_text()
    words = ("restore", "latest", "--only", "blobs", "--yes")
    with bucketed.new_bucket(images) as other:
        bucketed.bucket_of_blobs(drkit, other)
        some: tuple[Moment, ...] = (
            lambda: len(buckets.names(other)) > 10,
            lambda: any("/link" in name for name in buckets.names(other)),
        )
        for moment in some:
            kill_when(drkit, moment, "some of it is there", *words)
            nothing_survives(drkit)
        drkit.ask(*words)
        assert buckets.contents(other) == buckets.contents(images)
        assert buckets.uploads(other) == []
        clean(drkit)
    drkit.config.write_text(before)


def test_restore_to_a_directory(interrupted: Interrupted) -> None:
    drkit = interrupted.drkit
    if not drkit.sealed():
        drkit.ask("backup")
    root = drkit.home / "root"
    words = ("restore", "latest", "--only", "blobs", "--yes", "--root", str(root))
    asked = itertools.count(1)
    some = lambda: len(moments.found(root, "**/data")) > 20  # noqa: E731
    with unanswered(drkit, interrupted.vault, lambda request: "/blobs/" in request.path and next(asked) > 30):
        assert kill_when(drkit, some, "some of it is there", *words)
        nothing_survives(drkit)
    assert [path.name[:17] for path in root.iterdir()] == [".drkit-restoring-"], "all or nothing"
    (step,) = drkit.ask(*words)["steps"]
    there = Path(step["target"])
    found = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    assert found == set(buckets.names(bucketed.images(interrupted.site)))
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    clean(drkit)
