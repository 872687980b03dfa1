"""Harbor itself in a drill's sandbox: real containers on a real engine, with a stand-in for Harbor's core."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drkit.sandbox.container import LABEL
from drkit.sandbox.harbor.plan import HARBOR
from testenv import Site, harbor_images
from testenv.engine import Engine
from testenv.processes import ServerError
from tests.e2e import processes
from tests.e2e.commands import Drkit, assert_error, clone, finish, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.test_killed import clean, kill_when, nothing_survives

TAG, SCHEMA = "v2.14.0", 170
KINDS = {
    "harbor_start",
    "harbor_login",
    "harbor_counts",
    "harbor_settings",
    "harbor_audit_log",
    "harbor_robot",
    "harbor_pull",
    "harbor_push",
    "harbor_jobs",
}


@dataclass
class Listener:
    """Somebody outside who hears whoever calls, on every address of this machine."""

    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Until the socket is closed."""
        while True:
            try:
                connection, address = self.socket.accept()
            except OSError:
                return
            self.heard.append(str(address))
            connection.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[Listener]:
    with socket.create_server(("0.0.0.0", 0)) as opened:
        listener = Listener(opened)
        thread = threading.Thread(target=listener.listen, daemon=True)
        thread.start()
        yield listener
        opened.shutdown(socket.SHUT_RDWR)
    thread.join()


def addresses() -> list[str]:
    """All addresses of this machine but the loopback's; the engine's bridge is among them."""
    said = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, check=True).stdout
    return [
        each["local"]
        for device in json.loads(said)
        for each in device["addr_info"]
        if device["ifname"] != "lo"
    ]


@pytest.fixture(scope="module")
def core(engine: Engine, outside: Listener) -> Iterator[str]:
    """Harbor's images, whose core tells somebody outside when it starts and when it takes an image."""
    port = outside.socket.getsockname()[1]
    yield harbor_images.build(engine, TAG, SCHEMA, outward=",".join(f"{each}:{port}" for each in addresses()))
    harbor_images.remove(engine, TAG)


@pytest.fixture(scope="module")
def harbored(drilled: Drilled, site: Site, engine: Engine, core: str, new_home: Callable[[], Path]) -> Drkit:
    """A drkit with a point whose images belong to whom Harbor's registry runs as; only to be copied."""
    made = clone(drilled.drkit, new_home()).in_environment(DOCKER_HOST=engine.host)
    owned = [path for path in (site.blobs, *site.blobs.rglob("*")) if path.stat().st_uid == 0]
    chown(owned, HARBOR)
    try:
        assert made.ask("backup")["status"] == "sealed"
    finally:
        chown(owned, 0)
    return made.change(lambda d: d.update(drill={"harbor": "required"}))


def chown(paths: list[Path], owner: int) -> None:
    for path in paths:
        os.chown(path, owner, owner)


