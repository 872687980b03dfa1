"""A database in a container that publishes no port, as Harbor's own: dumped inside, read over its network."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.database import clients
from drkit.errors import ToolFailed, ToolMissing
from drkit.sandbox.container import LABEL
from drkit.tools import docker
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from testenv import Site, cluster, witness
from testenv.engine import Engine
from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, assert_error, clone, fails, finish, wait_for
from tests.e2e.conftest import Drilled
from tests.e2e.moments import found as found_in
from tests.e2e.test_bad_input import only
from tests.e2e.test_broken_dump import IN_THE_MIDDLE, snapshots_of
from tests.e2e.test_killed import clean, kill_at, nothing_survives

NAME = "harbor-db"
# Nothing in it may mean anything to a shell, or be cut off.
PASSWORD = "in side'\\ \"$HOME *"

_BIG = (
    "CREATE TABLE big AS SELECT g AS id, repeat(md5(g::text), 8) AS words FROM generate_series(1, 200000) g;"
)
_DUMPING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY public.big %'"
_SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name IN ('pg_dump', 'pg_restore', 'drkit')"
)


@pytest.fixture(scope="module")
def address(engine: Engine, site: Site, major: int) -> Iterator[str]:
    """The address of a container with all that the site's server has."""
    address = engine.postgres(NAME, major, PASSWORD.replace("'", "''"))
    everything = subprocess.run(
        [
            cluster.programs() / "pg_dumpall",
            f"--dbname=host=127.0.0.1 port={site.database_port} user=postgres",
        ],
        env={"PGPASSWORD": site.planted["database password"]},
        capture_output=True,
        check=True,
    ).stdout.decode()
    # That one's password is another, and it is there already.
    ours = [line for line in everything.splitlines() if "ROLE postgres" not in line]
    engine.sql(NAME, "\n".join(ours))
    engine.sql(NAME, "ANALYZE", "registry")
    yield address
    engine.docker("rm", "--force", "--volumes", NAME)


@pytest.fixture
def contained(
    engine: Engine, address: str, drilled: Drilled, new_home: Callable[[], Path]
) -> Iterator[Drkit]:
    """A drkit of the test's own for the database in the container."""
    made = clone(drilled.drkit, new_home()).in_environment(DOCKER_HOST=engine.host)
    password = made.home / "database.password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    made.change(lambda d: d["database"][0].pop("dsn"))
    made.change(lambda d: d["database"][0].update(container=NAME, password_file=str(password)))
    made.change(only("database", "secrets"))
    # The point that is there already has images, and harbor.yml names another database.
    made.change(lambda d: d["site"].update(dropped=["blobs", "database:registry"]))
    yield made
    clean(made)
    said = engine.logs(NAME)
    assert "terminated by signal" not in said, "the server lives as if nobody had been there"


@pytest.fixture
def big(engine: Engine, address: str) -> Iterator[None]:
    """A table that is more than what pipes and sockets on the way hold."""
    engine.sql(NAME, _BIG, "registry")
    yield
    engine.sql(NAME, "DROP TABLE big", "registry")


def inside(engine: Engine, program: str) -> list[processes.Process]:
    """The processes of that name in the container, but for those that only tell their version."""
    listed = engine.docker("top", NAME, "-eo", "pid").split()[1:]
    found = [execute for execute in processes.everybody() if str(execute.pid) in listed]
    return [one for one in found if one.program == program and not one.words[-1].endswith("-V")]


def is_quiet(engine: Engine) -> bool:
    """Nothing of drkit's is left in the container: no program, no session, and so no snapshot held."""
    programs = [p for name in ("sh", "pg_dump", "pg_dumpall", "pg_restore") for p in inside(engine, name)]
    return not programs and engine.sql(NAME, _SESSIONS) == "0"


def account(address: str) -> dict[str, str]:
    import psycopg

    where = f"host={address} user=postgres dbname=registry"
    with psycopg.connect(where, password=PASSWORD) as connection:
        return witness.tables(connection) | witness.definitions(connection)


# No server and no client program of PostgreSQL is on a machine that only runs Harbor.
_WITHOUT = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /usr/lib/postgresql && exec "$@"', "sh")


@pytest.fixture
def bare(contained: Drkit, engine: Engine, major: int) -> Drkit:
    """The same on a machine without PostgreSQL: drills take the server from an image."""
    contained.change(lambda d: d.update(drill={"database_image": engine.image(major)}))
    return replace(contained, prefix=_WITHOUT)


def sandboxes(engine: Engine) -> list[str]:
    """The containers of drills."""
    return engine.docker("ps", "--all", "--quiet", f"--filter=label={LABEL}").split()


