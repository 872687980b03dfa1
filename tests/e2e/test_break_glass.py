"""A recovery point comes back by what stands in its repository, with neither drkit nor Python."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from drkit.registry import storage
from drkit.sandbox import registry as sandbox_registry
from testenv import Site, push
from tests import needs
from tests.cluster import Cluster
from tests.e2e import accounts, copies
from tests.e2e.commands import Drkit, clone, wait_for
from tests.e2e.conftest import Drilled
from tests.plain import listens

_TOOLS = ("restic", "age", "tar")
UNIX = (
    "awk", "cat", "chmod", "find", "id", "mkdir", "mktemp", "mv", "nproc", "readlink", "rm", "rmdir", "sed",
    "sh", "sha256sum", "sort", "wc",
)  # fmt: skip
_DATABASE = "registry"
# Who is there before and stays as he is: the superuser, and the role that this server's rules name.
_PRESENT = ("role postgres", "role with_password")


@dataclass(frozen=True)
class Bare:
    """A machine with a few programs on its PATH, a repository, and an empty database server."""

    drilled: Drilled
    path: Path
    cluster: Cluster
    home: Path
    repository: Path
    password: Path
    user: str = "postgres"

    @property
    def root(self) -> Path:
        return self.home / "root it's"

    @property
    def script(self) -> Path:
        return self.home / "recover.sh"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.path),
            "HOME": str(self.home),
            "TMPDIR": str(self.home / "tmp"),
            "RESTIC_REPOSITORY": str(self.repository),
            "RESTIC_PASSWORD_FILE": str(self.password),
            "PGHOST": str(self.cluster.directory),
            "PGUSER": self.user,
        }

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the script, with nobody at the terminal."""
        command = [str(self.path / "sh"), str(self.script), *map(str, words)]
        return subprocess.run(
            command, env=self.environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    def recover(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it to bring everything back below `root`."""
        return self.run("--root", self.root, "--identity", self.drilled.drkit.identity, *words)

    def connect(self, name: str = _DATABASE) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.cluster.directory), user="postgres", dbname=name, options="-c timezone=UTC",
            autocommit=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def copied(drilled: Drilled, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit whose second repository has a copy of the drilled point."""
    made = copies.add(clone(drilled.drkit, new_home()))
    made.ask("copy")
    yield made
    shutil.rmtree(made.home)


@pytest.fixture(params=["dash", "busybox"])
def bare(
    request: pytest.FixtureRequest,
    drilled: Drilled,
    copied: Drkit,
    cluster: Cluster,
    new_home: Callable[[], Path],
) -> Iterator[Bare]:
    """With one shell the repository is the one of the backup, with the other a copy."""
    home = new_home()
    for directory in (home, home / "bin", home / "tmp"):
        directory.mkdir()
    shell = Path(needs.program(request.param))
    for name in UNIX:
        busy = request.param == "busybox"
        (home / "bin" / name).symlink_to(shell if busy or name == "sh" else needs.program(name))
    for name in _TOOLS:
        (home / "bin" / name).symlink_to(needs.program(name))
    for name in ("psql", "pg_restore"):
        # Debian's own psql is a Perl script that looks for the real one.
        (home / "bin" / name).symlink_to(cluster.programs.program(name))
    words = ("dump", "--tag", tags(drilled), "latest", "/recover.sh")
    if request.param == "dash":
        place, secret = drilled.drkit.repository, drilled.drkit.restic_password
        script = drilled.drkit.restic(*words)
    else:
        place, secret = copies.directory(copied), copies.password(copied)
        script = copies.restic(copied, copies.OFFSITE, *words)
    made = Bare(drilled, home / "bin", cluster, home, place, secret)
    made.script.write_text(script)
    yield made
    with made.connect("postgres") as server:
        for name in (_DATABASE, "drkit_recovering_1"):
            server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        for (name,) in server.execute("SELECT rolname FROM pg_roles WHERE oid > 16384").fetchall():
            if f"role {name}" not in _PRESENT:
                server.execute(f'DROP ROLE "{name}"'.encode())
    shutil.rmtree(home)


def tags(drilled: Drilled) -> str:
    return f"drkit:point:{drilled.point},drkit:manifest"


def test_a_registry_comes_back_without_drkit(bare: Bare, site: Site) -> None:
    looked = bare.recover("--list")
    assert looked.returncode == 0, looked.stderr
    assert f"recovery point {bare.drilled.point} of registry.example.test" in looked.stdout
    assert not bare.root.exists()
    unanswered = bare.recover()
    assert unanswered.returncode == 1
    assert "nobody is here to answer: say --yes" in unanswered.stderr
    assert not bare.root.exists()

    ended = bare.recover("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "content identical" in ended.stdout
    assert "each hashes to its name" in ended.stdout
    assert "run ./prepare there, with the installer of the same version" in ended.stdout
    assert list((bare.home / "tmp").iterdir()) == [], "nothing stays in the temporary directory"

    tops = [Path(f"{bare.root}{path}") for path in (site.blobs, *accounts.protected(bare.drilled.drkit))]
    found = accounts.files(*tops)
    assert {path.removeprefix(str(bare.root)): about for path, about in found.items()} == bare.drilled.files
    with bare.connect() as connection:
        same_but_for_roles_that_were_there(accounts.described(connection), bare.drilled.database)
        images = connection.execute("SELECT repository_name, digest FROM artifact").fetchall()
    every_image_is_served(Path(f"{bare.root}{site.blobs}"), bare.home, images)

    again = bare.recover("--yes")
    assert again.returncode == 1
    assert "there is a database registry already" in again.stderr


def test_who_may_make_nothing_fills_an_empty_database(bare: Bare) -> None:
    with bare.connect("postgres") as server:
        server.execute("CREATE ROLE small LOGIN")
    small = replace(bare, user="small")
    refused = small.run("--only", "database", "--yes")
    assert refused.returncode == 1
    assert "the user small may not create databases: ALTER ROLE small CREATEDB" in refused.stderr
    assert "it can fill an empty database that is there" in refused.stderr
    with bare.connect("postgres") as server:
        server.execute("CREATE DATABASE registry OWNER small TEMPLATE template0 ENCODING 'UTF8'")
    ended = small.run("--only", "database", "--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "into the empty database that is there" in ended.stdout
    assert "content identical" in ended.stdout
    assert "will belong to this user" in ended.stderr
    with bare.connect() as connection:
        owners = connection.execute(
            "SELECT DISTINCT relowner::regrole::text FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert owners == [("small",)]


def same_but_for_roles_that_were_there(found: dict[str, str], wanted: dict[str, str]) -> None:
    for name in _PRESENT:
        found.pop(name)
        wanted = {what: about for what, about in wanted.items() if what != name}
    assert found == wanted


def every_image_is_served(root: Path, directory: Path, images: list[tuple[str, str]]) -> None:
    """By digest, from a registry that knows nothing but the restored files; one is pulled whole."""
    assert len(images) > 5
    accept = {"Accept": ", ".join(push.MANIFEST_TYPES)}
    with serving(root, directory) as path:
        transport = httpx.HTTPTransport(uds=str(path))
        with httpx.Client(
            transport=transport, base_url="http://registry", headers=accept, timeout=60
        ) as client:
            for repository, digest in images:
                answer = client.get(f"/v2/{repository}/manifests/{digest}")
                assert answer.status_code == 200
                assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == digest
                document = answer.json()
                for blob in (document.get("config"), *document.get("layers", ())):
                    if blob and "urls" not in blob:
                        content = client.get(f"/v2/{repository}/blobs/{blob['digest']}").content
                        assert f"sha256:{hashlib.sha256(content).hexdigest()}" == blob["digest"]


@contextlib.contextmanager
def serving(root: Path, directory: Path) -> Iterator[Path]:
    """The socket of a registry over the tree below `root`."""
    path, settings = directory / "registry.sock", directory / "registry.yml"
    settings.write_text(sandbox_registry.settings(sandbox_registry.directory_settings(root), path))
    process = subprocess.Popen([sandbox_registry.find(), "serve", str(settings)], stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or listens(path), "the registry listens")
        yield path
    finally:
        process.kill()
        process.wait()


# A registry without a database, whose files have names that a shell might trip over


ODD = "it's a\n$(touch x) `tree`"


def blob(root: Path, content: bytes, promised: bytes) -> str:
    """Store content under the digest of what was promised."""
    digits = hashlib.sha256(promised).hexdigest()
    path = root / "docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return digits


def layer(root: Path, digits: str) -> None:
    path = root / "docker/registry/v2/repositories/library/x/_layers/sha256" / digits / "link"
    path.parent.mkdir(parents=True)
    path.write_text(f"sha256:{digits}")


def image(root: Path, config: bytes, layers: Sequence[str]) -> None:
    """A manifest that needs a configuration which is there, and these layers."""
    kind = "application/vnd.oci.image"
    needs = [{"mediaType": f"{kind}.layer.v1.tar", "digest": f"sha256:{each}", "size": 4} for each in layers]
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    content = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": {"mediaType": f"{kind}.config.v1+json", "digest": digest, "size": len(config)},
            "layers": needs,
        }
    ).encode()
    digits = blob(root, content, content)
    path = root / "docker/registry/v2/repositories/library/x/_manifests/revisions/sha256" / digits / "link"
    path.parent.mkdir(parents=True)
    path.write_text(f"sha256:{digits}")


@dataclass(frozen=True)
class Odd:
    """A site of odd names, its point's script, and how to run that."""

    drkit: Drkit
    blobs: Path
    secret: Path
    script: Path

    def run(self, shell: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "TMPDIR": str(self.script.parent),
            "RESTIC_REPOSITORY": str(self.drkit.repository),
            "RESTIC_PASSWORD_FILE": str(self.drkit.restic_password),
        }
        start = ["dash"] if shell == "dash" else ["busybox", "sh"]
        return subprocess.run(
            [*start, str(self.script), *map(str, words)], env=environment, cwd="/", capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def back_up(self) -> None:
        self.drkit.ask("backup")
        self.script.write_text(self.drkit.restic("dump", "--tag", "drkit:manifest", "latest", "/recover.sh"))


@pytest.fixture
def odd(fresh: Drkit, new_home: Callable[[], Path]) -> Iterator[Odd]:
    home = new_home()
    # A bundle takes no control characters in names, a directory of blobs does.
    blobs, secret = home / ODD / "registry", home / ODD.replace("\n", " ") / "secret"
    layer(blobs, blob(blobs, b"good", b"good"))
    secret.parent.mkdir()
    secret.write_text("opens everything")
    secret.chmod(0o640)

    def change(document: dict[str, Any]) -> None:
        del document["database"]
        document["blobs"] = {"path": str(blobs)}
        document["secrets"]["paths"] = [str(secret)]

    made = Odd(fresh.change(change), blobs, secret, home / "recover.sh")
    made.back_up()
    yield made
    shutil.rmtree(home)


@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_odd_names_and_what_is_in_the_way(odd: Odd, new_home: Callable[[], Path], shell: str) -> None:
    words = ("--identity", odd.drkit.identity, "--yes")
    in_place = odd.run(shell, *words)
    assert in_place.returncode == 1
    assert "registry is not empty: move away what is there" in in_place.stderr
    before = odd.secret.stat().st_mtime_ns
    odd.secret.write_text("something else")
    secrets_in_place = odd.run(shell, *words, "--only", "secrets")
    assert "secret is there already: move it away first" in secrets_in_place.stderr
    assert odd.secret.read_text() == "something else"
    odd.secret.write_text("opens everything")
    os.utime(odd.secret, ns=(before, before))
    without = odd.run(shell, "--only", "secrets", "--yes", "--root", odd.drkit.home / "x")
    assert "the secrets need --identity FILE" in without.stderr

    wanted = accounts.files(odd.blobs, odd.secret)
    shutil.rmtree(odd.blobs)
    odd.secret.unlink()
    ended = odd.run(shell, *words)
    assert ended.returncode == 0, ended.stderr
    assert accounts.files(odd.blobs, odd.secret) == wanted
    assert [path.name for path in odd.secret.parent.iterdir()] == ["secret"]
    assert [path.name for path in odd.blobs.parent.iterdir()] == ["registry"]
    assert "Redis or other cache" in ended.stdout


def test_a_strangers_identity_changes_nothing(odd: Odd, tmp_path: Path) -> None:
    stranger = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", str(stranger)], check=True, capture_output=True)
    ended = odd.run("dash", "--identity", stranger, "--root", tmp_path / "root", "--yes")
    assert ended.returncode == 1
    assert f"{stranger} does not open the secrets bundle" in ended.stderr
    assert not (tmp_path / "root").exists()


def test_a_damaged_or_missing_blob_keeps_nothing_else_from_coming_back(odd: Odd, tmp_path: Path) -> None:
    lost = hashlib.sha256(b"lost").hexdigest()
    image(odd.blobs, b"good", [lost])
    odd.back_up()
    words = ("--only", "blobs", "--yes", "--root")
    missing = odd.run("dash", *words, tmp_path / "missing")
    assert missing.returncode == 1
    assert "1 blobs that images need are missing (1 were when the point was taken)" in missing.stderr
    assert f"sha256:{lost}" in missing.stderr
    there = Path(f"{tmp_path}/missing{odd.blobs}")
    assert accounts.files(there).keys()
    with_drkit = tmp_path / "with drkit"
    ended = odd.drkit.run("restore", "latest", "--only", "blobs", "--yes", "--root", str(with_drkit))
    assert ended.code == 7, ended
    assert f"1 blob that images need is not there: sha256:{lost}" in ended.stdout + ended.stderr
    back = Path(f"{with_drkit}{odd.blobs}")
    assert {p.relative_to(back) for p in back.rglob("*")} == {p.relative_to(there) for p in there.rglob("*")}

    wrong = blob(odd.blobs, b"evil", b"fine")
    layer(odd.blobs, wrong)
    odd.back_up()
    damaged = odd.run("dash", *words, tmp_path / "damaged")
    assert damaged.returncode == 1
    assert "1 blobs do not hash to their name, and were left out" in damaged.stderr
    assert "is back, but not all of its images" in damaged.stdout
    back = Path(f"{tmp_path}/damaged{odd.blobs}")
    assert storage.blob_path(odd.blobs, f"sha256:{wrong}").exists()
    assert not storage.blob_path(back, f"sha256:{wrong}").exists(), "nobody is served wrong bytes"
    assert len(list(back.rglob("data"))) == len(list(odd.blobs.rglob("data"))) - 1


def test_what_an_interrupted_run_left_is_gone_on_with(odd: Odd, tmp_path: Path) -> None:
    """Files that are there as they were packed are no obstacle; any other is left as it is."""
    link = odd.secret.with_name("link")
    link.symlink_to("secret")
    index = odd.secret.with_name("drkit-bundle.json")
    index.write_text("one that somebody unpacked by hand, and that is a file like any other")
    odd.drkit.change(lambda document: document["secrets"]["paths"].extend([str(link), str(index)]))
    odd.back_up()
    root = tmp_path / "root"
    words = ("--identity", odd.drkit.identity, "--only", "secrets", "--yes", "--root", root)
    for _ in range(2):
        ended = odd.run("dash", *words)
        assert ended.returncode == 0, ended.stderr
        assert [path.name for path in root.iterdir()] == [odd.secret.parts[1]], "the index does not stay"
        assert Path(f"{root}{index}").read_text() == index.read_text()
        Path(f"{root}{odd.secret}").unlink()
    there = Path(f"{root}{link}")
    there.unlink()
    there.write_text("mine")
    ended = odd.run("dash", *words)
    assert f"{there} is there already: move it away first" in ended.stderr
    assert there.read_text() == "mine"
    assert not Path(f"{root}{odd.secret}").exists()


@pytest.mark.parametrize("bare", ["dash"], indirect=True)
def test_a_table_that_is_not_as_it_was_is_found(bare: Bare) -> None:
    """The script is told another number, another hash, a sequence that went further than what was dumped."""
    text = bare.script.read_text()
    (evidence,) = bare.drilled.drkit.ask("show", "latest")["databases"]
    table = next(each for each in evidence["tables"] if each["table"] == "project")
    sequence = next(each for each in evidence["sequences"] if each["last_value"])
    name, rows, digest = "public.project", table["rows"], table["hash"]
    counted = f", {rows}::bigint, '\\''{digest}'\\''"
    last = f"'{sequence['sequence']}'\\''::text, {sequence['last_value']}::"
    wrong = {
        f"table {name} has {rows} rows instead of 77": (counted, counted.replace(f" {rows}:", " 77:")),
        f"table {name} has its {rows} rows, but other content": (counted, counted.replace(digest, "77")),
        f"sequence public.{sequence['sequence']} is missing, or short of 123456": (
            last, last.replace(f" {sequence['last_value']}:", " 123456:"),
        ),
    }  # fmt: skip
    for sentence, (old, new) in wrong.items():
        assert old in text
        bare.script.write_text(text.replace(old, new))
        ended = bare.run("--only", "database", "--yes")
        assert ended.returncode == 1
        assert sentence in ended.stderr.splitlines()
        assert "the restored database is not what was dumped" in ended.stderr
        with pytest.raises(psycopg.OperationalError):
            bare.connect()
