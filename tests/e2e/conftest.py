"""A practice registry, and a drkit that looks after it: made once, copied where a test writes."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import Connection

import testenv
from testenv import Site
from tests import needs
from tests.e2e import accounts, initdb, processes
from tests.e2e.commands import Drkit, clone
from tests.weak_key import weaken, weaken_cosign

NEW_DATABASE = "restored"
_PROGRAMS = ("restic", "docker-registry", "age", "age-keygen", "cosign", "setpriv")


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory with a short name that everybody may pass through; nothing may be left running in it.

    Short for the Unix sockets of sandboxes, open for the user that their PostgreSQL runs as.
    """
    for program in _PROGRAMS:
        needs.program(program)
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        needs.missing("a PostgreSQL server is not installed: run testenv/install")
    directory = Path(tempfile.mkdtemp(prefix="drkit-e2e-", dir="/var/tmp"))
    directory.chmod(0o755)
    processes.adopt_orphans()
    yield directory
    left = processes.survivors(directory)
    shutil.rmtree(directory)
    assert not left, f"still running: {left}"


@pytest.fixture(scope="module", autouse=True)
def copied_initdb(place: Path) -> Iterator[None]:
    """Let sandboxes begin with a copy of what initdb has made."""
    with initdb.copied(place / "initdb"):
        yield


@pytest.fixture(scope="session")
def new_home(place: Path) -> Callable[[], Path]:
    """Names of directories that are not there yet."""
    numbers = itertools.count(1)
    return lambda: place / f"h{next(numbers)}"


@pytest.fixture(scope="session")
def site(place: Path) -> Iterator[Site]:
    """A registry that stays as it is: what a test does to it, the test undoes."""
    made = weaken_cosign(testenv.create(place / "site", testenv.TINY))
    accounts.embellish(made)
    yield made
    testenv.destroy(made.root)


@pytest.fixture(scope="session")
def server(site: Site) -> Iterator[Connection]:
    """A connection to the site's server that stays open, for whoever has to look or tidy up often."""
    with testenv.connect(site, "postgres") as connection:
        connection.autocommit = True
        yield connection


@pytest.fixture
def name(server: Connection) -> Iterator[str]:
    """The name of a database that is not there; it goes, with all that was set aside for it."""
    yield NEW_DATABASE
    like = "SELECT datname FROM pg_database WHERE datname LIKE %s"
    for (found,) in server.execute(like.encode(), (f"{NEW_DATABASE}%",)).fetchall():
        server.execute(f"DROP DATABASE {found} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def empty(site: Site, new_home: Callable[[], Path]) -> Drkit:
    """A drkit as `drkit init` sets it up, with an empty repository; to be copied."""
    made = Drkit(new_home())
    initialise(made, site)
    return made


def initialise(drkit: Drkit, site: Site) -> None:
    """Run `drkit init` for a site."""
    drkit.home.mkdir(exist_ok=True)
    cosign = ("--secret", str(site.cosign), "--cosign-password", str(site.cosign / "cosign.password"))
    vault = (
        ("--vault", site.vault.url, "--vault-credentials", str(site.vault_credentials)) if site.vault else ()
    )
    words = ("init", "--harbor", str(site.harbor_yml), *cosign, *vault)
    places = (
        "--repository",
        str(drkit.repository),
        "--output",
        str(drkit.config),
        "--state",
        str(drkit.state),
    )
    assert drkit.ask(*words, *places)["repository_made"] is True
    weaken(drkit.repository, drkit.restic_password.read_text().strip())
    # restic makes a directory when it needs one: without 256 empty ones a copy is quick.
    for directory in (drkit.repository / "data").iterdir():
        directory.rmdir()


@dataclass(frozen=True)
class Drilled:
    """A drkit with one sealed point, which a full drill has proven, and what the site was like then."""

    drkit: Drkit
    point: str
    database: dict[str, str]
    files: dict[str, str]


@pytest.fixture(scope="session")
def drilled(site: Site, empty: Drkit, new_home: Callable[[], Path]) -> Drilled:
    """One sealed and drilled point of the site; only to be read, or to be copied."""
    drkit = clone(empty, new_home())
    database = accounts.database(site)
    files = accounts.files(site.blobs, *accounts.protected(drkit))
    point = drkit.ask("backup")["id"]
    assert drkit.ask("drill")["outcome"] == "passed"
    return Drilled(drkit, point, database, files)


@pytest.fixture(scope="session")
def bucket_site(place: Path) -> Iterator[Site]:
    """A registry whose images are in a bucket; what a test does to it, the test undoes."""
    made = weaken_cosign(testenv.create(place / "bucketed", testenv.TINY, storage="s3"))
    accounts.embellish(made)
    yield made
    testenv.destroy(made.root)


@pytest.fixture(scope="session")
def bucket_empty(bucket_site: Site, new_home: Callable[[], Path]) -> Drkit:
    """A drkit for that registry as `drkit init` sets it up; to be copied, and given a vault of its own."""
    made = Drkit(new_home())
    initialise(made, bucket_site)
    return made


@pytest.fixture
def fresh(empty: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit of the test's own with an empty repository."""
    yield from _own(empty, new_home())


@pytest.fixture
def copy(drilled: Drilled, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit of the test's own with the drilled point."""
    yield from _own(drilled.drkit, new_home())


def _own(original: Drkit, home: Path) -> Iterator[Drkit]:
    made = clone(original, home)
    yield made
    shutil.rmtree(made.home)


@pytest.fixture(scope="session")
def root_only() -> None:
    """For what only root can do here."""
    if os.geteuid() != 0:
        needs.missing("this test needs root")