def test_the_whole_loop(bare: Drkit, engine: Engine, address: str, major: int) -> None:
    contained = bare
    doctor = contained.ask("doctor")
    (found,) = [f for f in doctor["findings"] if f["name"] == "database registry"]
    assert found["detail"].startswith(f"PostgreSQL {major} at registry at {address}:5432, ")
    assert f"pg_dump {major} of the container {NAME}" in found["detail"]
    plan = contained.ask("backup", "--dry-run")
    assert f"registry in the container {NAME}" in str(plan)

    point = contained.ask("backup")
    assert point["status"] == "sealed"
    assert is_quiet(engine)
    drill = contained.ask("drill")
    assert drill["outcome"] == "passed"
    assert {"dropped row in registry", "truncated dump of registry"} <= {c["name"] for c in drill["controls"]}
    assert sandboxes(engine) == []

    before = account(address)
    engine.sql(NAME, "DROP DATABASE registry WITH (FORCE)")
    contained.ask("restore", "latest", "--only", "database", "--yes")
    assert account(address) == before
    assert is_quiet(engine)


def test_a_killed_drill(bare: Drkit, engine: Engine) -> None:
    """Its container stays until the next drill, which removes it by its label."""
    kill_at(gates.server_ready(bare), "drill")
    assert len(sandboxes(engine)) == 1
    drill = bare.ask("drill")
    assert drill["outcome"] == "passed"
    assert "removed the sandbox that the killed drill" in " ".join(drill["problems"])
    assert sandboxes(engine) == []


def test_a_drill_without_a_server(bare: Drkit, engine: Engine, major: int) -> None:
    """Said before anything is restored, and what to do about it."""
    bare.change(lambda d: d["drill"].update(database_image="postgres:none"))
    message = "1 problem; the first: there is no image postgres:none on this machine"
    fails(bare, ["doctor"], 7, "tool_missing", message, "docker pull postgres:none, .*")
    bare.change(lambda d: d.pop("drill"))
    message = f"the drill came to no verdict: PostgreSQL {major} is not installed here \\(there is: none\\)"
    ended = bare.run("drill", "--json")
    assert ended.code == 6
    assert_error(ended, "drill_error", message, "see .*")
    stages = [stage["name"] for stage in ended.envelope["result"]["stages"]]
    assert stages == ["find the point", "fetch the seal", "tear down"]


def test_init_proposes_it(
    engine: Engine, address: str, site: Site, new_home: Callable[[], Path], tmp_path: Path
) -> None:
    text = site.harbor_yml.read_text()
    harbor_yml = tmp_path / "harbor.yml"
    start = text.index("external_database:")
    end = text.index("proxy:")
    quoted = "'" + PASSWORD.replace("'", "''") + "'"
    harbor_yml.write_text((text[:start] + text[end:]).replace("root123", quoted))
    drkit = Drkit(new_home()).in_environment(DOCKER_HOST=engine.host)
    drkit.home.mkdir()
    places = ("--output", str(drkit.config), "--state", str(drkit.state))
    words = ("init", "--harbor", str(harbor_yml), "--repository", str(drkit.repository), *places)
    assert drkit.ask(*words)["database"] == f"container {NAME}"
    assert f'container = "{NAME}"' in drkit.config.read_text()
    assert PASSWORD not in drkit.config.read_text()
    assert drkit.run("doctor").code == 0


def kill_inside(engine: Engine, _drkit: Drkit) -> None:
    (dump,) = inside(engine, "pg_dump")
    os.kill(dump.pid, signal.SIGKILL)


def kill_client(engine: Engine, _drkit: Drkit) -> None:
    for one in processes.everybody():
        ours = engine.host.encode() in one.environment
        if ours and one.program == "docker" and any(word.endswith("/pg_dump") for word in one.words):
            os.kill(one.pid, signal.SIGKILL)
            return
    raise AssertionError("no client runs")


@pytest.mark.parametrize("how", [kill_inside, kill_client])
@pytest.mark.usefixtures("big")
def test_a_dump_that_dies(
    contained: Drkit, drilled: Drilled, engine: Engine, how: Callable[[Engine, Drkit], None]
) -> None:
    contained.change(only("database"))
    gate = gates.dump_runs(contained, IN_THE_MIDDLE)
    execute = gate.drkit.start("backup", "--json")
    try:
        gate.wait(execute)
        assert engine.sql(NAME, _DUMPING) != "0"
        how(engine, contained)
    finally:
        gate.open()
        ended = finish(execute)
    assert ended.code == 3
    message = "no recovery point was sealed: database registry: pg_dump did not finish: .*"
    assert_error(ended, "backup_incomplete", message, ".+")
    point = ended.envelope["result"]["id"]
    assert snapshots_of(contained, f"drkit:point:{point},drkit:part:database:registry") == []
    assert contained.sealed() == [drilled.point]
    wait_for(lambda: is_quiet(engine), "nothing goes on in the container")


