"""Single images go back into a registry that runs, with all that belongs to them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import testenv
from drkit.registry import storage
from drkit.tools.registry import MANIFEST_TYPES
from drkit.tools.registry_http import referrers
from testenv import Site
from testenv.s3_faults import Fault, Proxy
from tests import needs, registry_server
from tests.e2e.commands import Drkit, assert_says
from tests.e2e.conftest import Drilled
from tests.e2e.repositories import locks
from tests.e2e.test_bad_input import only
from tests.e2e.test_images import known
from tests.e2e.test_serve import nothing_stays, pull, signatures, skopeo, tags


@pytest.fixture
def other(new_home: Callable[[], Path]) -> Iterator[str]:
    """An empty registry."""
    with registry_server.running(new_home()) as url:
        yield url


def place(url: str) -> str:
    return url.partition("://")[2]


def digest_of(url: str, repository: str, reference: str) -> str | None:
    accept = {"Accept": ", ".join(MANIFEST_TYPES)}
    answer = httpx.head(f"{url}/v2/{repository}/manifests/{reference}", headers=accept, timeout=60)
    return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None


def needs_blob(site: Site, digest: str, blob: str) -> bool:
    """Whether an image needs a blob, itself or by what it names."""
    data = storage.blob_path(site.blobs, digest).read_text()
    named = re.findall(r"sha256:[0-9a-f]{64}", json.dumps(json.loads(data).get("manifests", [])))
    return blob in data or any(needs_blob(site, each, blob) for each in named)


def restore(drkit: Drkit, pattern: str, *words: str) -> Any:
    return drkit.ask("restore", "latest", "--image", pattern, "--yes", *words)


def test_a_lost_repository_comes_back_and_its_signature_verifies(
    copy: Drkit, drilled: Drilled, site: Site, other: str, new_home: Callable[[], Path]
) -> None:
    (signature, *_) = signatures(site)
    repository = signature.repository
    images = {tag: digest for (name, tag), digest in known(site).items() if name == repository}
    first = restore(copy, repository, "--to", other)
    assert first["point"] == drilled.point
    assert first["tags"] == len(images)
    assert (first["lacking"], first["refused"]) == ([], [])
    for tag, digest in images.items():
        assert digest_of(other, repository, tag) == digest
        pull(f"{place(other)}/{repository}:{tag}", new_home())
    verified = subprocess.run(
        [needs.program("cosign"), "verify", "--insecure-ignore-tlog", "--allow-http-registry",
         "--key", str(site.cosign / "cosign.pub"), f"{place(other)}/{repository}@{signature.tag}"],
        capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(new_home())},
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    again = restore(copy, repository, "--to", other)
    assert {again[what] for what in ("manifests", "blobs", "bytes", "mounted", "tags")} == {0}
    assert again["present_tags"] == len(images)
    assert "Nothing to do" in copy.run("restore", "latest", "--image", repository, "--to", other).stdout
    assert locks(copy) == []
    assert list((copy.state / "runs").iterdir()) == []
    nothing_stays(copy)


def test_a_project_and_only_what_is_missing(
    copy: Drkit, site: Site, other: str, new_home: Callable[[], Path]
) -> None:
    project = "library"
    wanted = {each: digest for each, digest in known(site).items() if each[0].startswith(f"{project}/")}
    plan = copy.ask("restore", "latest", "--image", project, "--to", other, "--dry-run")
    assert httpx.get(f"{other}/v2/_catalog", timeout=60).json()["repositories"] == []
    done = restore(copy, project, "--to", other)
    assert (done["manifests"], done["tags"]) == (plan["manifests"], plan["tag_count"])
    assert done["blobs"] + done["mounted"] >= plan["blobs"]
    assert {each: digest_of(other, *each) for each in wanted} == wanted
    (repository, tag), digest = next(iter(wanted.items()))
    httpx.delete(f"{other}/v2/{repository}/manifests/{digest}", timeout=60).raise_for_status()
    assert digest_of(other, repository, tag) is None
    less = restore(copy, project, "--to", other)
    assert (less["manifests"], less["blobs"]) == (1, 0)
    assert digest_of(other, repository, tag) == digest
    pull(f"{place(other)}/{repository}:{tag}", new_home())


def test_an_index_with_its_children(
    copy: Drkit, site: Site, other: str, new_home: Callable[[], Path]
) -> None:
    (image, *_) = tags(site, "%image.index%")
    restore(copy, f"{image.repository}:{image.tag}", "--to", other)
    manifest = pull(f"{place(other)}/{image.repository}:{image.tag}", new_home())
    assert json.loads(manifest)["manifests"]


def test_a_tag_that_means_something_else_stays(copy: Drkit, site: Site, other: str) -> None:
    (first, *_) = tags(site, "%image.manifest%")
    second = next(
        (repository, tag)
        for (repository, tag), digest in known(site).items()
        if digest != first.digest and not tag.startswith("sha256-")
    )
    # Another image under the name of the first.
    restore(copy, f"{second[0]}:{second[1]}", "--to", other,
            "--rename", f"{second[0]}:{second[1]}={first.repository}:{first.tag}")  # fmt: skip
    now = digest_of(other, first.repository, first.tag)
    words = ("restore", "latest", "--image", f"{first.repository}:{first.tag}", "--to", other)
    for more in ((), ("--yes",), ("--dry-run",)):
        ended = copy.run(*words, *more)
        assert ended.code == 2
        assert ended.complaint == (
            f"1 tags mean another image at {other} now: {first.repository}:{first.tag}",
            "--replace moves them; --rename OLD=NEW restores beside them; nothing was changed",
        )
        assert digest_of(other, first.repository, first.tag) == now
    restore(copy, f"{first.repository}:{first.tag}", "--to", other, "--rename",
            f"{first.repository}:{first.tag}={first.repository}:restored")  # fmt: skip
    assert digest_of(other, first.repository, "restored") == first.digest
    assert digest_of(other, first.repository, first.tag) == now
    restore(copy, f"{first.repository}:{first.tag}", "--to", other, "--replace")
    assert digest_of(other, first.repository, first.tag) == first.digest


def test_into_a_directory(copy: Drkit, site: Site, new_home: Callable[[], Path]) -> None:
    directory = new_home()
    (image, *_) = tags(site, "%image.index%")
    pattern = f"{image.repository}:{image.tag}"
    copy.ask("restore", "latest", "--image", pattern, "--to", f"oci:{directory}", "--dry-run")
    assert not directory.exists()
    restore(copy, pattern, "--to", f"oci:{directory}")
    skopeo("copy", "--quiet", "--all", f"oci:{directory}:{pattern}", f"dir:{new_home()}")
    assert restore(copy, pattern, "--to", f"oci:{directory}")["blobs"] == 0


def test_with_a_password_that_is_asked_for(copy: Drkit, site: Site, new_home: Callable[[], Path]) -> None:
    (image, *_) = tags(site, "%image.manifest%")
    home = new_home()
    home.mkdir()
    file = home / "credentials"
    file.write_text(f"{registry_server.USER}:{registry_server.PASSWORD}\n")
    file.chmod(0o600)
    with (
        registry_server.token_service() as service,
        registry_server.running(home, auth=service.auth(home)) as url,
    ):
        words = ("restore", "latest", "--image", f"{image.repository}:{image.tag}", "--to", url, "--yes")
        refused = copy.run(*words)
        assert refused.code == 4
        assert "refuses a client without credentials" in refused.complaint[0]
        copy.change(lambda d: d.update(registry={"url": url, "credentials_file": str(file)}))
        ended = copy.run(
            "--verbose", "restore", "latest", "--image", f"{image.repository}:{image.tag}", "--yes"
        )
        assert ended.code == 0, ended
        assert registry_server.PASSWORD not in ended.stderr + ended.stdout
        file.chmod(0o644)
        assert copy.run(*words, "--credentials", str(file)).complaint[0].startswith("others may read")


def test_killed_in_the_middle_and_run_again(
    copy: Drkit, site: Site, other: str, new_home: Callable[[], Path]
) -> None:
    (image, *_) = tags(site, "%image.manifest%")
    pattern = f"{image.repository}:{image.tag}"
    with Proxy(other) as proxy:
        held, met = threading.Event(), threading.Event()

        def plan(request: Any) -> Fault | None:
            if request.method == "PUT" and "/manifests/" in request.path:
                met.set()
                return Fault(hold=held, drop=True)
            return None

        proxy.plan = plan
        process = copy.start("restore", "latest", "--image", pattern, "--to", proxy.endpoint, "--yes")
        assert met.wait(120)
        process.kill()
        process.communicate()
        held.set()
    assert digest_of(other, image.repository, image.tag) is None
    done = restore(copy, pattern, "--to", other)
    assert (done["blobs"] + done["mounted"], done["tags"]) == (0, 1)
    pull(f"{place(other)}/{image.repository}:{image.tag}", new_home())
    if os.geteuid() == 0:
        nothing_stays(copy)


def test_a_layer_that_production_has_damaged_is_not_pushed(copy: Drkit, site: Site, other: str) -> None:
    (image, *_) = tags(site, "%image.manifest%")
    manifest = json.loads(storage.blob_path(site.blobs, image.digest).read_bytes())
    layer = manifest["layers"][-1]["digest"]
    path = storage.blob_path(site.blobs, layer)
    sound, kept = path.read_bytes(), path.stat()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    try:
        copy.ask("backup")
    finally:
        path.write_bytes(sound)
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    wanted = {each: digest for each, digest in known(site).items() if each[0] == image.repository}
    ended = copy.run("restore", "latest", "--image", image.repository, "--to", other, "--yes")
    assert ended.code == 7
    assert f"and this was left out: the bytes of {layer} are others" in ended.complaint[0]
    assert digest_of(other, image.repository, image.tag) is None
    back = {each: digest for each, digest in wanted.items() if digest_of(other, *each)}
    assert back == {each: digest for each, digest in wanted.items() if not needs_blob(site, digest, layer)}
    assert back
    assert httpx.head(f"{other}/v2/{image.repository}/blobs/{layer}", timeout=60).status_code == 404


def test_a_child_that_the_point_lacks(copy: Drkit, site: Site, other: str) -> None:
    (image, *_) = tags(site, "%image.index%")
    index = json.loads(storage.blob_path(site.blobs, image.digest).read_bytes())
    child = index["manifests"][0]["digest"]
    link = site.blobs / f"docker/registry/v2/repositories/{image.repository}/_manifests/revisions/sha256"
    link = link / child.removeprefix("sha256:")
    aside = site.root / "aside"
    shutil.move(link, aside)
    try:
        copy.ask("backup")
    finally:
        shutil.move(aside, link)
    words = ("restore", "latest", "--image", f"{image.repository}:{image.tag}", "--to", other)
    plan = copy.ask(*words, "--dry-run")
    assert plan["lacking"] == [f"{image.repository}@{child} is not there"]
    ended = copy.run(*words, "--yes", "--json")
    assert ended.code == 7
    assert f"{image.repository}@{child} is not there" in ended.error["message"]
    assert digest_of(other, image.repository, image.tag) is None


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (
            ["--image", "library/ngnix"],
            4,
            '.*has no image that matches "library/ngnix"',
            "the nearest names .*",
        ),
        (["--image", "library", "--only", "blobs"], 2, "--only is not for --image", ".*"),
        (["--to", "https://r.example.test"], 2, "--to goes with --image alone", ".*"),
        (["--image", "library", "--rename", "x"], 2, '"x" is no renaming', "as in .*"),
        (
            ["--image", "library", "--to", "http://127.0.0.1:1"],
            7,
            "http://127.0.0.1:1 fails at .*",
            ".*",
        ),
        (["--image", "library", "--credentials", "/nowhere"], 4, "cannot read the credentials .*", ".*"),
        (["--image", "library"], 2, "there is no terminal to confirm the push", "give --yes, .*"),
    ],
)
def test_what_it_refuses(
    copy: Drkit, other: str, words: list[str], code: int, message: str, hint: str
) -> None:
    if "--to" not in words:
        words = [*words, "--to", other]
    ended = copy.run("restore", "latest", *words)
    assert ended.code == code, ended
    assert_says(ended.complaint[0], message)
    assert_says(ended.complaint[1], hint)
    assert httpx.get(f"{other}/v2/_catalog", timeout=60).json()["repositories"] == []
    assert list((copy.state / "runs").iterdir()) == []


def test_a_registry_that_is_full(copy: Drkit, site: Site, other: str) -> None:
    (image, *_) = tags(site, "%image.manifest%")
    with Proxy(other) as proxy:
        proxy.plan = lambda request: Fault(error=(413, "NO")) if request.method == "PUT" else None
        words = ("restore", "latest", "--image", f"{image.repository}:{image.tag}", "--to", proxy.endpoint)
        ended = copy.run(*words, "--yes")
    assert ended.code == 7
    assert_says(ended.complaint[0], "the registry refuses a layer of .*: 413")
    assert_says(ended.complaint[1], "raise the project's quota .*")
    assert restore(copy, f"{image.repository}:{image.tag}", "--to", other)["tags"] == 1


def test_a_tag_that_a_rule_makes_immutable(copy: Drkit, site: Site, other: str) -> None:
    """What is not refused comes back all the same."""
    repository = tags(site, "%image.manifest%")[0].repository
    images = {tag: digest for (name, tag), digest in known(site).items() if name == repository}
    refused = sorted(images)[0]
    with Proxy(other) as proxy:
        path = f"/v2/{repository}/manifests/{refused}"
        proxy.plan = lambda r: Fault(error=(412, "NO")) if (r.method, r.path) == ("PUT", path) else None
        ended = copy.run(
            "restore", "latest", "--image", repository, "--to", proxy.endpoint, "--yes", "--json"
        )
    assert ended.code == 7
    assert "but this was refused (1): the registry refuses " in ended.error["message"]
    assert ended.error["hint"].startswith("a rule makes the tag immutable")
    assert {tag: digest_of(other, repository, tag) for tag in images} == {**images, refused: None}


def test_of_a_plain_registry(fresh: Drkit, site: Site, other: str) -> None:
    fresh.change(only("blobs"))
    fresh.ask("backup")
    (signature, *_) = signatures(site)
    restore(fresh, signature.repository, "--to", other)
    assert digest_of(other, signature.repository, signature.tag) == signature.tag
    tag = f"{signature.tag.replace(':', '-')}.sig"
    assert digest_of(other, signature.repository, tag) == known(site)[signature.repository, tag]


def test_a_list_of_referrers_is_completed_and_never_cut(copy: Drkit, site: Site, other: str) -> None:
    """This registry keeps no such lists, so clients do: what somebody has signed since stays in one."""
    with testenv.connect(site) as connection:
        found = connection.execute(
            "SELECT subject_artifact_repo, subject_artifact_digest, digest FROM artifact_accessory"
            " WHERE type NOT LIKE 'signature.cosign' ORDER BY id LIMIT 1"
        ).fetchone()
    assert found is not None
    repository, subject, sbom = found
    address = f"{other}/v2/{repository}/manifests/{subject.replace(':', '-')}"

    def listed() -> list[dict[str, Any]]:
        answer = httpx.get(address, headers={"Accept": referrers.INDEX}, timeout=60)
        entries: list[dict[str, Any]] = answer.raise_for_status().json()["manifests"]
        return entries

    words = (f"{repository}@{subject}", "--to", other)
    assert restore(copy, *words)["lists"] == 1
    (entry,) = listed()
    assert entry["digest"] == sbom
    assert restore(copy, *words)["lists"] == 0
    newer = {**entry, "digest": subject, "artifactType": "application/x-newer"}
    data = referrers.completed([newer], [])
    headers = {"Content-Type": referrers.INDEX}
    httpx.put(address, content=data, headers=headers, timeout=60).raise_for_status()
    plan = copy.ask("restore", "latest", "--image", *words, "--dry-run")
    assert (plan["lists"], plan["tag_count"]) == (1, 0)
    assert restore(copy, *words)["lists"] == 1
    assert listed() == [newer, entry]
