"""Every runbook is followed to its end, on a practice registry in the very state that it is for.

What is run is what its blocks marked `sh` say, in their order, as somebody at a terminal would: questions are
answered with yes. Values that a reader has to set are set here as well.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

import testenv
from drkit.registry import storage
from drkit.reports.runbooks import NAMES
from drkit.tools.registry import MANIFEST_TYPES
from testenv import Site, damage
from tests.e2e import accounts
from tests.e2e.commands import PATIENCE, Drkit
from tests.e2e.conftest import initialise
from tests.e2e.test_drill_fails import put_back

_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_NEED, _DONE = "## You need this when", "## You are done when"


@dataclass(frozen=True)
class Practice:
    """A registry to break, a drkit with one drilled point of it, and what was there then."""

    site: Site
    drkit: Drkit
    database: dict[str, str]
    files: dict[str, str]

    def assert_back(self) -> None:
        """Everything is as it was when the point was taken."""
        assert accounts.database(self.site) == self.database
        assert present(self.site, self.drkit) == self.files


@pytest.fixture(scope="module")
def practice(place: Path, new_home: Callable[[], Path]) -> Iterator[Practice]:
    with ExitStack() as stack:
        site = testenv.create(place / "practice", testenv.TINY)
        stack.callback(testenv.destroy, site.root)
        drkit = Drkit(new_home())
        stack.callback(shutil.rmtree, drkit.home)
        initialise(drkit, site)
        drkit.ask("backup")
        drkit.ask("drill")
        yield Practice(site, drkit, accounts.database(site), present(site, drkit))


def present(site: Site, drkit: Drkit) -> dict[str, str]:
    """All files of images and secrets; of directories no times, for files come and go in them."""
    found = accounts.files(site.blobs, *accounts.protected(drkit))
    return {path: said.rpartition(" ")[0] if said.startswith("d") else said for path, said in found.items()}


def script(text: str, **choices: str) -> str:
    """The commands of a runbook, with the reader's own values; to be run by bash."""
    blocks = []
    for found in _BLOCK.finditer(text):
        block = textwrap.dedent(found[2])
        if text.find(_NEED) < found.start() < text.find("## Do this"):
            # What is looked at first is red, or not there: that is why one reads on.
            block = "".join(
                f"{line} || case $? in 5 | 7) ;; *) false ;; esac\n" for line in block.splitlines()
            )
        blocks.append(block)
    whole = "\n".join(["set -euxo pipefail", *blocks])
    for name, value in choices.items():
        whole, count = re.subn(rf"^{name}=.*$", f"{name}={shlex.quote(value)}", whole, flags=re.MULTILINE)
        assert count == 1, f"the runbook lets nobody choose {name}"
    return whole


def follow(drkit: Drkit, name: str, cwd: str = "/", **choices: str) -> str:
    """Follow a runbook; returns what its commands printed."""
    written = drkit.run("runbook", name)
    assert written.code == 0, written.stderr
    return do(drkit, written.stdout, cwd, **choices)


def do(drkit: Drkit, text: str, cwd: str = "/", **choices: str) -> str:
    """Do what a runbook says, with a terminal for its questions; returns what its commands printed."""
    programs = Path(sys.executable).parent
    master, terminal = pty.openpty()
    os.write(master, b"yes\n" * 20)
    try:
        ended = subprocess.run(
            ["bash", "-c", script(text, **choices)],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**drkit.surroundings, "PATH": f"{programs}:{os.environ['PATH']}"},
            timeout=2 * PATIENCE,
            check=False,
        )
    finally:
        os.close(master)
        os.close(terminal)
    assert ended.returncode == 0, ended.stdout[-6000:]
    return ended.stdout


def test_database_lost(practice: Practice) -> None:
    with testenv.connect(practice.site) as connection:
        connection.execute("DROP TABLE artifact CASCADE")
        connection.execute("DELETE FROM tag")
    follow(practice.drkit, "database-lost")
    practice.assert_back()


def test_images_lost(practice: Practice) -> None:
    shutil.rmtree(practice.site.blobs / "docker/registry/v2/blobs")
    follow(practice.drkit, "images-lost")
    practice.assert_back()


def test_image_deleted(practice: Practice, tmp_path: Path) -> None:
    site = practice.site
    tree = site.blobs / storage.TREE
    subprocess.run(["cp", "-a", tree, tmp_path / "tree"], check=True)
    practice.drkit.change(lambda document: document.update(registry={"url": site.registry_url}))
    (repository, digest) = damage.images_of(site)[0]
    address = f"{site.registry_url}/v2/{repository}/manifests/{digest}"
    accept = {"Accept": ", ".join(MANIFEST_TYPES)}
    httpx.delete(address, timeout=60).raise_for_status()
    assert httpx.get(address, headers=accept, timeout=60).status_code == 404
    said = follow(practice.drkit, "image-deleted", IMAGE=f"{repository}@{digest}")
    assert httpx.get(address, headers=accept, timeout=60).status_code == 200
    assert "To push: 0 manifests, 0 layers" in said.rpartition("--dry-run")[2]
    # Pushed again, its links have the time of today, and there is a list of what refers to it.
    shutil.rmtree(tree)
    subprocess.run(["cp", "-a", tmp_path / "tree", tree], check=True)


def test_secrets_lost(practice: Practice) -> None:
    (practice.site.data / "secret/keys/secretkey").unlink()
    damage.replace_tls_key(practice.site)
    follow(practice.drkit, "secrets-lost")
    practice.assert_back()