@pytest.mark.usefixtures("big")
def test_kill(contained: Drkit, engine: Engine) -> None:
    """kill -9 while pg_dump runs inside: it ends as well, and lets go of its snapshot."""
    contained.change(only("database"))
    kill_at(gates.dump_runs(contained, IN_THE_MIDDLE), "backup")
    nothing_survives(contained)
    wait_for(lambda: is_quiet(engine), "nothing goes on in the container")
    assert contained.ask("backup")["status"] == "sealed"


@pytest.mark.usefixtures("big")
def test_nobody_sees_the_password(contained: Drkit, engine: Engine, tmp_path: Path) -> None:
    """It stands in the environment of PostgreSQL's programs in the container, and nowhere else."""
    contained.change(only("database"))
    gate = gates.dump_runs(contained, IN_THE_MIDDLE)
    execute = gate.drkit.start("--verbose", "backup")
    seen: set[str] = set()
    try:
        while execute.poll() is None:
            if "pg_dump" in seen:
                gate.open()
            for one in processes.everybody():
                assert PASSWORD.encode() not in one.arguments, one.words
                if PASSWORD.encode() in one.environment:
                    # pg_dumpall asks pg_dump for its version through a shell.
                    seen |= {"a version"} if one.words[-1].endswith("-V") else {one.program}
            for file in found_in(contained.state / "runs", "**/*"):
                with suppress(FileNotFoundError):
                    assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file
    finally:
        gate.open()
        ended = finish(execute)
    assert ended.code == 0, ended
    assert "pg_dump" in seen
    assert seen <= {"pg_dump", "pg_dumpall", "a version"}
    assert PASSWORD not in ended.stdout + ended.stderr
    assert engine.docker("exec", NAME, "sh", "-c", "ls /tmp") == "data"


# What stands in the way


def test_no_such_container(contained: Drkit) -> None:
    contained.change(lambda d: d["database"][0].update(container="harbor_db"))
    message = "1 problem; the first: there is no container harbor_db on this machine"
    fails(contained, ["doctor"], 4, "config_error", message, f"did you mean {NAME}\\?")
    message = "no recovery point was sealed: database registry: there is no container harbor_db .*"
    ended = contained.run("backup", "--json")
    assert ended.code == 3
    assert_error(ended, "backup_incomplete", message, f"did you mean {NAME}\\?")
    assert [part["kind"] for part in ended.envelope["result"]["parts"]] == ["secrets", "configuration"]


def test_a_host_beside_the_container(contained: Drkit) -> None:
    contained.change(lambda d: d["database"][0].update(dsn="host=127.0.0.1 user=postgres"))
    message = "1 problem; the first: database registry has a container, so its dsn must not name a host"
    assert_error(contained.run("doctor", "--json"), "config_error", message, ".+")


@pytest.fixture
def client(engine: Engine, address: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This very process speaks with the engine."""
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    return monkeypatch


@pytest.mark.usefixtures("client")
def test_a_container_that_is_of_no_use(engine: Engine, major: int) -> None:
    image = engine.image(major)
    engine.docker("create", "--name=stopped", image)
    engine.docker("run", "--detach", "--name=apart", "--network=none", "--entrypoint=sleep", image, "600")
    engine.docker("run", "--detach", "--name=held", "--entrypoint=sleep", image, "600")
    try:
        assert docker.names() == ("apart", NAME, "held")
        engine.docker("pause", "held")
        for name, message, hint in (
            ("stopped", "the container stopped does not run: it is created", "docker start stopped"),
            ("held", "the container held does not run: it is paused", "docker unpause held"),
            (
                "apart",
                "the container apart has no address that this machine could reach (network mode: none)",
                "",
            ),
        ):
            with pytest.raises(ToolFailed) as caught:
                docker.find(name)
            assert caught.value.message == message
            assert hint in caught.value.hint
    finally:
        engine.docker("rm", "--force", "stopped", "apart", "held")


def test_a_container_without_the_programs(client: pytest.MonkeyPatch, major: int) -> None:
    container = docker.find(NAME)
    assert clients.programs_in(container, major) == cluster.programs(major)
    with pytest.raises(
        ToolMissing, match=f"{NAME} has no pg_dump, pg_dumpall and pg_restore of PostgreSQL 99"
    ):
        clients.programs_in(container, 99)


def test_docker_itself_does_not_answer(client: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(ToolFailed, match="docker does not answer: is its daemon running") as caught:
        docker.find(NAME)
    assert "DOCKER_HOST" in caught.value.hint
    client.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match="docker is not installed"):
        docker.find(NAME)


def test_docker_refuses_its_socket(engine: Engine, client: pytest.MonkeyPatch) -> None:
    """Somebody who is not root, and not in docker's group."""
    command = Command(("docker", "ps"), docker.environment(), user="nobody")
    with pytest.raises(ToolFailed) as caught:
        docker.judge(command, execute.run(command))
    assert caught.value.message == "this user may not speak with docker: its socket refuses the connection"
    assert "group docker" in caught.value.hint
