"""The whole loop by somebody who is not root: everything belongs to him, and nothing needs more."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import testenv
from testenv import Site
from tests import needs
from tests.e2e import accounts, processes
from tests.e2e.commands import Drkit
from tests.e2e.conftest import initialise
from tests.e2e.test_serve import serving

_USER = "drkit-e2e"
_TOP = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def account(root_only: None) -> Iterator[pwd.struct_passwd]:
    """A user of the tests' own; one that killed tests have left goes first."""
    subprocess.run(["userdel", _USER], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", _USER], check=True)
    yield pwd.getpwnam(_USER)
    subprocess.run(["userdel", _USER], check=True)


def as_user(account: pwd.struct_passwd) -> tuple[str, ...]:
    """What to put before a command."""
    return ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--")


@pytest.fixture(scope="module")
def python(account: pwd.struct_passwd) -> tuple[str, dict[str, str]]:
    """A Python that the user may run, and the environment that lets it find drkit."""
    paths = {"PYTHONPATH": ":".join([str(_TOP), *(p for p in sys.path if p.endswith("site-packages"))])}
    environment = {"PATH": os.environ["PATH"], **paths}

    def works(program: str) -> bool:
        command = [*as_user(account), program, "-c", "import drkit.cli.main, psycopg, pyrage"]
        done = subprocess.run(command, env=environment, cwd="/", check=False, capture_output=True)
        return done.returncode == 0

    program = next(filter(works, (sys.executable, "/usr/bin/python3")), None)
    return program or needs.missing("no Python with drkit in it is there for everybody"), paths


@pytest.fixture(scope="module")
def his(account: pwd.struct_passwd, place: Path) -> Iterator[Path]:
    """A directory of his own, which nobody else may enter."""
    directory = place / "his"
    directory.mkdir(mode=0o700)
    os.chown(directory, account.pw_uid, account.pw_gid)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def his_site(account: pwd.struct_passwd, python: tuple[str, dict[str, str]], his: Path) -> Iterator[Site]:
    """A registry that he runs himself."""
    program, paths = python
    environment = {"PATH": os.environ["PATH"], "HOME": str(his), **paths}

    def testenv_command(*words: str) -> None:
        command = [*as_user(account), program, "-m", "testenv", *words, "--directory", str(his / "site")]
        subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True, timeout=240)

    # The scripts behind up and down install what is missing; the module does not.
    testenv_command("up", "--size", "tiny")
    description = json.loads((his / "site/testenv.json").read_text())
    del description["complete"]
    yield Site(**{**description, "root": his / "site"})
    testenv_command("down")


@pytest.fixture(scope="module")
def drkit(account: pwd.struct_passwd, python: tuple[str, dict[str, str]], his: Path, his_site: Site) -> Drkit:
    """His drkit, with an empty repository."""
    program, paths = python
    made = Drkit(his / "drkit", environment=paths, prefix=as_user(account), python=program)
    made.home.mkdir()
    os.chown(made.home, account.pw_uid, account.pw_gid)
    initialise(made, his_site)
    return made


def test_the_whole_loop(account: pwd.struct_passwd, drkit: Drkit, his_site: Site) -> None:
    tops = (his_site.blobs, *accounts.protected(drkit))
    before = accounts.database(his_site), accounts.files(*tops), accounts.served(his_site)
    assert drkit.ask("doctor")["problems"] == 0
    assert drkit.ask("backup")["status"] == "sealed"
    for what in ("database", "blobs", "secrets"):
        testenv.lose(his_site, what)
    result = drkit.ask("restore", "latest", "--yes")
    assert any("only root can give files away" in warning for warning in result["warnings"])
    assert (accounts.database(his_site), accounts.files(*tops), accounts.served(his_site)) == before
    assert drkit.ask("drill")["outcome"] == "passed"
    assert drkit.run("status").code == 0
    assert drkit.ask("expire")["kept"] == 1
    assert list(drkit.sandboxes.iterdir()) == []
    # The test itself, which is root, has rewritten the repository's key.
    made = [path for path in drkit.home.rglob("*") if path.parent.name != "keys"]
    owners = {path.stat().st_uid for path in made}
    assert owners == {account.pw_uid}


@pytest.fixture
def for_all(root_only: None) -> Iterator[Path]:
    """FUSE's device as udev leaves it on an ordinary machine."""
    device = Path("/dev/fuse")
    mode = device.stat().st_mode & 0o777
    device.chmod(0o666)
    yield device
    device.chmod(mode)


def test_a_registry_that_is_killed_leaves_a_mount_for_the_next_backup(drkit: Drkit, for_all: Path) -> None:
    """He has no mount namespace of his own: what restic has mounted stays when it is killed."""
    drkit.ask("backup")
    for_all.chmod(0o600)
    assert drkit.run("serve").complaint[0] == f"this user may not open {for_all}"
    for_all.chmod(0o666)
    with serving(drkit, "--listen", "127.0.0.1:0") as registry:
        assert httpx.get(f"{registry.url}/v2/_catalog", timeout=60).json()["repositories"]
        assert registry.end().code == 0
    assert mounts(drkit) == []
    with serving(drkit, "--listen", "127.0.0.1:0") as registry:
        # setpriv, which makes us him, becomes drkit.
        registry.process.kill()
        registry.process.communicate()
    assert len(mounts(drkit)) == 1
    processes.survivors(drkit.home)
    processes.bury()
    (left,) = (path.name for path in (drkit.state / "runs").iterdir())
    assert drkit.ask("backup")["swept"] == [f"removed what the killed run {left} left"]
    assert mounts(drkit) == []


def mounts(drkit: Drkit) -> list[str]:
    table = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in table if str(drkit.home) in line]