def test_bad_upgrade(practice: Practice) -> None:
    with testenv.connect(practice.site) as connection:
        connection.execute("UPDATE schema_migrations SET version = 999")
        connection.execute("ALTER TABLE artifact ADD COLUMN new_one text")
    practice.site.harbor_yml.write_text("hostname: rewritten.example.test\n")
    follow(practice.drkit, "bad-upgrade")
    practice.assert_back()


def test_drill_failed(practice: Practice) -> None:
    (_, digest) = damage.images_of(practice.site)[0]
    (layer, *_) = damage.layers_of(practice.site, digest)
    with put_back(damage.blob_path(practice.site, layer)):
        damage.flip_byte(practice.site, layer)
        practice.drkit.ask("backup")
        assert practice.drkit.run("drill").code == 5
    assert practice.drkit.run("status").code == 5
    follow(practice.drkit, "drill-failed")


def test_quarterly_drill(practice: Practice, tmp_path: Path) -> None:
    follow(practice.drkit, "quarterly-drill", REPORTS=str(tmp_path))
    assert [path.name.split("-")[-1] for path in sorted(tmp_path.iterdir())] == ["newest", "oldest"]


def test_total_loss(practice: Practice, tmp_path: Path) -> None:
    """And drkit with it; the repository, its password and an identity were kept elsewhere."""
    drkit, home = practice.drkit, practice.drkit.home
    text = drkit.run("runbook", "total-loss").stdout
    kept = {"PASSWORD": drkit.restic_password, "IDENTITY": drkit.identity}
    if "\n   DATABASE_PASSWORD=" in text:
        kept["DATABASE_PASSWORD"] = practice.site.password_file
    choices = {name: str(shutil.copy(file, tmp_path / name)) for name, file in kept.items()}
    before = drkit.config.read_bytes()
    lost(practice)
    for path in home.iterdir():
        if path == drkit.state:
            shutil.rmtree(path)
        elif path != drkit.repository:
            path.unlink()
    do(drkit, text, **choices)
    assert drkit.config.read_bytes() == before
    practice.assert_back()


def test_key_compromised(practice: Practice, tmp_path: Path) -> None:
    new = tmp_path / "new.agekey"
    follow(practice.drkit, "key-compromised", NEW=str(new))
    opened = practice.drkit.run("keys", "check", "--identity", str(new), "--json")
    assert opened.code == 0
    old = practice.drkit.run("keys", "check", "--identity", str(practice.drkit.identity), "--json")
    assert old.code != 0, "what leaked opens nothing any more"
    # The next one finds a key that drills use.
    shutil.copy(new, practice.drkit.identity)


def test_ransomware(practice: Practice) -> None:
    """The newest point has what was encrypted; the one from before the break-in is proven."""
    before = practice.drkit.sealed()[0]
    (_, digest) = damage.images_of(practice.site)[0]
    (layer, *_) = damage.layers_of(practice.site, digest)
    with put_back(damage.blob_path(practice.site, layer)):
        damage.flip_byte(practice.site, layer)
        practice.drkit.ask("backup")
        follow(practice.drkit, "ransomware", POINT=before)
    assert practice.drkit.ask("show", before)["drills"][-1]["outcome"] == "passed"


def test_moving(practice: Practice, tmp_path: Path) -> None:
    site = practice.site
    dsn = f"host=127.0.0.1 port={site.database_port} user=postgres dbname=moved"
    follow(practice.drkit, "moving", ROOT=str(tmp_path), DSN=dsn)
    moved = accounts.database(replace(site, database_name="moved"))
    assert {name.replace("moved", "registry"): said for name, said in moved.items()} == practice.database
    files = accounts.files(Path(f"{tmp_path}{site.blobs}"))
    assert {p.removeprefix(str(tmp_path)): said for p, said in files.items()} == accounts.files(site.blobs)


def test_break_glass(practice: Practice, tmp_path: Path) -> None:
    site = practice.site
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(site.database_port), "PGUSER": "postgres"}
    # Another site's is newer in the same repository.
    (tmp_path / "recover.sh").write_text("exit 1")
    tags = "drkit:site:another,drkit:manifest"
    practice.drkit.restic("backup", "--tag", tags, str(tmp_path / "recover.sh"))
    (tmp_path / "recover.sh").unlink()
    lost(practice)
    bare = practice.drkit.in_environment(**place, PGPASSFILE=str(pgpass(site, tmp_path)))
    follow(bare, "break-glass", cwd=str(tmp_path))
    practice.assert_back()


def lost(practice: Practice) -> None:
    """Database, images and secrets are gone."""
    with testenv.connect(practice.site, "postgres") as connection:
        connection.autocommit = True
        connection.execute("DROP DATABASE registry WITH (FORCE)")
    shutil.rmtree(practice.site.blobs)
    for path in accounts.protected(practice.drkit):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def pgpass(site: Site, directory: Path) -> Path:
    """The superuser's password as libpq's programs read it."""
    file = directory / "pgpass"
    password = re.sub(r"([\\\\:])", r"\\\1", site.password_file.read_text().strip())
    file.write_text(f"*:*:*:*:{password}\n")
    file.chmod(0o600)
    return file


def test_every_runbook_is_followed() -> None:
    """A runbook whose commands nobody runs is a guess."""
    followed = set(re.findall(r'(?:follow\(|"runbook", )[^"]*"([a-z-]+)"', Path(__file__).read_text()))
    assert followed == set(NAMES)
