"""Points whose blobs are in a vault: brought back into a directory or a bucket, drilled, verified."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import signal
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from psycopg import Connection

from drkit.blobs.vault.reading import WORKERS
from drkit.registry import storage
from testenv import Site
from testenv.s3_faults import Fault, Proxy
from tests import registry_server
from tests.bucket_points import PREFIX, Vaulted, blob_name, into_vault, section
from tests.buckets import Service
from tests.e2e import accounts
from tests.e2e.commands import Drkit, Ended, assert_error, clone, exactly, fails, finish, to_toml, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.test_interrupted import assert_tidy
from tests.e2e.test_serve import nothing_stays, pull, serving, tags


@pytest.fixture(scope="module")
def original(drilled: Drilled, site: Site, s3: Service, new_home: Callable[[], Path]) -> Iterator[Vaulted]:
    """Made once; to be read, or to be copied."""
    drkit = clone(drilled.drkit, new_home())
    yield into_vault(drkit, site.blobs, s3)
    shutil.rmtree(drkit.home)


def spoil(number: int, content: bytes) -> bytes | None:
    """The first blob has another last byte, the second is gone, the third is cut."""
    match number:
        case 0:
            return content[:-1] + bytes([content[-1] ^ 1])
        case 1:
            return None
        case 2:
            return content[:-1]
        case _:
            return content


@pytest.fixture
def spoilt(drilled: Drilled, site: Site, s3: Service, new_home: Callable[[], Path]) -> Iterator[Vaulted]:
    """One whose vault is damaged and keeps no versions."""
    made = into_vault(clone(drilled.drkit, new_home()), site.blobs, s3, versions=False, spoil=spoil)
    yield made
    shutil.rmtree(made.drkit.home)


@pytest.fixture
def drkit(original: Vaulted, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit of the test's own with that point."""
    made = clone(original.drkit, new_home())
    yield made
    shutil.rmtree(made.home)


