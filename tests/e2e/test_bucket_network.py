"""A network that drops, a service that is busy, keys that run out: a point is whole or it is none."""

from __future__ import annotations

import shutil
import threading
import tomllib
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import Site, buckets, damage
from testenv.buckets import Storage
from testenv.s3_faults import Fault, Proxy, Request
from tests.e2e import bucketed
from tests.e2e.commands import Drkit, fails


@dataclass(frozen=True)
class Far:
    """A drkit that reaches both ends through something that can be told to fail."""

    drkit: Drkit
    site: Site
    vault: Storage
    to_source: Proxy
    to_vault: Proxy


@pytest.fixture(scope="module")
def far(bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]) -> Iterator[Far]:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    with ExitStack() as stack:
        ends = {"blobs": bucketed.images(bucket_site), "vault": vault}
        proxies = {name: stack.enter_context(Proxy(end.endpoint)) for name, end in ends.items()}
        for name, proxy in proxies.items():
            drkit.change(
                lambda document, name=name, proxy=proxy: document[name].update(endpoint=proxy.endpoint)  # type: ignore[misc]
            )
        # The same bucket by another address than harbor.yml's.
        drkit.change(lambda document: document["site"].update(dropped=["blobs"]))
        yield Far(drkit, bucket_site, vault, proxies["blobs"], proxies["vault"])
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


@pytest.fixture(autouse=True)
def all_is_well(far: Far) -> Iterator[None]:
    """What one test lets go wrong is over for the next."""
    yield
    for proxy in (far.to_source, far.to_vault):
        proxy.plan = lambda _request: None


class NowAndThen:
    """Of nine tries of one request five go wrong, each in a way of its own, never more than two in a row.

    Each request has its own count: by one for all, eight of nine tries of one may be the bad ones.
    """

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Fault | None:
        name = str(request)
        with self._lock:
            self._tries[name] += 1
            number = self._tries[name] + zlib.crc32(name.encode())
        return {
            1: Fault(error=(500, "InternalError")),
            3: Fault(error=(503, "SlowDown")),
            4: Fault(cut_after=10),
            6: Fault(change=lambda content: content[:30]) if request.lists else Fault(cut_after=30),
            7: Fault(drop=True, late=True),
        }.get(number % 9)


def expired(_request: Request) -> Fault:
    """The session's token has run out."""
    return Fault(error=(403, "ExpiredToken"))


def test_backup_and_restore_over_a_bad_network(far: Far) -> None:
    for proxy in (far.to_source, far.to_vault):
        proxy.plan = NowAndThen()
    result = far.drkit.ask("backup")
    assert (result["status"], result["closure"]["missing"], result["warnings"]) == ("sealed", 0, [])
    images = bucketed.images(far.site)
    there = buckets.contents(images)
    blobs = {name: digest for name, digest in there.items() if "/blobs/" in name}
    assert buckets.contents(far.vault, "docker") == blobs
    keys = [key for key, _, _ in buckets.versions(far.vault) if "/docker/" in key]
    assert len(keys) - len(set(keys)) < len(keys) / 2, "an answer that was lost is all that is done twice"

    home = far.drkit.home / "restored"
    words = ("restore", "latest", "--only", "blobs", "--yes", "--root", str(home))
    (step,) = far.drkit.ask(*words)["steps"]
    target = Path(step["target"])
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert found == set(there)


def test_a_run_with_nothing_new_only_lists(far: Far) -> None:
    far.drkit.ask("backup")
    with far.to_source.watched() as source, far.to_vault.watched() as vault:
        result = far.drkit.ask("backup")
    assert (result["status"], result["bucket"]["copied"]) == ("sealed", 0)
    others = [request for request in vault if not request.lists]
    # No object of the registry is read. The run's lease, just written to the vault, must not be found there.
    (probe,) = [request for request in source if not request.lists]
    lease = probe.path.removeprefix(f"/{bucketed.images(far.site).bucket}/")
    assert (probe.method, "/drkit/leases/" in lease) == ("GET", True)
    assert ("PUT", f"/{far.vault.bucket}/{lease}") in [(request.method, request.path) for request in others]
    assert len(source) == 4, "blobs, links and GitLab's lock files, a page each, and the lease"
    assert [request for request in others if "/docker/" in request.path] == []
    # What the bucket is like, whose vault it is, and the mark of a run that is under way.
    assert len(others) <= 12, others


