"""Harbor itself as programs of this machine, in the place of containers; core and jobservice stand in."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drkit.sandbox.harbor.plan import HARBOR
from drkit.sandbox.labelled import LABEL
from testenv import Site, harbor_programs
from tests import needs
from tests.e2e import processes
from tests.e2e.commands import Drkit, assert_error, clone, fails, finish, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.test_harbor import KINDS, Listener, addresses, chown, outside
from tests.e2e.test_killed import clean, kill_when, nothing_survives

__all__ = ["outside"]

SCHEMA = 170
PROGRAMS = ("redis-server", "docker-registry", "harbor_core.py", "harbor_jobservice.py")


@dataclass(frozen=True)
class Packaged:
    """A drkit that has a point, and Harbor's programs beside it."""

    drkit: Drkit
    programs: Path

    def build(self, name: str, schema: int = SCHEMA, **more: str) -> dict[str, str]:
        """What `[drill]` says of programs that are made for it."""
        core = harbor_programs.build(self.programs / name, schema, **more)
        return {
            "harbor": "required",
            "core": str(core),
            "jobservice": str(core.with_name("harbor_jobservice")),
        }

    def with_programs(self, home: Path, settings: dict[str, str]) -> Drkit:
        """A copy that starts Harbor by these settings, where this machine has no docker."""
        made = clone(self.drkit, home).change(lambda document: document.update(drill=settings))
        path = f"{Path(settings['core']).parent}/bin:{os.environ['PATH']}"
        return made.in_environment(PATH=path, DOCKER_HOST="unix:///nonexistent/docker.sock")


@pytest.fixture(scope="module")
def packaged(drilled: Drilled, site: Site, new_home: Callable[[], Path]) -> Packaged:
    if os.geteuid() != 0:
        needs.missing("a network of its own needs root")
    made = clone(drilled.drkit, new_home())
    owned = [path for path in (site.blobs, *site.blobs.rglob("*")) if path.stat().st_uid == 0]
    chown(owned, HARBOR)
    try:
        assert made.ask("backup")["status"] == "sealed"
    finally:
        chown(owned, 0)
    programs = new_home() / "programs"
    programs.mkdir(parents=True)
    return Packaged(made, programs)


@pytest.fixture(scope="module")
def good(packaged: Packaged, outside: Listener) -> dict[str, str]:
    """Programs that tell somebody outside when they start, and whenever they do something."""
    port = outside.socket.getsockname()[1]
    return packaged.build("good", OUTWARD=",".join(f"{each}:{port}" for each in addresses()))


@pytest.fixture
def drkit(packaged: Packaged, good: dict[str, str], new_home: Callable[[], Path]) -> Iterator[Drkit]:
    made = packaged.with_programs(new_home(), good)
    yield made
    clean(made)
    assert labelled() == []


def labelled() -> list[processes.Process]:
    """The processes of any drill's Harbor."""
    return [each for each in processes.everybody() if f"{LABEL}=".encode() in each.environment]


def confined(pid: int) -> dict[str, str]:
    """What the kernel says of a process that matters here; empty where it has ended."""
    with contextlib.suppress(OSError):
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        (data,) = (line.split()[3] for line in limits if line.startswith("Max data size"))
        (files,) = (line.split()[3] for line in limits if line.startswith("Max file size"))
        names = [Path(f"/proc/{pid}/ns/{kind}").readlink().name for kind in ("net", "pid", "mnt")]
        sockets = sorted(each.name for each in Path(f"/proc/{pid}/root/run").iterdir())
        return {
            "user": status["Uid"].split()[0],
            "powers": status["CapEff"],
            "no new ones": status["NoNewPrivs"],
            "memory": data,
            "file": files,
            "namespaces": " ".join(names),
            "sockets": " ".join(sockets),
        }
    return {}


def test_harbor_by_its_programs(drkit: Drkit, good: dict[str, str], outside: Listener, site: Site) -> None:
    core = Path(good["core"])
    said = subprocess.run([core, "--outward"], capture_output=True, text=True, check=True).stdout
    assert "told" in said, "where there is a network, somebody outside hears it"
    wait_for(lambda: outside.heard, "the listener hears")
    outside.heard.clear()

    process = drkit.start("drill", "--json")
    seen: dict[str, dict[str, str]] = {}
    while process.poll() is None:
        # With their children: Redis writes its title over its environment.
        for each in {one for parent in labelled() for one in processes.family(parent.pid)}:
            name = next((n for n in PROGRAMS if n in str(each.words)), each.program)
            # The programs themselves, not what starts them.
            if (found := confined(each.pid)) and found["user"] == str(HARBOR):
                seen[name] = found
        time.sleep(0.05)
    result = finish(process).result
    assert outside.heard == [], "nothing leaves a sandbox"
    assert result["outcome"] == "passed"
    found = {check["kind"]: check["outcome"] for check in result["checks"] if check["kind"] in KINDS}
    assert found == dict.fromkeys(KINDS, "passed")
    assert all(control["caught"] for control in result["controls"])
    (started,) = (check["detail"] for check in result["checks"] if check["kind"] == "harbor_start")
    assert str(core) in started
    unproved = {each["subject"]: each["said"] for each in result["unproved"]}
    assert "registryctl" in unproved["the rest of Harbor"]
    assert result["versions"]["Harbor in the sandbox"] == "2.14.0"

    assert set(PROGRAMS) <= seen.keys()
    own = {kind: Path(f"/proc/self/ns/{kind}").readlink().name for kind in ("net", "pid", "mnt")}
    for name, about in seen.items():
        assert (int(about["powers"], 16), about["no new ones"]) == (0, "1"), name
        assert 0 < int(about["memory"]) <= 1 << 30, name
        assert about["file"].isdigit(), name
        assert about["sockets"] == "", name
        assert not set(own.values()) & set(about["namespaces"].split()), name
    assert len({about["namespaces"].split()[0] for about in seen.values()}) == 1, "one network for all"