def tree(root: Path) -> dict[str, str]:
    """What a registry has: name -> hash of content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "docker").rglob("*")
        if path.is_file() and "_uploads" not in path.parts
    }


def objects(service: Service, bucket: str, root: str) -> dict[str, str]:
    """The same of a bucket."""
    api, found = service.api(), {}
    for page in api.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", ()):
            content = api.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            found[each["Key"].removeprefix(f"{root}/")] = hashlib.sha256(content).hexdigest()
    return found


def test_into_a_directory(original: Vaulted, drkit: Drkit, site: Site) -> None:
    root = drkit.home / "root"
    words = ("restore", "latest", "--only", "blobs", "--root", str(root))
    plan = drkit.ask(*words, "--dry-run")
    (step,) = plan["steps"]
    assert step["source"] == original.manifest.bucket.vault.where  # type: ignore[union-attr]
    assert not root.exists()
    result = drkit.ask(*words, "--yes")
    (step,) = result["steps"]
    there = Path(step["target"])
    assert tree(there) == tree(site.blobs)
    assert accounts.files(there / "docker/registry/v2/repositories").keys()
    assert "every byte hashed on the way" in step["verified"]
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert any("chown -R 10000:10000" in warning for warning in result["warnings"])


def test_into_a_bucket_by_version(original: Vaulted, drkit: Drkit, site: Site, s3: Service) -> None:
    bucket = s3.bucket().bucket
    drkit.change(lambda d: d.update(blobs={"kind": "s3", "root": "harbor"} | section(s3, bucket, drkit.home)))
    s3.api().put_object(Bucket=original.vault, Key=original.inventory[3]["key"], Body=b"overwritten")
    words = ("restore", "latest", "--only", "blobs")
    (step,) = drkit.ask(*words, "--dry-run")["steps"]
    assert (step["present"], step["blocked"]) == ("nothing", False)
    (step,) = drkit.ask(*words, "--yes")["steps"]
    assert objects(s3, bucket, "harbor") == tree(site.blobs)
    assert "all listed again" in step["verified"]
    message = (
        rf"the target is not empty: image blobs \(objects, such as harbor/docker/.* at s3://{bucket}/.*\)"
    )
    hint = r"objects cannot be set aside: name another bucket or root in \[blobs\]; nothing was changed"
    fails(drkit, (*words, "--yes", "--replace"), 2, "target_not_empty", message, hint)


def test_a_directory_into_a_bucket(copy: Drkit, site: Site, s3: Service) -> None:
    bucket = s3.bucket().bucket

    def change(document: dict[str, Any]) -> None:
        document["blobs"] = {"kind": "s3"} | section(s3, bucket, copy.home)
        document["vault"] = section(s3, "nowhere", copy.home)

    copy.change(change)
    (step,) = copy.ask("restore", "latest", "--only", "blobs", "--yes")["steps"]
    assert objects(s3, bucket, "") == tree(site.blobs)
    assert "from the repository, every byte hashed before it was to be seen" in step["verified"]


def test_a_copy_of_the_vault_elsewhere_will_do(
    original: Vaulted, drkit: Drkit, site: Site, s3: Service
) -> None:
    bucket = s3.bucket().bucket
    for entry in original.inventory:
        name = blob_name(entry["digest"])
        s3.api().put_object(Bucket=bucket, Key=f"moved/{name}", Body=(site.blobs / name).read_bytes())
    drkit.change(lambda document: document["vault"].update(bucket=bucket, prefix="moved"))
    root = drkit.home / "root"
    result = drkit.ask("restore", "latest", "--only", "blobs", "--yes", "--root", str(root))
    assert tree(Path(result["steps"][0]["target"])) == tree(site.blobs)
    place = original.manifest.bucket.vault  # type: ignore[union-attr]
    assert (
        f"the blobs were taken from s3://{bucket}/moved at {s3.endpoint} and not from {place.where},"
        " where the point has them: by their digests, as they are there now"
    ) in result["warnings"]
    assert drkit.ask("verify")["vault"]["bad"] == 0


def check_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (check for check in report["checks"] if check["name"] == name)
    return dict(found)


def test_a_full_drill_reads_the_vault_by_version(original: Vaulted, drkit: Drkit, s3: Service) -> None:
    first, second, *_ = original.inventory
    api = s3.api()
    api.put_object(Bucket=original.vault, Key=first["key"], Body=b"overwritten")
    api.delete_object(Bucket=original.vault, Key=second["key"])
    report = drkit.ask("drill")
    assert report["outcome"] == "passed"
    assert report["vault"] == original.manifest.bucket.vault.where  # type: ignore[union-attr]
    detail = check_of(report, "blobs from the vault")["detail"]
    assert f"{len(original.inventory):,} blobs" in detail
    caught = {control["name"] for control in report["controls"] if control["caught"]}
    assert {"other bytes in the vault", "blob gone from the vault"} <= caught
    looked = drkit.ask("verify")["vault"]
    assert looked["bad"] == 0
    assert looked["hidden"] >= 2


def faults_of(spoilt: Vaulted) -> tuple[str, str, str]:
    first, second, third, *_ = spoilt.inventory
    return (
        rf"the bytes of {first['digest']} in the vault hash to sha256:[0-9a-f]{{64}}",
        f"{second['digest']} is gone from the vault",
        rf"{third['digest']} has {third['size'] - 1:,} bytes in the vault and should have {third['size']:,}",
    )


def test_damage_in_the_vault_fails_a_drill_with_a_verdict(spoilt: Vaulted) -> None:
    ended = spoilt.drkit.run("drill", "--json")
    assert ended.code == 5
    report = ended.envelope["result"]
    assert report["outcome"] == "failed"
    assert report["recovery_time_seconds"] is None, "not everything came back"
    found = check_of(report, "blobs from the vault")
    assert found["outcome"] == "failed"
    for pattern in faults_of(spoilt):
        assert re.search(pattern, found["detail"])
    # The others were still looked at.
    hashed = check_of(report, "blobs hash to their names")
    assert (hashed["outcome"], hashed["detail"].split()[0]) == ("passed", str(len(spoilt.inventory) - 3))
    assert check_of(report, "closure")["outcome"] == "failed"


def test_damage_in_the_vault_keeps_nothing_else_from_coming_back(
    spoilt: Vaulted, site: Site, s3: Service
) -> None:
    root, bucket = spoilt.drkit.home / "root", s3.bucket().bucket
    words = ("restore", "latest", "--only", "blobs", "--yes")
    into_directory, count = (*words, "--root", str(root)), len(spoilt.inventory)
    ended = spoilt.drkit.run(*into_directory, "--json")
    assert (ended.code, ended.error["kind"]) == (7, "restore_damaged")
    assert "3 blobs cannot be fetched" in ended.error["message"]
    assert ended.error["message"].startswith("everything else is back, but not all of the images: ")
    (step,) = ended.envelope["result"]["steps"]
    wanted = tree(site.blobs)
    for entry in spoilt.inventory[:3]:
        del wanted[str(blob_name(entry["digest"]))]
        assert entry["digest"] in ended.error["message"]
    assert tree(Path(step["target"])) == wanted
    assert list(root.rglob(".drkit-restoring-*")) == []

    elsewhere = spoilt.drkit.home / "elsewhere.toml"
    shutil.copy(spoilt.drkit.config, elsewhere)
    # By another name it is another service, which copies nothing by itself.
    other = s3.behind(s3.endpoint.replace("127.0.0.1", "localhost"))
    to_bucket = section(other, bucket, spoilt.drkit.home) | {"kind": "s3", "root": "harbor"}
    document = tomllib.loads(elsewhere.read_text()) | {"blobs": to_bucket}
    elsewhere.write_text(to_toml(document))
    ended = spoilt.drkit.run(*words, "--json", config=elsewhere)
    assert (ended.code, ended.error["kind"]) == (7, "restore_damaged")
    there = objects(s3, bucket, "harbor")
    assert there.pop(f".drkit-restoring-{spoilt.manifest.id}")
    assert there == wanted

    for entry in spoilt.inventory[:3]:
        content = (site.blobs / blob_name(entry["digest"])).read_bytes()
        s3.api().put_object(Bucket=spoilt.vault, Key=entry["key"], Body=content)
    (step,) = spoilt.drkit.ask(*into_directory, "--replace")["steps"]
    assert tree(Path(step["target"])) == tree(site.blobs)
    (step,) = spoilt.drkit.run(*words, "--json", config=elsewhere).result["steps"]
    assert f"{count - 3} of them were there already" in step["verified"]
    assert objects(s3, bucket, "harbor") == tree(site.blobs)


def test_images_are_served_from_the_vault(
    original: Vaulted, drkit: Drkit, site: Site, new_home: Callable[[], Path]
) -> None:
    with serving(drkit, "--listen", "127.0.0.1:0") as registry:
        for image in (*tags(site, "%image.manifest%"), *tags(site, "%image.index%")):
            for reference in (f":{image.tag}", f"@{image.digest}"):
                pull(f"{registry.place}/{image.repository}{reference}", new_home())
        ended = registry.end()
    assert (ended.code, ended.said) == (0, [])
    nothing_stays(drkit)


def test_one_image_comes_back_from_the_vault(
    original: Vaulted, drkit: Drkit, site: Site, new_home: Callable[[], Path]
) -> None:
    with registry_server.running(new_home()) as url:
        for image in (*tags(site, "%image.manifest%")[:1], *tags(site, "%image.index%")[:1]):
            reference = f"{image.repository}:{image.tag}"
            done = drkit.ask("restore", "latest", "--image", reference, "--to", url, "--yes")
            assert (done["tags"], done["lacking"]) == (1, [])
            pull(f"{url.partition('://')[2]}/{reference}", new_home())
    nothing_stays(drkit)


def owner(site: Site, digest: str) -> str:
    """A repository that has a blob."""
    top = site.blobs / storage.REPOSITORIES
    link = next(top.glob(f"**/sha256/{digest.removeprefix('sha256:')}/link"))
    return str(link.relative_to(top)).partition("/_")[0]


def test_wrong_blobs_of_the_vault_are_refused(spoilt: Vaulted, site: Site) -> None:
    """The first has another byte, the second is gone, the third is cut."""
    digests = [entry["digest"] for entry in spoilt.inventory[:3]]
    with serving(spoilt.drkit, "--listen", "127.0.0.1:0") as registry:
        for digest in digests:
            url = f"{registry.url}/v2/{owner(site, digest)}/blobs/{digest}"
            try:
                assert httpx.get(url, timeout=60).status_code == 500
            except httpx.RemoteProtocolError:
                assert digest != digests[1], "of that one there is nothing that could be sent"
        ended = registry.end()
    assert (ended.code, ended.complaint[0][:25]) == (7, "3 answers were refused: t")
    assert "2 damaged blobs" in json.dumps(spoilt.drkit.run("status", "--json").envelope)


def test_verify_compares_the_vault(original: Vaulted, drkit: Drkit) -> None:
    count, size = len(original.inventory), sum(entry["size"] for entry in original.inventory)
    found = drkit.ask("verify", "--read-data-subset", "100%")["vault"]
    assert (found["points"], found["blobs"], found["bytes"]) == (1, count, size)
    assert (found["read"], found["read_bytes"], found["bad"]) == (count, size, 0)


def of_vault(status: Any) -> dict[str, Any]:
    (found,) = (each for each in status["repositories"][0]["reread"] if each["kind"] == "vault")
    return dict(found)


def test_what_was_not_read_for_longest_is_read_first(original: Vaulted, drkit: Drkit) -> None:
    """In parts, until all was read; then the first part again."""
    drkit.change(lambda document: document.update(objectives={"reread": "90d"}))
    count, read = len(original.inventory), 0
    half = sum(entry["size"] for entry in original.inventory) // 2
    sizes = [int(drkit.ask("verify", "--bytes", f"{max(half >> 10, 1)}K")["vault"]["read"])]
    assert 0 < sizes[0] < count
    found = of_vault(drkit.run("status", "--json").envelope["result"])
    assert 0 < found["never_bytes"] < found["bytes"]
    assert found["items"] == count
    while (read := sum(sizes)) < count:
        sizes.append(int(drkit.ask("verify", "--bytes", f"{max(half >> 10, 1)}K")["vault"]["read"]))
        assert len(sizes) < 9
    assert read >= count
    found = of_vault(drkit.run("status", "--json").envelope["result"])
    assert (found["never_bytes"], found["overdue_bytes"], found["items"]) == (0, 0, count)
    # A drill brings back blobs of the same vault: they were read then.
    before = found["newest_at"]
    report = drkit.ask("drill")
    assert "vault" in [each["kind"] for each in report["reread"]]
    assert of_vault(drkit.run("status", "--json").envelope["result"])["newest_at"] > before


def test_what_is_damaged_is_said_until_it_was_read_and_right(spoilt: Vaulted) -> None:
    ended = spoilt.drkit.run("verify", "--for", "1h", "--json")
    assert (ended.code, ended.error["kind"]) == (7, "vault_damaged")
    found = of_vault(spoilt.drkit.run("status", "--json").envelope["result"])
    damaged = sum(entry["size"] for entry in spoilt.inventory[:3])
    assert found["wrong_bytes"] == pytest.approx(damaged, rel=0.001)
    assert found["oldest_seconds"] is None


def test_verify_names_what_is_wrong_in_the_vault(spoilt: Vaulted) -> None:
    _, second, third, *_ = spoilt.inventory
    gone, cut = (
        f"{second['digest']} is gone from the vault",
        f"{third['digest']} has {third['size'] - 1:,} bytes .*",
    )
    hint = "a new backup copies again what production still has; then run `drkit verify`"
    count = len(spoilt.inventory)
    program = fails(
        spoilt.drkit, ("verify",), 7, "vault_damaged",
        f"2 of {count} blobs in the vault cannot be restored: {gone}; {cut}", exactly(hint),
    )  # fmt: skip
    assert program.envelope["result"]["vault"]["bad"] == 2
    ended = spoilt.drkit.run("verify", "--read-data-subset", "100%", "--json")
    assert (ended.code, ended.error["kind"]) == (7, "vault_damaged")
    faults = "\n".join(ended.envelope["result"]["vault"]["faults"])
    for pattern in faults_of(spoilt):
        assert re.search(pattern, faults)


def test_a_vault_by_another_name_loses_nothing(original: Vaulted, drkit: Drkit, s3: Service) -> None:
    """Its service has got another name since the point was taken."""
    renamed = s3.endpoint.replace("127.0.0.1", "localhost")
    assert renamed != s3.endpoint
    drkit.change(lambda document: document["vault"].update(endpoint=renamed))
    found = drkit.ask("expire")["vault"]
    assert (found["blobs"], found["versions"], found["left_alone"]) == (0, 0, "")
    assert found["where"].endswith(renamed)


def test_without_a_vault_in_the_configuration(original: Vaulted, drkit: Drkit) -> None:
    drkit.change(lambda document: document.pop("vault"))
    place = original.manifest.bucket.vault  # type: ignore[union-attr]
    message = (
        f"the image blobs of this point are in the vault {place.where}, and the configuration has no [vault]"
    )
    hint = (
        f'write [vault] with bucket = "{place.bucket}", endpoint = "{place.endpoint}",'
        f' region = "{place.region}", prefix = "{place.prefix}" and a credentials_file that may read it'
    )
    for words in (("drill",), ("restore", "latest", "--dry-run", "--root", "/nowhere")):
        fails(drkit, words, 4, "config_error", exactly(message), exactly(hint))


def interrupted(drkit: Drkit, original: Vaulted, s3: Service, begun: int, *words: str) -> Ended:
    """Interrupted when so many of the vault's blobs were asked for and came, and one more that did not."""

    def blobs_asked_for() -> int:
        return sum(request.path.partition("?")[0].endswith("/data") for request in proxy.seen)

    told = threading.Event()
    with Proxy(s3.endpoint) as proxy:
        # From then on none comes, and nothing at all before drkit has been told to stop.
        where = f"GET /{original.vault}/{PREFIX}"
        proxy.add(Fault(where=where, skip=begun, times=10**6, hold=told, drop=True))
        drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
        process = drkit.start(*words, "--json")
        try:
            wait_for(lambda: blobs_asked_for() > begun or process.poll() is not None, "blobs are read")
            process.send_signal(signal.SIGINT)
        finally:
            told.set()
            ended = finish(process)
    assert ended.code == 130
    assert_error(ended, "interrupted", "interrupted", "")
    return ended


@pytest.mark.parametrize("work", ["restore", "drill"])
def test_interrupted_while_the_vault_is_read(
    original: Vaulted, drkit: Drkit, server: Connection, s3: Service, work: str
) -> None:
    words = {
        "restore": ("restore", "latest", "--only", "blobs", "--yes", "--root", str(drkit.home / "root")),
        "drill": ("drill",),
    }[work]
    interrupted(drkit, original, s3, len(original.inventory) // 3, *words)
    assert_tidy(drkit, server)
    left = [path.name for path in drkit.home.rglob(".drkit-restoring-*")]
    assert len(left) == (1 if work == "restore" else 0)


def test_a_verify_that_is_interrupted_keeps_what_it_has_read_of_the_vault(
    original: Vaulted, drkit: Drkit, server: Connection, s3: Service
) -> None:
    # All that are read at once may be under way still: only who has read one asks for one more.
    begun = len(original.inventory) - 1
    assert begun > WORKERS
    interrupted(drkit, original, s3, begun, "verify", "--for", "1h")
    found = of_vault(drkit.run("status", "--json").envelope["result"])
    assert found["items"] == len(original.inventory)
    assert 0 < found["never_bytes"] < found["bytes"]
    assert_tidy(drkit, server)
