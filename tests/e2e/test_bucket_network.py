"""A network that drops, a service that is busy, keys that run out: a point is whole or it is none."""

from __future__ import annotations

import shutil
import tomllib
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
        yield Far(drkit, bucket_site, vault, proxies["blobs"], proxies["vault"])
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


@pytest.fixture(autouse=True)
def all_is_well(far: Far) -> Iterator[None]:
    """What one test lets go wrong is over for the next."""
    yield
    for proxy in (far.to_source, far.to_vault):
        proxy.plan = lambda _request: None


def now_and_then(request: Request) -> Fault | None:
    """Of nine requests five go wrong, each in a way of its own."""
    return {
        1: Fault(error=(500, "InternalError")),
        3: Fault(error=(503, "SlowDown")),
        4: Fault(cut_after=10),
        6: Fault(change=lambda content: content[:30]) if request.lists else Fault(cut_after=30),
        7: Fault(drop=True, late=True),
    }.get(request.number % 9)


def expired(_request: Request) -> Fault:
    """The session's token has run out."""
    return Fault(error=(403, "ExpiredToken"))


def test_backup_and_restore_over_a_bad_network(far: Far) -> None:
    for proxy in (far.to_source, far.to_vault):
        proxy.plan = now_and_then
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
    assert [request for request in source if not request.lists] == [], "no object of the registry is read"
    assert len(source) == 2, "blobs and links, a page each"
    others = [request for request in vault if not request.lists]
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
    message = r"1 problem; the first: s3://\S+ at \S+: .*: refused, ExpiredToken as told"
    hint = "the session's token has run out: get new credentials"
    fails(far.drkit, ["doctor"], 7, "bucket_refused", message, hint)
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
