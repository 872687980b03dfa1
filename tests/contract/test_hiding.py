"""A sandbox's servers do not see production's files, whoever they run as."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from drkit import config
from drkit.errors import ToolFailed
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden, hide
from drkit.tools.process.command import Command
from drkit.tools.process.server import Server
from tests import needs


@pytest.fixture
def production(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        needs.missing("only root mounts")
    made = tmp_path / "production"
    (made / "registry/docker").mkdir(parents=True)
    (made / "registry/docker/blob").touch()
    (made / "harbor.yml").write_text("password: x")
    return made


def settings_of(production: Path, home: Path) -> config.Config:
    file = home / "drkit.toml"
    file.write_text(
        f'[site]\nname = "x"\nstate = "{home}/state"\n'
        f'[blobs]\nkind = "filesystem"\npath = "{production}/registry"\n'
        f'[secrets]\npaths = ["{production}/harbor.yml", "{home}"]\nrecipients = ["age1x"]\n'
        f'[[repository]]\nname = "primary"\nurl = "/backup"\npassword_file = "{home}/password"\n'
    )
    return config.load_config(file)


@contextmanager
def running(hidden: Hidden, user: str | None, log: Path) -> Iterator[int]:
    server = Server(Command(("sleep", "300"), user=user, mounts=hidden.mounts), log)
    try:
        # The program itself is there once everything before it has been left behind.
        while server.running and Path(f"/proc/{server.pid}/comm").read_text().strip() != "sleep":
            pass
        yield server.pid
    finally:
        server.stop()


@pytest.mark.parametrize("user", [None, "postgres"])
def test_nothing_of_productions_is_seen(production: Path, tmp_path: Path, user: str | None) -> None:
    if user:
        try:
            uid = pwd.getpwnam(user).pw_uid
        except KeyError:
            needs.missing(f"there is no user {user}")
    home = tmp_path / "home"
    home.mkdir()
    hidden = hide(settings_of(production, home), home / "state/sandbox/x")
    assert {production / "registry/docker", production / "harbor.yml"} <= set(hidden.paths)
    assert home not in hidden.paths, "the sandbox is in it"
    with running(hidden, user, tmp_path / "log") as pid:
        hidden.prove(pid)
        assert not list(Path(f"/proc/{pid}/root{production}/registry/docker").iterdir())
        owner = Path(f"/proc/{pid}").stat().st_uid
        assert owner == (uid if user else os.geteuid())
    assert (production / "registry/docker/blob").exists(), "everybody else sees it"
    with running(NOTHING_HIDDEN, user, tmp_path / "log") as pid, pytest.raises(ToolFailed, match="sees"):
        hidden.prove(pid)