@pytest.fixture
def drkit(harbored: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    made = clone(harbored, new_home())
    yield made
    clean(made)
    shutil.rmtree(made.home)


def containers(engine: Engine) -> list[str]:
    """Those of any drill."""
    return engine.docker("ps", "--all", "--quiet", "--no-trunc", f"--filter=label={LABEL}").split()


def left(engine: Engine) -> list[str]:
    """All that a drill may leave at an engine."""
    return [*containers(engine), *engine.docker("volume", "ls", "--quiet", f"--filter=label={LABEL}").split()]


def watch(process: subprocess.Popen[str], engine: Engine) -> dict[str, dict[str, Any]]:
    """What docker says of each container that is there at any time until the process ends."""
    seen: dict[str, dict[str, Any]] = {}
    while process.poll() is None:
        for made in set(containers(engine)) - seen.keys():
            # It may have gone meanwhile.
            with contextlib.suppress(ServerError):
                (seen[made],) = json.loads(engine.docker("inspect", made))
        # To ask docker without end would be most of the work.
        time.sleep(0.5)
    return seen


def test_harbor_itself(drkit: Drkit, engine: Engine, site: Site, core: str, outside: Listener) -> None:
    # Where a container has a network, it is heard.
    said = engine.docker("run", "--rm", "--entrypoint=python3", core, "/harbor/harbor_core.py", "--outward")
    assert "told" in said
    wait_for(lambda: outside.heard, "the listener hears")
    outside.heard.clear()

    process = drkit.start("drill", "--json")
    seen = watch(process, engine)
    result = finish(process).result
    assert outside.heard == [], "nothing leaves a sandbox"
    assert result["outcome"] == "passed"
    found = {check["kind"]: check for check in result["checks"] if check["kind"] in KINDS}
    assert {kind: check["outcome"] for kind, check in found.items()} == dict.fromkeys(KINDS, "passed")
    assert f"{TAG}-standin" in found["harbor_start"]["detail"]
    assert "projects" in found["harbor_counts"]["detail"]
    planted = {c["name"]: c["caught"] for c in result["controls"] if c["name"].startswith("Harbor:")}
    assert planted == dict.fromkeys(
        (
            "Harbor: a missing project",
            "Harbor: another's token key",
            "Harbor: a stranger's login",
            "Harbor: a robot's wrong secret",
            "Harbor: a jobservice that has gone",
            "Harbor: a secret key of another length",
        ),
        True,
    )
    unproved = {each["subject"]: each["said"] for each in result["unproved"]}
    assert "portal" in unproved["the rest of Harbor"]
    assert "jobservice" not in unproved["the rest of Harbor"]
    jobs = found["harbor_jobs"]["detail"]
    assert re.search(r"\b[1-9]\d* schedules forgotten", jobs), "or it would have run nothing in any case"
    assert "Harbor itself" not in unproved
    assert result["versions"]["Harbor in the sandbox"] == TAG
    assert left(engine) == []
    confined(seen, site)


def confined(seen: dict[str, dict[str, Any]], site: Site) -> None:
    """Each container had one loopback for a network, no port, limits, and no secret of production's."""
    by_name = {about["Name"].split("-")[2]: about for about in seen.values()}
    assert {"cache", "registry", "core", "jobservice"} <= by_name.keys()
    for name, about in by_name.items():
        host = about["HostConfig"]
        mode = "none" if name == "cache" else f"container:{by_name['cache']['Id']}"
        assert host["NetworkMode"] == mode
        assert (host["PortBindings"] or {}) == {}
        assert host["CapDrop"] == ["ALL"]
        assert "NET_ADMIN" not in (host["CapAdd"] or [])
        assert 0 < host["Memory"] <= 1 << 30
        assert host["NanoCpus"] > 0
        assert not host["Privileged"]
        writable = [m["Destination"] for m in about["Mounts"] if m["RW"]]
        assert writable == (["/storage"] if name == "registry" else [])
        for what, secret in site.planted.items():
            assert secret not in json.dumps(about), what


def core_begins(drkit: Drkit) -> bool:
    """Whether all else runs, and core is just being made: a file tells it sooner than docker."""
    return bool(list(drkit.sandboxes.glob("*/harbor/core-*/environment")))


NEWER = "v2.15.0"


@pytest.fixture
def newer(engine: Engine, core: str) -> Iterator[str]:
    """The images of a newer release, without jobservice."""
    yield harbor_images.build(engine, NEWER, 180, jobs=False)
    harbor_images.remove(engine, NEWER)


@pytest.fixture
def newer_that_fails(engine: Engine, core: str) -> Iterator[str]:
    """The same, but its migration breaks off in the middle."""
    yield harbor_images.build(engine, NEWER, 180, MIGRATION_FAILS="yes")
    harbor_images.remove(engine, NEWER)


@pytest.mark.usefixtures("newer")
def test_an_upgrade(drkit: Drkit, engine: Engine) -> None:
    result = drkit.ask("drill", "--upgrade-to", NEWER)
    assert result["outcome"] == "passed"
    assert not any(check["kind"] in KINDS for check in result["checks"]), "they stand apart"
    upgrade = result["upgrade"]
    assert (upgrade["tag"], upgrade["outcome"]) == (NEWER, "passed")
    found = {check["kind"]: check for check in upgrade["checks"]}
    kinds = KINDS - {"harbor_jobs"}
    assert {kind: check["outcome"] for kind, check in found.items()} == dict.fromkeys(kinds, "passed")
    assert f"schema {SCHEMA} migrated to 180" in found["harbor_start"]["detail"]
    unproved = {each["subject"]: each["said"] for each in result["unproved"]}
    assert "jobservice" in unproved["the rest of Harbor"]
    assert all(control["caught"] for control in upgrade["controls"])
    assert left(engine) == []


@pytest.mark.usefixtures("newer_that_fails")
def test_killed_and_then_an_upgrade_that_fails(drkit: Drkit, engine: Engine) -> None:
    """What a killed drill leaves, the next one removes; the point is good, whatever becomes of an upgrade."""
    assert kill_when(drkit, lambda: core_begins(drkit), "core begins", "drill")
    nothing_survives(drkit)
    assert len(left(engine)) >= 3
    ended = drkit.run("drill", "--upgrade-to", NEWER, "--json")
    assert ended.code == 5, ended
    message = (
        f"point .* restores whole, but Harbor {NEWER} does not run on it: Harbor starts: core ended with .*"
    )
    assert_error(ended, "drill_failed", message, "do not upgrade production .*")
    result = ended.envelope["result"]
    assert (result["outcome"], result["upgrade"]["outcome"]) == ("passed", "failed")
    assert "failed to migrate the database" in result["upgrade"]["checks"][0]["detail"]
    assert any("removed the sandbox that the killed drill" in problem for problem in result["problems"])
    assert left(engine) == []
    newest = drkit.points()[0]
    assert newest["last_drill"]["outcome"] == "passed"


def test_interrupted_twice(drkit: Drkit, engine: Engine) -> None:
    process = drkit.start("drill")
    try:
        wait_for(lambda: core_begins(drkit) or process.poll() is not None, "core begins")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
    finally:
        ended = finish(process)
    assert ended.code == 130, ended
    assert left(engine) == []
    assert processes.survivors(drkit.home) == []


def test_where_it_cannot_be_started(drkit: Drkit, tmp_path: Path) -> None:
    """Before anything is restored, where it is required; else it is said, and proves nothing."""
    drkit.change(lambda d: d["drill"].update(harbor_version="v2.15.0"))
    message = "the drill came to no verdict: Harbor cannot be started: there is no image harbor-core of .*"
    ended = drkit.run("drill", "--json")
    assert ended.code == 6
    assert_error(ended, "drill_error", message, "see .*")
    stages = [stage["name"] for stage in ended.envelope["result"]["stages"]]
    assert "load registry" not in stages
    nobody = drkit.in_environment(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    message = "1 problem; the first: Harbor cannot be started: docker does not answer: .*"
    doctor = nobody.run("doctor", "--json")
    assert_error(doctor, "drill_error", message, "systemctl start docker; .*")


def test_without_images_it_is_not_proved(drilled: Drilled) -> None:
    """As on any machine that has no images of Harbor's."""
    (report,) = (drilled.drkit.state / "drills").glob("*/report.json")
    unproved = {each["subject"]: each["said"] for each in json.loads(report.read_text())["unproved"]}
    assert unproved["Harbor itself"].startswith("it was not started: ")
