"""Making a site: servers, keys, images and rows, the slow parts side by side."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import logging
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Literal

from testenv import (
    buckets,
    bulk,
    cluster,
    content,
    database,
    harbor_yml,
    images,
    keys,
    people,
    plan,
    policies,
    registry,
    rows,
    s3_server,
    signing,
)
from testenv import site as sites
from testenv.buckets import Storage
from testenv.filling import BucketRestore
from testenv.push import Pusher
from testenv.rows import Pushed

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

    from testenv.site import Site
    from testenv.sizes import Size

WINDOWS = "library/windows-app"

_log = logging.getLogger(__name__)


def create(
    root: Path, size: Size, seed: int = 1, storage: Literal["filesystem", "s3"] = "filesystem"
) -> Site:
    """Build a site and leave it running; what went wrong half-way is removed again.

    With `s3` the images are in a bucket, and there is a second service with a bucket to keep them in.
    """
    root = root.resolve()
    if root.exists() and (any(root.iterdir()) or root.stat().st_uid != os.getuid()):
        raise sites.NotASiteError(f"{root} is there already, and not empty or not yours")
    for directory in (root, root / "log", root / "run"):
        directory.mkdir(parents=True, exist_ok=True)
    site = sites.Site(root=root, database_port=0, registry_port=0, size=size.name, planted=_secrets(seed))
    sites.save(site)
    _log.info("starts a PostgreSQL and a registry of its own, and makes keys")
    try:
        site = _start_servers(_with_buckets(site, seed) if storage == "s3" else site, size)
        _fill(site, size, seed)
    except BaseException:
        sites.destroy(root)
        raise
    sites.give_to_harbor(site)
    sites.save(site, complete=True)
    return site


def _secrets(seed: int) -> dict[str, str]:
    """The secrets that are known before anything runs. The database's own needs quoting everywhere."""
    random = Random(f"secrets {seed}")
    head, tail = keys.token(random), keys.token(random)
    return {
        "database password": f"{head}:'$ %#\"\\{tail}",
        "database password, first half": head,
        "database password, second half": tail,
        f"password of role {database.OWNER}": keys.token(random),
        f"password of role {database.READER}": keys.token(random),
        "administrator password": keys.token(random),
        "secret key": keys.token(random, 16),
        "cosign password": keys.token(random),
    }


def _with_buckets(site: Site, seed: int) -> Site:
    """Two providers with a bucket each; the vault keeps versions, and can lock them."""
    random = Random(f"buckets {seed}")
    found = buckets.elsewhere()
    made = []
    for directory, name, prefix in zip(
        site.services, ("images", "vault"), ("registry", "of-harbor"), strict=True
    ):
        if found:
            endpoint, key_id, secret = found
        else:
            endpoint = s3_server.start(directory).endpoint
            key_id, secret = f"AKIA{keys.token(random, 16).upper()}", keys.token(random, 40)
        made.append(Storage(endpoint, f"drkit-{name}-{secrets.token_hex(4)}", prefix, key_id, secret))
    images, vault = made
    # Written down before they are made: elsewhere they would outlive the site.
    sites.save(dataclasses.replace(site, images=images, vault=vault))
    buckets.make(images)
    buckets.make(vault, lockable=True)
    buckets.write_credentials(vault, site.vault_credentials)
    planted = site.planted | {"key of the images": images.secret, "key of the vault": vault.secret}
    site = dataclasses.replace(site, images=images, vault=vault, planted=planted)
    sites.save(site)
    return site


def _start_servers(site: Site, size: Size) -> Site:
    """Start both servers and make the keys meanwhile; returns the site with its ports and all its secrets."""
    password = site.planted["database password"]
    keys.write(site.password_file, password.encode(), secret=True)
    with ThreadPoolExecutor(2) as pool:
        made = pool.submit(
            keys.make,
            site.root,
            site.data,
            secret_key=site.planted["secret key"],
            cosign_password=site.planted["cosign password"],
            token_key_bits=size.token_key_bits,
        )
        cluster.create(site.root, password)
        database_port = sites.on_free_port(lambda port: cluster.start(site.root, port, password))
        registry_port = sites.on_free_port(
            lambda port: registry.start(site.root, site.images or site.blobs, port)
        )
        planted = site.planted | made.result()
    site = dataclasses.replace(
        site, database_port=database_port, registry_port=registry_port, planted=planted
    )
    sites.save(site)
    harbor_yml.write(site)
    return site


