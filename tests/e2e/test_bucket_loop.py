"""A registry in a bucket: backed up while being pushed to, lost, and brought back to wherever one likes.

All of it under watch: no key of a bucket is anywhere but where it belongs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

import testenv
from testenv import Site, buckets
from testenv.buckets import Storage
from tests.e2e import accounts, bucketed
from tests.e2e.commands import Drkit, Ended, clone
from tests.e2e.test_secrets import IN_A_DUMP, all_secrets, fingerprint_key
from tests.e2e.watching import Secrets, Watch, Watcher

# The first test lives through the whole story: a site, and a dozen commands of up to two minutes each.
pytestmark = pytest.mark.timeout(900)

_LOSSES: tuple[Literal["database", "blobs", "secrets"], ...] = ("database", "blobs", "secrets")


@dataclass
class Account:
    """What a site is like at one moment."""

    database: dict[str, str]
    objects: dict[str, str]
    served: dict[str, str]


@dataclass
class Story:
    """The loop, with everything that was said and seen on the way."""

    site: Site
    drkit: Drkit
    vault: Storage
    watcher: Watcher
    watches: dict[str, Watch] = field(default_factory=dict)
    before: Account | None = None
    after: Account | None = None
    pushed: list[str] = field(default_factory=list)
    kept: dict[str, list[tuple[str, str, bool]]] = field(default_factory=dict)

    @property
    def said(self) -> dict[str, Ended]:
        """What came of each command."""
        return {name: watch.ended for name, watch in self.watches.items()}

    @property
    def secrets(self) -> Secrets:
        """What must not be seen."""
        return all_secrets(self.drkit, self.site)

    def tell(self, name: str, *words: str) -> None:
        """Run a command under watch and remember what came of it."""
        self.watches[name] = self.watcher.run(*words, "--json")


@pytest.fixture(scope="module")
def story(bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]) -> Story:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    told = Story(bucket_site, drkit, vault, Watcher(drkit, new_home()))
    _live_through(told)
    return told


def _live_through(story: Story) -> None:
    """Everything in order; each test then looks at its part of it."""
    story.tell("doctor", "doctor")
    story.tell("plan", "backup", "--dry-run")
    _tell_while_pushed_to(story)
    story.tell("backup", "backup")
    story.kept["backup"] = buckets.versions(story.vault)
    story.before = take_account(story.site)
    for what in _LOSSES:
        testenv.lose(story.site, what)
    story.tell("restore", "restore", "latest", "--yes")
    testenv.stop(story.site)
    testenv.start(story.site)
    story.after = take_account(story.site)
    story.tell("drill", "drill")
    story.tell("quick drill", "drill", "--level", "quick")
    story.tell("show", "show", "latest")
    story.tell("verify", "verify")
    story.tell("status", "status")


def _tell_while_pushed_to(story: Story) -> None:
    """A backup while somebody pushes one image after another; the last one it cannot have seen."""
    over = threading.Event()

    def push() -> None:
        while not over.is_set():
            story.pushed.append(bucketed.push(story.site, f"v{len(story.pushed)}"))
        story.pushed.append(bucketed.push(story.site, "last"))

    pusher = threading.Thread(target=push)
    pusher.start()
    try:
        story.tell("busy", "backup")
    finally:
        over.set()
        pusher.join()


def take_account(site: Site) -> Account:
    """The site as it is now."""
    return Account(accounts.database(site), buckets.contents(bucketed.images(site)), accounts.served(site))


def test_doctor_finds_both_ends_in_order(story: Story) -> None:
    result = story.said["doctor"].result
    assert result["problems"] == 0
    found = {finding["name"]: finding["state"] for finding in result["findings"]}
    assert {"blobs", "vault", "private files"} <= set(found)
    details = " / ".join(finding["detail"] for finding in result["findings"])
    assert f"{bucketed.images(story.site).where} at" in details
    assert f"{story.vault.where} at" in details


def test_a_point_taken_while_pushed_to_is_whole(story: Story) -> None:
    result = story.said["busy"].result
    assert result["status"] == "sealed"
    assert len(story.pushed) >= 2, "it was busy"
    assert result["closure"]["missing"] == result["closure"]["size_mismatch"] == 0
    assert [part["kind"] for part in result["parts"]] == [
        "database", "roles", "inventory", "links", "digests", "tags", "names", "secrets", "configuration",
    ]  # fmt: skip


def test_the_vault_has_each_blob_once_under_its_name(story: Story) -> None:
    assert story.before is not None
    kept = buckets.contents(story.vault, "docker/")
    blobs = {name: digest for name, digest in story.before.objects.items() if "/blobs/" in name}
    assert kept == blobs
    assert all(digest == name.split("/")[-2] for name, digest in kept.items())
    own = [key for key, _, _ in story.kept["backup"] if "/docker/" in key]
    assert len(own) == len(set(own)), "no blob was copied twice, by no backup"


def test_the_second_backup_copies_what_is_new(story: Story) -> None:
    first, second = story.said["busy"].result["bucket"], story.said["backup"].result["bucket"]
    assert first["copied"] + second["copied"] == len(story.kept["backup"]) - _marks(story)
    # Of each image that was pushed, its manifest, its configuration and one layer at most.
    assert 0 < second["copied"] <= 3 * len(story.pushed)
    assert (second["bad"], second["versioned"]) == (0, True)


def _marks(story: Story) -> int:
    return sum("/docker/" not in key for key, _, _ in story.kept["backup"])


def test_it_is_back_where_it_was(story: Story) -> None:
    assert story.before is not None
    assert story.after is not None
    assert story.after.served == story.before.served
    assert len(story.after.served) > 15
    assert all(answer == f"200 {image.partition('@')[2]}" for image, answer in story.after.served.items())
    assert story.after.objects == story.before.objects
    assert story.after.database == story.before.database


def test_the_full_drill_passes(story: Story) -> None:
    result = story.said["drill"].result
    assert (result["outcome"], result["level"]) == ("passed", "full")
    assert all(control["caught"] for control in result["controls"])
    assert {"flipped byte", "truncated blob", "missing blob"} <= {c["name"] for c in result["controls"]}
    names = {check["name"] for check in result["checks"] if check["outcome"] == "passed"}
    assert {"tags can be pulled", "blobs hash to their names", "closure"} <= names


def test_the_quick_drill_passes(story: Story) -> None:
    assert story.said["quick drill"].result["outcome"] == "passed"


def test_show_verify_and_status(story: Story) -> None:
    assert story.said["show"].result["id"] == story.said["backup"].result["id"]
    assert story.said["show"].result["bucket"] == story.said["backup"].result["bucket"]
    assert story.said["verify"].code == 0
    assert story.said["status"].code == 0


def test_restored_to_another_bucket_and_served(story: Story, new_home: Callable[[], Path]) -> None:
    assert story.before is not None
    drkit = clone(story.drkit, new_home())
    with bucketed.new_bucket(bucketed.images(story.site)) as other:
        bucketed.bucket_of_blobs(drkit, other)
        drkit.ask("restore", "latest", "--only", "blobs", "--yes")
        assert buckets.contents(other) == story.before.objects
        assert bucketed.served_from(story.site, other, drkit.home / "registry") == story.before.served


def test_restored_to_a_directory_and_served(story: Story, new_home: Callable[[], Path]) -> None:
    assert story.before is not None
    drkit = clone(story.drkit, new_home())
    (step,) = drkit.ask("restore", "latest", "--only", "blobs", "--yes", "--root", str(drkit.home / "root"))[
        "steps"
    ]
    served = bucketed.served_from(story.site, Path(step["target"]), drkit.home / "registry")
    assert served == story.before.served


def test_no_secret_is_said_or_shown(story: Story) -> None:
    secrets = story.secrets
    assert {"key of the images", "key of the vault"} <= set(secrets.values)
    for verb, watch in story.watches.items():
        assert secrets.within((watch.ended.stdout + watch.ended.stderr).encode()) == [], verb
        for words in watch.words:
            assert secrets.within(words) == [], (verb, words)


def test_no_secret_is_in_files(story: Story) -> None:
    secrets, home = story.secrets, story.drkit.home
    assert secrets.in_files([home])[str(home / "blobs.credentials")] == ["key of the images"]
    meant = [
        *(home / name for name in ("blobs.credentials", "database.password")),
        story.drkit.restic_password,
        story.drkit.identity,
        fingerprint_key(story.drkit),
    ]
    assert secrets.in_files([home, story.watcher.scratch], except_for=meant) == {}
    assert list(story.watcher.scratch.iterdir()) == []
    for verb, watch in story.watches.items():
        for path, data in watch.open_files.items():
            assert secrets.within(data) == [], (verb, path)
        for path, data in watch.private_files.items():
            allowed = secrets.but(*IN_A_DUMP) if path.name == "registry.dump" else secrets
            assert allowed.within(data) == [], (verb, path)
