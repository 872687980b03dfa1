"""A bucket's points in a second repository and vault: enough when the first are lost."""

from __future__ import annotations

import json
import secrets
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from testenv import Site, buckets
from testenv.buckets import Storage
from tests.e2e import bucketed, copies
from tests.e2e.commands import Drkit
from tests.e2e.test_bucket_expire import CONTENT, NAME, blobs_of, destroy, two_points

pytestmark = pytest.mark.timeout(600)
ELSEWHERE = ("--repository", copies.OFFSITE)


@pytest.fixture
def second(bucket_site: Site) -> Iterator[Storage]:
    assert bucket_site.vault is not None
    bucket = f"drkit-second-{secrets.token_hex(4)}"
    made = buckets.make(replace(bucket_site.vault, bucket=bucket), versioned=True, lockable=True)
    yield made
    buckets.unmake(made)


def warnings(drkit: Drkit, name: str) -> list[str]:
    """What doctor warns of, under that name."""
    found = drkit.run("doctor", "--json").envelope["result"]["findings"]
    return [each["detail"] for each in found if each["state"] != "ok" and each["name"] == name]


def further(drkit: Drkit, second: Storage) -> None:
    """Give the second repository a vault of its own, and keep two points there."""
    text = drkit.config.read_text()
    own = dict(tomllib.loads(text)["vault"], bucket=second.bucket)
    lines = ["[repository.retention]", "keep_last = 2", "[repository.vault]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in own.items()]
    entry = text.index(f'name = "{copies.OFFSITE}"')
    end = text.find("\n[", entry)
    drkit.config.write_text("\n".join([text[:end], *lines, text[end:]]))


def test_the_first_repository_and_the_first_vault_are_lost(
    bucket_site: Site, bucket_empty: Drkit, second: Storage, new_home: Callable[[], Path]
) -> None:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    two_points(drkit, bucket_site)
    newest, oldest = drkit.sealed()
    copies.add(drkit)
    (said,) = warnings(drkit, "vault of offsite")
    assert said.startswith(f"there is none: without s3://{vault.bucket}")
    further(drkit, second)
    # What the first vault has lost cannot be copied, and neither can the point that needs it.
    held = buckets.get(vault, NAME)
    destroy(vault, NAME)
    (result,) = drkit.ask("copy")["copies"]
    assert result["points"] == [newest]
    (left,) = result["left_out"]
    assert (left["point"], left["why"][:44]) == (oldest, "blobs that it needs cannot be had from the f")
    assert blobs_of(second) == blobs_of(vault)
    assert result["vault"]["blobs"] == len(blobs_of(vault))

    buckets.put(vault, NAME, held)
    (result,) = drkit.ask("copy")["copies"]
    assert result["points"] == [oldest]
    assert (result["vault"]["blobs"], result["vault"]["bytes"]) == (1, len(CONTENT))
    before = buckets.versions(second)
    (result,) = drkit.ask("copy")["copies"]
    assert (result["points"], result["there"], result["vault"]) == ([], 2, None)
    assert buckets.versions(second) == before, "no lease stays, and nothing is copied twice"
    assert [point["vault"] for point in copies.points(drkit)] == [f"s3://{second.bucket}/{second.prefix}"] * 2

    # After a copy that lost its lease when its points were there, all that they need is looked for again.
    (known,) = (drkit.state / "known").glob(f"{copies.OFFSITE}.*inventory*")
    unproven = known.with_name(".".join(known.name.split(".")[:2]) + ".unproven")
    assert not unproven.exists()
    unproven.touch()
    (result,) = drkit.ask("copy")["copies"]
    assert (result["points"], result["vault"]["blobs"], unproven.exists()) == ([], 0, False)

    # Each vault keeps what the points of its repositories need.
    drkit.config.write_text(drkit.config.read_text().replace("keep_last = 2", "keep_last = 1"))
    result = drkit.ask("expire", *ELSEWHERE)
    assert result["vault"]["blobs"] == 0, "the first repository still has the point"
    assert [each["locked"] for each in result["further_vaults"]] == [1], result["further_vaults"]

    shutil.rmtree(drkit.repository)
    shutil.rmtree(drkit.state)
    buckets.unmake(vault)
    verified = drkit.ask("verify", *ELSEWHERE, "--read-data-subset", "100%")["vault"]
    assert verified["bad"] == 0
    assert verified["where"].startswith(f"s3://{second.bucket}/")
    report = drkit.ask("drill", *ELSEWHERE)
    assert report["outcome"] == "passed"
    assert report["vault"].startswith(f"s3://{second.bucket}/")
    root = new_home()
    drkit.ask("restore", newest, *ELSEWHERE, "--only", "blobs", "--root", str(root), "--yes")