def test_blobs_that_are_collected_between_listing_and_copying(far: Far) -> None:
    """What nobody refers to may go at any moment: then it is not in the point, and the point is whole."""
    orphans = [damage.orphan_blob(far.site, f"collected {number}".encode()) for number in range(5)]

    def collect(request: Request) -> None:
        if "/blobs/" in request.path and not request.lists and orphans:
            for digest in orphans:
                damage.remove_blob(far.site, digest)
            orphans.clear()

    before = {damage.blob_name(digest) for digest in orphans}
    far.to_source.plan = collect
    result = far.drkit.ask("backup")
    assert (result["status"], result["warnings"], orphans) == ("sealed", [], [])
    assert (result["closure"]["missing"], result["closure"]["unreferenced"]) == (0, 0)
    assert not before & buckets.names(far.vault, "docker").keys()


def test_keys_that_have_run_out(far: Far) -> None:
    far.to_source.plan = expired
    points = far.drkit.points()
    # Whether the vault is the registry's own bucket cannot be told without its keys.
    message = r"2 problems; the first: s3://\S+ at \S+: .*: refused, ExpiredToken as told"
    hint = "the session's token has expired: get new credentials"
    diagnosis = fails(far.drkit, ["doctor"], 7, "bucket_refused", message, hint).envelope["result"]
    problems = [each for each in diagnosis["findings"] if each["state"] == "problem"]
    assert [each["name"] for each in problems] == ["blobs", "vault"]
    assert all(far.to_source.endpoint in each["detail"] for each in problems)
    assert all("ExpiredToken" in each["detail"] for each in problems)
    assert [key for key, _, _ in buckets.versions(far.vault) if "probe" in key] == []
    ended = far.drkit.run("backup", "--json")
    assert ended.code == 3
    assert "ExpiredToken" in ended.error["message"]
    assert [point["id"] for point in far.drkit.points() if point["status"] == "sealed"] == [
        point["id"] for point in points if point["status"] == "sealed"
    ]


def test_keys_that_run_out_in_the_middle(far: Far) -> None:
    """The vault is a new one, which takes some blobs and then no more; the next backup brings the rest."""
    sealed = far.drkit.sealed()
    document = tomllib.loads(far.drkit.config.read_text())
    far.drkit.change(lambda changed: changed["vault"].update(prefix="another"))
    before = len(far.to_vault.seen)
    far.to_vault.plan = lambda request: expired(request) if request.number > before + 40 else None
    ended = far.drkit.run("backup", "--json")
    assert ended.code == 3, ended
    assert "ExpiredToken" in ended.error["message"]
    assert far.drkit.sealed() == sealed
    far.to_vault.plan = lambda _request: None
    another = bucketed.vault_of(far.drkit, far.site)
    brought = len(buckets.names(another, "docker"))
    assert brought > 10
    result = far.drkit.ask("backup")
    blobs = buckets.names(bucketed.images(far.site), "docker/registry/v2/blobs")
    assert result["bucket"]["copied"] == len(blobs) - brought
    assert buckets.names(another, "docker") == blobs
    assert [name for name in buckets.names(another, "drkit") if "running" in name] == []
    far.drkit.change(lambda changed: changed.update(document))


def test_a_vault_that_nobody_answers_for(far: Far) -> None:
    far.to_vault.plan = lambda _request: Fault(drop=True)
    ended = far.drkit.run("doctor", "--json")
    assert ended.code == 7
    assert "3 times" in ended.error["message"]