def _fill(site: Site, size: Size, seed: int) -> None:
    _make_database(site)
    repositories = plan.repository_names(size.projects, size.repositories)
    what = plan.make(
        repositories, tags=size.tags, layers=size.layers, blob_bytes=size.blob_bytes, label=str(seed)
    )
    with (
        sites.connect(site) as connection,
        ThreadPoolExecutor(1) as pool,
        Pusher(site.registry_url) as pusher,
    ):
        _log.info("pushes %d images of %.0f MB", len(what.images()), size.blob_bytes / 1e6)
        pushed = pool.submit(images.push_plan, pusher, what)
        filling = BucketRestore(
            connection,
            Random(f"rows {seed}"),
            datetime.datetime.now(datetime.UTC),
            site.planted["secret key"],
            site.planted,
        )
        fill_before_images(filling, size)
        record_all(filling, pushed.result(), days=500)
        _extras(filling, site, pusher, pushed.result())
        rows.refresh_quotas(connection)
        _log.info("fills %s rows", f"{size.rows:,}")
        bulk.fill(connection, size.rows - count_rows(connection), seed)
        database.create_indices(connection)


def _make_database(site: Site) -> None:
    with sites.connect(site, "postgres") as server:
        server.autocommit = True
        roles = (database.OWNER, database.READER)
        database.create(server, {role: site.planted[f"password of role {role}"] for role in roles})
    with sites.connect(site) as connection:
        database.create_tables(connection)


def fill_before_images(filling: BucketRestore, size: Size) -> None:
    """Fill what an administrator sets up."""
    policies.fill_scanners(filling)
    people.fill(filling, size.users, size.projects, policies.fill_endpoints(filling))
    policies.fill_settings(filling)
    ids = [row[0] for row in filling.connection.execute("SELECT project_id FROM project ORDER BY 1")]
    policies.fill_policies(filling, ids)


def record_all(filling: BucketRestore, pushed: list[list[Pushed]], *, days: float) -> None:
    """Write the rows of all pushes, the oldest first."""
    times = sorted(filling.past(days) for _ in pushed)
    for when, entry in zip(times, pushed, strict=True):
        for manifest in entry:
            rows.record(filling.connection, manifest, when)


def _extras(filling: BucketRestore, site: Site, pusher: Pusher, pushed: list[list[Pushed]]) -> None:
    """One each of what is rarer: a signature, an SBOM, a foreign layer, a system artifact."""
    connection, when = filling.connection, filling.past(1)
    image = next(entry[0] for entry in pushed if entry[0].tags and not entry[0].manifest.is_index)
    signature = signing.sign(site.root, pusher, site.registry_url, image.repository, image.manifest.digest)
    signature_id = rows.record(connection, signature, when)
    rows.record_accessory(connection, signature_id, "signature.cosign", image.manifest.digest, when)
    sbom = images.push_sbom(pusher, image.repository, image.manifest)
    sbom_id = rows.record(connection, sbom, when)
    rows.record_accessory(connection, sbom_id, "sbom.harbor", image.manifest.digest, when)
    rows.record(connection, images.push_foreign(pusher, WINDOWS, "v1.0.0-ltsc2025"), when)
    _system_artifact(filling, pusher)
    connection.execute(
        "INSERT INTO label_reference (label_id, artifact_id)"
        " SELECT l.id, min(a.id) FROM harbor_label l JOIN artifact a USING (project_id) GROUP BY l.id"
    )
    connection.execute(
        "INSERT INTO sbom_report (uuid, artifact_id, registration_uuid, mime_type, media_type, report)"
        " SELECT md5(a.digest), a.id, s.uuid, 'application/vnd.security.sbom.report+json; version=1.0',"
        "   'application/spdx+json', json_build_object('artifact', a.digest, 'note', 'Zoë''s')"
        " FROM artifact a, scanner_registration s WHERE s.is_default AND a.digest = %s",
        (image.manifest.digest,),
    )
    filling.insert(
        "artifact_trash",
        media_type=content.OCI_CONFIG,
        manifest_media_type=content.OCI_MANIFEST,
        repository_name=image.repository,
        digest="sha256:" + hashlib.sha256(b"deleted").hexdigest(),
    )


def _system_artifact(filling: BucketRestore, pusher: Pusher) -> None:
    """An export of scan data: the registry holds it, but no row of `blob` knows of it."""
    body = b"CVE,Package\nCVE-2024-3094,xz\n" * 20
    repository, vendor = "scandata_export_7", "scan_data_export"
    digest = content.digest_of(body)
    pusher.blob(f"sys_harb0r/{vendor}/{repository}", digest, body)
    filling.insert(
        "system_artifact",
        repository=repository,
        digest=digest,
        size=len(body),
        vendor=vendor,
        type="ScanData_CSV",
    )


def count_rows(connection: Connection) -> int:
    """The rows of all tables together."""
    tables = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    union = " UNION ALL ".join(f"SELECT count(*) AS n FROM public.{name}" for (name,) in tables)
    row = connection.execute(f"SELECT sum(n)::bigint FROM ({union}) counts".encode()).fetchone()
    assert row is not None
    return int(row[0])
