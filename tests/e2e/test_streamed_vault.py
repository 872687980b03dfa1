"""Where no disk can hold the blobs of a vault, a full drill reads them as a stream, and serves its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testenv import Site
from testenv.s3_faults import Fault, Proxy, Request
from tests.bucket_points import Vaulted, into_vault
from tests.buckets import Service
from tests.e2e import gates, processes
from tests.e2e.commands import clone, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.test_drill_fails import detail, failed_drill
from tests.e2e.test_killed import kill_at, nothing_survives
from tests.e2e.test_streamed import without_room_for_images


@pytest.fixture
def vaulted(
    drilled: Drilled, site: Site, s3: Service, new_home: Callable[[], Path], root_only: None
) -> Iterator[Vaulted]:
    made = into_vault(clone(drilled.drkit, new_home()), site.blobs, s3)
    yield made
    shutil.rmtree(made.drkit.home)


def mounts(place: Path) -> list[str]:
    """What is mounted below a directory."""
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in table if line.split()[4].startswith(f"{place}/")]


def servers(place: Path) -> list[processes.Process]:
    """The registries whose files are below a directory."""
    every = [each for each in processes.everybody() if each.program == "docker-registry"]
    return [each for each in every if str(place) in " ".join(each.words)]


def write_over(vaulted: Vaulted) -> None:
    """Other bytes under every key; every third blob is there in another version than that which is named."""
    api, bucket = vaulted.service.api(), vaulted.vault
    for number, entry in enumerate(vaulted.inventory):
        key, version = entry["key"], entry["version"]
        if number % 3 == 0:
            content = api.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()
            api.put_object(Bucket=bucket, Key=key, Body=content)
            api.delete_object(Bucket=bucket, Key=key, VersionId=version)
        api.put_object(Bucket=bucket, Key=key, Body=b"encrypted; pay here")


def test_it_passes_by_the_versions_that_are_right_also_after_a_kill(vaulted: Vaulted, place: Path) -> None:
    drkit = vaulted.drkit
    write_over(vaulted)
    with without_room_for_images(drkit, place) as narrow:
        kill_at(gates.registry_serves(drkit), "drill")
        (left,) = (path.name for path in narrow.iterdir() if path.suffix != ".cache")
        nothing_survives(drkit)
        assert len(mounts(narrow)) == 1
        result = drkit.ask("drill")
        assert (result["outcome"], result["streamed"]) == ("passed", True)
        assert f"removed the sandbox that the killed drill {left} left" in result["problems"]
        assert mounts(narrow) == []
        assert vaulted.vault in result["vault"]
        said = {one["subject"]: one["said"] for one in result["unproved"]}
        assert "every blob was read from the vault once" in said["Restoring the images to a disk"]
        assert result["recovery_time_seconds"] is None
        assert "rto" not in [objective["name"] for objective in result["objectives"]]
        assert {"read blobs", "mount the vault"} <= {stage["name"] for stage in result["stages"]}
        checks = {check["name"]: check["detail"] for check in result["checks"]}
        assert "tags pulled by digest" in checks["tags can be pulled"]
        assert f"{len(vaulted.inventory):,} blobs" in checks["blobs hash to their names"]
        assert all(control["caught"] for control in result["controls"])
        assert result["unplanted"] == []
    assert processes.survivors(drkit.home) == []


def spoil(number: int, content: bytes) -> bytes | None:
    """The first blob has another byte, the second is gone."""
    match number:
        case 0:
            return content[:-1] + bytes([content[-1] ^ 1])
        case 1:
            return None
        case _:
            return content


def test_a_damaged_and_a_missing_blob_fail_it_by_name(
    drilled: Drilled, site: Site, s3: Service, place: Path, new_home: Callable[[], Path], root_only: None
) -> None:
    spoilt = into_vault(clone(drilled.drkit, new_home()), site.blobs, s3, versions=False, spoil=spoil)
    first, second = (entry["digest"] for entry in spoilt.inventory[:2])
    with without_room_for_images(spoilt.drkit, place) as narrow:
        ended = failed_drill(
            spoilt.drkit, "tags can be pulled", "closure", "blobs from the vault", "manifests resolve"
        )
        assert mounts(narrow) == []
    assert ended.envelope["result"]["streamed"]
    told = detail(ended, "blobs from the vault")
    assert f"the bytes of {first} in the vault hash to sha256:" in told
    assert f"{second} is gone from the vault" in told
    for digest in (first, second):
        assert digest in detail(ended, "closure")


def test_a_vault_that_goes_away_says_nothing_against_the_point(vaulted: Vaulted, place: Path) -> None:
    drkit = vaulted.drkit
    with Proxy(vaulted.service.endpoint) as proxy, without_room_for_images(drkit, place) as narrow:
        drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
        gate = gates.server_ready(drkit)
        process = gate.drkit.start("drill", "--json")
        try:
            gate.wait(process)
            wait_for(lambda: bool(servers(narrow)), "the registry is started")
            proxy.plan = _refused
            gate.open()
            said, _ = process.communicate()
        finally:
            process.kill()
            process.communicate()
        assert mounts(narrow) == []
    result = json.loads(said)["result"]
    assert (process.returncode, result["outcome"]) == (6, "error")
    stuck = {check["name"]: check["detail"] for check in result["checks"] if check["outcome"] == "error"}
    assert "AccessDenied" in stuck["tags can be pulled"]
    assert [check["name"] for check in result["checks"] if check["outcome"] == "failed"] == []


def _refused(request: Request) -> Fault | None:
    return Fault(error=(403, "AccessDenied")) if "/data" in request.path else None
