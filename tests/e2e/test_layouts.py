"""zot's images from zot's own configuration to a drill, a restore and a recovery without drkit.

The tree is one that zot has made; that zot serves what comes back is tried by testenv/registries.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import layouts, needs, plain
from tests.e2e.commands import Drkit
from tests.layouts import Layouts


@pytest.fixture(scope="module")
def drkit(new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """One with a recovery point of what zot has made."""
    made = Drkit(new_home())
    made.home.mkdir()
    root = layouts.unpack(made.home)
    file = made.home / "config.json"
    file.write_text(json.dumps({"storage": {"rootDirectory": str(root)}, "http": {"port": "5000"}}))
    words = ("init", "--registry", str(file), "--repository", str(made.repository))
    found = made.ask(*words, "--state", str(made.state))
    assert (found["blobs"], found["secret_paths"]) == (str(root), [str(file)])
    assert "drill_quick" not in made.config.read_text(), "it would need a database"
    assert made.ask("backup")["closure"]["manifests"]["manifests"] == 8
    yield made
    shutil.rmtree(made.home)


def same(one: Path, other: Path) -> bool:
    """Whether two root directories have the same repositories: uploads and zot's cache aside."""
    left_out = [".uploads", "cache.db"]
    found = filecmp.dircmp(one, other, ignore=left_out)
    return (
        not (found.left_only or found.right_only or found.funny_files or found.diff_files)
        and not filecmp.cmpfiles(one, other, found.common_files, shallow=False)[1]
        and all(same(one / name, other / name) for name in found.common_dirs)
    )


def test_it_is_doctored_shown_and_drilled(drkit: Drkit) -> None:
    found = [each["name"] for each in drkit.ask("doctor")["findings"] if each["state"] == "warning"]
    assert ("zot" in found) is (shutil.which("zot") is None)
    shown = drkit.ask("show", "latest", "--images", "team/app:v1")
    assert [(each["repository"], each["tag"]) for each in shown["images"]] == [("team/app", "v1")]
    drilled = drkit.ask("drill")
    assert drilled["outcome"] == "passed"
    outcomes = {check["kind"]: check["outcome"] for check in drilled["checks"]}
    pulled = "passed" if shutil.which("zot") else "not_provable"
    assert outcomes.pop("tags") == pulled
    assert set(outcomes.values()) == {"passed"}
    assert {"tree", "blobs", "closure", "manifests", "tag_list", "digests"} <= set(outcomes)
    assert all(control["caught"] for control in drilled["controls"])
    unproved = [said["subject"] for said in drilled["unproved"]]
    assert ("tags can be pulled" in unproved) is (pulled == "not_provable")


def test_it_comes_back_as_it_was(drkit: Drkit, tmp_path: Path) -> None:
    drkit.ask("restore", "latest", "--only", "blobs", "--root", str(tmp_path), "--yes")
    back = tmp_path / str(drkit.home / "zot").lstrip("/")
    assert same(back, drkit.home / "zot")
    inodes = {path.stat().st_ino for path in back.rglob("04d9a7b46f34*")}
    assert len(inodes) == 1, "what was one file with two names is one again"


def test_it_comes_back_without_drkit(drkit: Drkit, tmp_path: Path) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "RESTIC_REPOSITORY": str(drkit.repository),
        "RESTIC_PASSWORD_FILE": str(drkit.restic_password),
        "HOME": str(tmp_path),
    }
    (seal,) = {part["snapshot"] for part in drkit.ask("show", "latest")["parts"] if part["kind"] == "tags"}
    words = [needs.program("restic"), "-q", "restore", seal, "--target", str(tmp_path / "seal")]
    subprocess.run(
        [*words, "--include", "recover.sh", "--include", "digests.jsonl"], check=True, env=environment
    )
    script = next((tmp_path / "seal").rglob("recover.sh"))
    target = tmp_path / "back"
    words = ["sh", str(script), "--only", "blobs", "--root", str(target), "--yes"]
    done = subprocess.run(words, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "16 blobs, each hashes to its name" in done.stdout
    assert same(target / str(drkit.home / "zot").lstrip("/"), drkit.home / "zot")


def test_it_is_neither_served_nor_audited(drkit: Drkit) -> None:
    for words, hint in ((["serve", "latest"], "skopeo copy oci:"), (["audit"], "zot scrub")):
        ended = drkit.run(*words)
        assert ended.code == 4
        assert "are OCI layouts" in ended.complaint[0]
        assert hint in ended.complaint[1]


def test_secrets_in_the_root_directory_come_back_into_it(drkit: Drkit, new_home: Callable[[], Path]) -> None:
    """The images' directory is set aside as a whole: what was put there before would go with it."""
    own = Drkit(new_home())
    shutil.copytree(drkit.home, own.home, symlinks=True)
    own.config.write_text(own.config.read_text().replace(f"{drkit.home}/", f"{own.home}/"))
    trusted = own.home / "zot/_cosign/key.pub"
    trusted.parent.mkdir()
    trusted.write_text("a key")
    own.change(lambda document: document["secrets"]["paths"].append(str(trusted.parent)))
    own.ask("backup")
    for _ in ("over what is there", "and once more"):
        own.ask("restore", "latest", "--yes", "--replace")
        assert trusted.read_text() == "a key"
        assert same(own.home / "zot/team", drkit.home / "zot/team")
    shutil.rmtree(own.home)


def test_damage_of_production_is_told_and_fails_the_drill(drkit: Drkit, new_home: Callable[[], Path]) -> None:
    own = Drkit(new_home())
    shutil.copytree(drkit.home, own.home, symlinks=True)
    own.config.write_text(own.config.read_text().replace(f"{drkit.home}/", f"{own.home}/"))
    tree = Layouts(own.home / "zot")
    tree.image("app", "v1", b"a layer that is lost")
    layer = plain.sha256(b"a layer that is lost")
    tree.blob_path("app", layer).unlink()
    found = own.ask("backup")
    assert found["closure"]["missing"] == 1
    (warning,) = [said for said in found["warnings"] if "production is damaged" in said]
    assert warning.startswith("production is damaged: 1 blobs that are referred to are missing"), (
        "by no database"
    )
    ended = own.run("drill", "--json")
    assert (ended.code, ended.error["kind"]) == (5, "drill_failed")
    (closure,) = [each for each in ended.envelope["result"]["checks"] if each["kind"] == "closure"]
    assert closure["detail"] == f"1 faults: app@{layer} is missing"
    shutil.rmtree(own.home)
