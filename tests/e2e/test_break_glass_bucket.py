"""A bucket's point comes back by what stands in its repository and in its vault, without drkit."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from drkit.checks.manifests import images_in
from drkit.model import utc_now
from drkit.registry.storage import blob_name
from testenv import Site
from tests import needs
from tests.bucket_points import PREFIX, Vaulted, into_vault
from tests.buckets import Service
from tests.e2e.commands import clone, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.test_break_glass import UNIX, every_image_is_served
from tests.e2e.test_bucket_points import tree


@dataclass(frozen=True)
class Bare:
    """A machine with a few programs on its PATH, a repository and a vault."""

    vaulted: Vaulted
    home: Path

    def run(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script for the blobs alone, below `root`."""
        drkit, service = self.vaulted.drkit, self.vaulted.service
        surroundings = {
            "PATH": str(self.home / "bin"),
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "RESTIC_REPOSITORY": str(drkit.repository),
            "RESTIC_PASSWORD_FILE": str(drkit.restic_password),
            "RCLONE_S3_ACCESS_KEY_ID": service.credentials["AWS_ACCESS_KEY_ID"],
            "RCLONE_S3_SECRET_ACCESS_KEY": service.credentials["AWS_SECRET_ACCESS_KEY"],
            **environment,
        }
        command = [str(self.home / "bin/sh"), str(self.home / "recover.sh"), "--only", "blobs"]
        return subprocess.run(
            [*command, "--root", str(self.home / "root"), *map(str, words)], env=surroundings, cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip

    @property
    def root(self) -> Path:
        return self.home / "root/registry"


@pytest.fixture
def vaulted(drilled: Drilled, site: Site, s3: Service, new_home: Callable[[], Path]) -> Iterator[Vaulted]:
    made = into_vault(clone(drilled.drkit, new_home()), site.blobs, s3)
    yield made
    shutil.rmtree(made.drkit.home)


@pytest.fixture(params=["dash", "busybox"])
def bare(request: pytest.FixtureRequest, vaulted: Vaulted, new_home: Callable[[], Path]) -> Iterator[Bare]:
    home = new_home()
    for directory in (home, home / "bin", home / "tmp"):
        directory.mkdir()
    shell = Path(needs.program(request.param))
    for name in UNIX:
        busy = request.param == "busybox"
        (home / "bin" / name).symlink_to(shell if busy or name == "sh" else needs.program(name))
    for name in ("restic", "rclone", "tar"):
        (home / "bin" / name).symlink_to(needs.program(name))
    script = vaulted.drkit.restic("dump", "--tag", "drkit:manifest", "latest", "/recover.sh")
    (home / "recover.sh").write_text(script)
    yield Bare(vaulted, home)
    shutil.rmtree(home)


def test_images_come_back_from_the_vault_and_are_served(bare: Bare, site: Site, s3: Service) -> None:
    """Also those that were deleted or written over meanwhile: their versions are there."""
    first, second, third, *_ = bare.vaulted.inventory
    api, vault = s3.api(), bare.vaulted.vault
    refused = bare.run("--list", RCLONE_S3_ENDPOINT="http://127.0.0.1:9")
    assert refused.returncode == 1
    assert "cannot read the vault" in refused.stderr
    # Services tell whole seconds.
    settled = bare.vaulted.manifest.finished_at + timedelta(seconds=2)
    wait_for(lambda: utc_now() > settled, "what is spoilt now is younger than the point")
    api.put_object(Bucket=vault, Key=first["key"], Body=b"other")
    api.put_object(Bucket=vault, Key=third["key"], Body=bytes(third["size"]))
    api.delete_object(Bucket=vault, Key=second["key"])
    looked = bare.run("--list")
    assert looked.returncode == 0, looked.stderr
    assert f"image blobs from s3://{vault}/{PREFIX} at {s3.endpoint} to {bare.root}" in looked.stdout
    assert not bare.root.exists()

    ended = bare.run("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "3 blobs are gone from the vault or wrong: tries their versions of 20" in ended.stderr
    assert f"{len(bare.vaulted.inventory)} blobs, each hashes to its name" in ended.stdout
    assert "chown -R 10000:10000" in ended.stderr
    assert tree(bare.root) == tree(site.blobs)
    assert [path.name for path in bare.root.parent.iterdir()] == ["registry"]
    assert list((bare.home / "tmp").iterdir()) == []
    images = [(image.repository, image.digest) for image in images_in(bare.root)]
    every_image_is_served(bare.root, bare.home, images)


@pytest.mark.parametrize("bare", ["dash"], indirect=True)
def test_a_copy_of_the_vault_in_a_directory_will_do(bare: Bare, site: Site, tmp_path: Path) -> None:
    shutil.copytree(site.blobs / "docker", tmp_path / PREFIX / "docker")
    lost = bare.vaulted.inventory[0]
    path = tmp_path / lost["key"]
    content = path.read_bytes()
    path.write_bytes(bytes(len(content)))
    damaged = bare.run("--yes", VAULT=str(tmp_path))
    assert damaged.returncode == 1
    assert f"damaged: ./sha256/{lost['digest'][7:9]}/{lost['digest'][7:]}/data" in damaged.stderr
    assert "1 blobs cannot be fetched from the vault" in damaged.stderr
    assert tree(bare.root).keys() == tree(site.blobs).keys() - {str(blob_name(lost["digest"]))}
    shutil.rmtree(bare.root)
    path.write_bytes(content)
    ended = bare.run("--yes", VAULT=str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert tree(bare.root) == tree(site.blobs)
