"""A test site: create, load, start, stop, destroy, and lose parts of it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

import psycopg
from psycopg import Connection

from testenv import buckets, cluster, database, ownership, processes, registry, s3_server
from testenv.buckets import Storage

if TYPE_CHECKING:
    from collections.abc import Callable

MARKER = "testenv.json"


class NotASiteError(RuntimeError):
    """The directory exists, but it is not a test site: it will not be touched."""


@dataclass(frozen=True)
class Site:
    """Where everything is: below `root`, but for the socket (see cluster.private_directory)."""

    root: Path
    database_port: int
    registry_port: int
    size: str
    planted: dict[str, str]  # every secret value by name, for a search for leaks
    database_name: str = database.NAME
    database_user: str = "postgres"
    # Where the images are in a bucket, and the other provider's bucket that may keep them.
    images: Storage | None = None
    vault: Storage | None = None

    @property
    def data(self) -> Path:
        """Harbor's data_volume."""
        return self.root / "data"

    @property
    def installation(self) -> Path:
        """Where harbor.yml is."""
        return self.root / "harbor"

    @property
    def harbor_yml(self) -> Path:
        """The installation's settings."""
        return self.installation / "harbor.yml"

    @property
    def blobs(self) -> Path:
        """The registry's root directory, which holds docker/registry/v2; not there if `images` is set."""
        return self.data / "registry"

    @property
    def password_file(self) -> Path:
        """The database password of `database_user`."""
        return self.root / "database.password"

    @property
    def vault_credentials(self) -> Path:
        """The vault's keys, as drkit's `--vault-credentials` takes them."""
        return self.root / "vault.credentials"

    @property
    def services(self) -> tuple[Path, Path]:
        """Where the two S3 services stand: the one with the images, the one with the vault."""
        return services(self.root)

    @property
    def tls(self) -> Path:
        """The originals of certificate and key, which harbor.yml points to."""
        return self.root / "tls"

    @property
    def cosign(self) -> Path:
        """cosign.key, cosign.pub and cosign.password."""
        return self.root / "cosign"

    @property
    def registry_url(self) -> str:
        """The registry itself, without Harbor's login in front."""
        return f"http://127.0.0.1:{self.registry_port}"

    @property
    def dsn(self) -> str:
        """How to reach the database, without the password."""
        return (
            f"host=127.0.0.1 port={self.database_port} user={self.database_user} dbname={self.database_name}"
        )


def services(root: Path) -> tuple[Path, Path]:
    """Where a site has its S3 services, if it has any."""
    return root / "s3-images", root / "s3-vault"


def is_site(root: Path) -> bool:
    """Is there a test site of ours, complete or not? Directories in /var/tmp may be anybody's."""
    marker = root / MARKER
    return marker.is_file() and marker.stat().st_uid == os.getuid()


def is_complete(root: Path) -> bool:
    """Did `create` come to its end here?"""
    try:
        return bool(json.loads((root / MARKER).read_text())["complete"])
    except (OSError, json.JSONDecodeError):
        return False


def save(site: Site, *, complete: bool = False) -> None:
    """Write down what `load` needs; before anything else, so that `destroy` knows a half-made site."""
    path = site.root / MARKER
    path.touch(mode=0o600)
    path.write_text(json.dumps({**dataclasses.asdict(site), "root": None, "complete": complete}, indent=1))


def load(root: Path) -> Site:
    """The site in this directory; NotASiteError if there is none or it was never finished."""
    root = root.resolve()
    if not is_site(root):
        raise NotASiteError(f"{root} is not a test site")
    if not is_complete(root):
        raise NotASiteError(f"{root} is a test site that was never finished: remove it with testenv/down")
    raw: dict[str, Any] = json.loads((root / MARKER).read_text())
    del raw["complete"]
    raw |= {name: Storage(**raw[name]) for name in ("images", "vault") if raw.get(name)}
    return Site(**{**raw, "root": root})


def start(site: Site) -> None:
    """Start what does not run; ServerError where the images were in a service that has ended."""
    own = [directory for directory in site.services if directory.is_dir()]
    if not all(map(s3_server.running, own)):
        raise processes.ServerError(
            "the images were in the memory of a service that does not run any more: testenv/down, and anew"
        )
    cluster.start(site.root, site.database_port, site.planted["database password"])
    registry.start(site.root, site.images or site.blobs, site.registry_port)


def stop(site: Site) -> None:
    """Stop both servers. Buckets are with providers, whom this does not touch."""
    registry.stop(site.root)
    cluster.stop(site.root)


def running(site: Site) -> bool:
    """Do both servers run?"""
    return bool(cluster.running(site.root) and registry.running(site.root))


def destroy(root: Path) -> None:
    """Stop whatever runs and remove everything, however far it had got; nothing to do is fine."""
    root = root.resolve()
    if not root.exists():
        # The directory may have been removed by hand under running servers.
        registry.stop(root)
        _stop_services(root)
        cluster.destroy(root)
        return
    if not is_site(root) and any(root.iterdir()):
        raise NotASiteError(f"{root} is not a test site, and not empty: it will not be removed")
    registry.stop(root)
    _unmake_buckets(root)
    _stop_services(root)
    cluster.destroy(root)
    processes.stop(lambda: processes.inside("cosign", root / "cosign"), polite=signal.SIGTERM)
    shutil.rmtree(root)


def _unmake_buckets(root: Path) -> None:
    """Remove the buckets of a service that is not the site's own, and so does not go with it."""
    if not is_site(root) or any(directory.is_dir() for directory in services(root)):
        return
    raw: dict[str, Any] = json.loads((root / MARKER).read_text())
    for name in ("images", "vault"):
        if raw.get(name):
            buckets.unmake(Storage(**raw[name]))


def _stop_services(root: Path) -> None:
    for service in services(root):
        s3_server.stop(service)


def connect(site: Site, database_name: str | None = None) -> Connection:
    """A connection as superuser, to `registry` unless told otherwise."""
    return psycopg.connect(
        site.dsn,
        dbname=database_name or site.database_name,
        password=site.password_file.read_text().rstrip("\n"),
        options="-c timezone=UTC",
    )


def lose(site: Site, what: Literal["database", "blobs", "secrets"]) -> None:
    """The disaster. The servers themselves stay: what they served is gone."""
    match what:
        case "database":
            with connect(site, "postgres") as server:
                server.autocommit = True
                database.drop(server)
        case "blobs" if site.images:
            buckets.empty(site.images)
        case "blobs":
            shutil.rmtree(site.blobs, ignore_errors=True)
        case "secrets":
            for path in (
                site.installation,
                site.tls,
                site.cosign,
                site.data / "secret",
                site.data / "ca_download",
            ):
                shutil.rmtree(path, ignore_errors=True)
        case _:
            assert_never(what)


def on_free_port(start_server: Callable[[int], None]) -> int:
    """Start a server on a free port, and return that; if another process is quicker, on the next."""
    for port in processes.free_ports():
        try:
            start_server(port)
        except processes.PortTakenError:
            continue
        return port
    raise processes.ServerError("finds no free port")


def give_to_harbor(site: Site) -> None:
    """Let the data volume belong to Harbor's user, as it does where Harbor runs."""
    ownership.give(site.data)
