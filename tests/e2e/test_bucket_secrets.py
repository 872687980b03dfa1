"""The keys of buckets, and what a registry in one keeps secret, are nowhere but where they belong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import Site, buckets
from tests.e2e import bucketed
from tests.e2e.commands import Drkit
from tests.e2e.test_secrets import all_secrets, fingerprint_key
from tests.e2e.watching import Secrets, Watch, Watcher

# Harbor itself keeps these in the clear in its database, and so they are in a dump.
_IN_A_DUMP = ("scanner credential", "webhook token")


@dataclass(frozen=True)
class Seen:
    """What was to be seen of each verb, and where it left files."""

    drkit: Drkit
    secrets: Secrets
    scratch: Path
    watches: dict[str, Watch]


@pytest.fixture(scope="module")
def seen(bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]) -> Iterator[Seen]:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    watcher = Watcher(drkit, new_home())
    with bucketed.new_bucket(bucketed.images(bucket_site)) as other:
        watches = {
            "doctor": watcher.run("doctor", "--json"),
            "backup": watcher.run("backup"),
            "drill": watcher.run("drill"),
            "show": watcher.run("show", "latest", "--json"),
            "verify": watcher.run("verify", "--json"),
            "expire": watcher.run("expire"),
        }
        bucketed.bucket_of_blobs(drkit, other)
        watches["restore"] = watcher.run("restore", "latest", "--only", "blobs", "--yes")
        # Nobody answers there.
        drkit.change(lambda document: document["vault"].update(endpoint="http://127.0.0.1:1"))
        watches["doctor that finds nobody"] = watcher.run("doctor")
    yield Seen(drkit, all_secrets(drkit, bucket_site), watcher.scratch, watches)
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


def test_everything_ran_and_was_watched(seen: Seen) -> None:
    codes = {verb: watch.ended.code for verb, watch in seen.watches.items()}
    assert codes == {verb: 7 if verb == "doctor that finds nobody" else 0 for verb in codes}, {
        verb: watch.ended.stderr[-500:] for verb, watch in seen.watches.items()
    }
    assert {"key of the images", "key of the vault"} <= set(seen.secrets.values)


def test_the_search_finds_what_is_there(seen: Seen) -> None:
    found = seen.secrets.in_files([seen.drkit.home])
    assert found[str(seen.drkit.home / "blobs.credentials")] == ["key of the images"]


def test_no_secret_in_arguments_or_environments(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        for words in watch.words:
            assert seen.secrets.within(words) == [], (verb, words)


def test_no_secret_is_said(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        assert seen.secrets.within((watch.ended.stdout + watch.ended.stderr).encode()) == [], verb


def test_no_secret_is_left_in_files(seen: Seen) -> None:
    home = seen.drkit.home
    meant = [
        *home.glob("*.credentials"),
        home / "database.password",
        seen.drkit.restic_password,
        seen.drkit.identity,
        fingerprint_key(seen.drkit),
    ]
    assert seen.secrets.in_files([home, seen.scratch], except_for=meant) == {}
    assert list(seen.scratch.iterdir()) == []


def test_no_secret_in_a_file_of_a_run_meanwhile(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        for path, data in watch.open_files.items():
            assert seen.secrets.within(data) == [], (verb, path)
        for path, data in watch.private_files.items():
            secrets = seen.secrets.but(*_IN_A_DUMP) if path.name == "registry.dump" else seen.secrets
            assert secrets.within(data) == [], (verb, path)