def core_begins(drkit: Drkit) -> bool:
    """Whether all else runs, and core is just being started."""
    return bool(list(drkit.sandboxes.glob("*/harbor/core-*/log")))


def test_what_a_killed_drill_leaves(drkit: Drkit) -> None:
    """Its programs end with it; and what bears its name all the same, the next drill ends."""
    assert kill_when(drkit, lambda: core_begins(drkit), "core begins", "drill")
    nothing_survives(drkit)
    assert labelled() == []
    (sandbox,) = [path for path in drkit.sandboxes.iterdir() if (path / "harbor").exists()]
    orphan = subprocess.Popen(["sleep", "infinity"], env={**os.environ, LABEL: sandbox.name})
    other = subprocess.Popen(["sleep", "infinity"], env={**os.environ, LABEL: f"{sandbox.name}0"})
    try:
        result = drkit.ask("drill")
        assert orphan.wait(60) == -signal.SIGKILL
        assert other.poll() is None, "another drill's"
    finally:
        for process in (orphan, other):
            process.kill()
            process.wait()
    assert result["outcome"] == "passed"
    assert any("removed the sandbox that the killed drill" in problem for problem in result["problems"])


def test_interrupted_twice(drkit: Drkit) -> None:
    process = drkit.start("drill")
    try:
        wait_for(lambda: core_begins(drkit) or process.poll() is not None, "core begins")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
    finally:
        ended = finish(process)
    assert ended.code == 130, ended
    assert processes.survivors(drkit.home) == []


def test_a_core_that_hangs_is_ended(packaged: Packaged, new_home: Callable[[], Path]) -> None:
    hanging = packaged.build("hanging", HANGS="yes") | {"harbor_timeout": "2s"}
    drkit = packaged.with_programs(new_home(), hanging)
    ended = drkit.run("drill", "--json")
    message = "the drill came to no verdict: Harbor starts: core does not answer after 2 seconds: .*"
    assert ended.code == 6, ended
    assert_error(ended, "drill_error", message, "see .*")
    assert labelled() == []
    clean(drkit)


def test_a_jobservice_that_ends_fails_the_drill(packaged: Packaged, new_home: Callable[[], Path]) -> None:
    drkit = packaged.with_programs(new_home(), packaged.build("jobless", JOBS_FAIL="yes"))
    ended = drkit.run("drill", "--json")
    assert ended.code == 5, ended
    (check,) = (each for each in ended.envelope["result"]["checks"] if each["kind"] == "harbor_jobs")
    assert check["outcome"] == "failed"
    said = "jobservice ended with exit code 1: [FATAL] initialize job context error: core refuses "
    assert check["detail"].startswith(said)
    assert not re.search(r"\b[0-9a-f]{16}\b", check["detail"].removeprefix(said)), "a secret is not told"
    assert labelled() == []


def test_programs_that_cannot_be_started(packaged: Packaged, new_home: Callable[[], Path]) -> None:
    """What is wrong is said before anything is restored, by drill and by doctor."""
    newer = packaged.build("newer", 180)
    drkit = packaged.with_programs(new_home(), newer)
    why = "the point's schema 170 needs Harbor 2.14.0, and .*/harbor_core is of Harbor 2.15.0 to 2.15.2 .*"
    fails(
        drkit,
        ("drill",),
        6,
        "drill_error",
        f"the drill came to no verdict: Harbor cannot be started: {why}",
        ".*",
    )
    # To doctor also where Harbor is not required: whoever names a program wants it.
    drkit.change(lambda document: document["drill"].update(core=f"{newer['core']}x", harbor="auto"))
    message = "1 problem; the first: Harbor cannot be started: .*/harbor_corex is no program"
    assert_error(drkit.run("doctor", "--json"), "drill_error", message, "see core and jobservice in .*")
    Path(newer["core"]).parent.joinpath("migrations/postgresql/0180_2.x_schema.up.sql").unlink()
    drkit.change(lambda document: document["drill"].update(core=newer["core"]))
    message = "1 problem; the first: Harbor cannot be started: there are no migrations in .*"
    assert_error(drkit.run("doctor", "--json"), "drill_error", message, "core wants them .*")
