"""What happens to a registry as time goes by: pushes, growth, garbage collection."""

from __future__ import annotations

import datetime
from random import Random
from typing import TYPE_CHECKING

from testenv import bulk, content, creation, images, people, plan, rows, signing
from testenv import site as sites
from testenv.filling import BucketRestore
from testenv.push import Pusher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

    from testenv.site import Site


def push_image(
    site: Site, project: str, repository: str, tag: str | None, layers: Sequence[bytes] | None = None
) -> str:
    """Push an image whose layers hold these bytes, and write all its rows; returns its digest.

    `repository` is the name within the project, which is made if it is not there. Without `layers` the image
    is a small one that nobody else has; without a tag it is an untagged artifact.
    """
    name = f"{project}/{repository}"
    if layers is None:
        layers = [Random(f"{name}:{tag}:{datetime.datetime.now(datetime.UTC)}").randbytes(3_000)]
    made = [content.make_layer(payload, f"pushed-{number}") for number, payload in enumerate(layers)]
    with sites.connect(site) as connection, Pusher(site.registry_url) as pusher:
        now = datetime.datetime.now(datetime.UTC)
        _ensure_project(_filling(site, connection, now), project)
        pushed = images.push_layers(pusher, name, tag, made)
        rows.record(connection, pushed, now)
        rows.refresh_quotas(connection)
    sites.give_to_harbor(site)
    return pushed.manifest.digest


def sign_image(site: Site, project: str, repository: str, digest: str) -> str:
    """Sign an image with the site's cosign key, rows and all; returns the digest of the signature."""
    name, now = f"{project}/{repository}", datetime.datetime.now(datetime.UTC)
    with sites.connect(site) as connection, Pusher(site.registry_url) as pusher:
        signature = signing.sign(site.root, pusher, site.registry_url, name, digest)
        artifact_id = rows.record(connection, signature, now)
        rows.record_accessory(connection, artifact_id, "signature.cosign", digest, now)
        rows.refresh_quotas(connection)
    sites.give_to_harbor(site)
    return signature.manifest.digest


def grow(site: Site, fraction: float, seed: int) -> None:
    """Add about that share of new blobs, in new images of the repositories that are there, and of new rows.

    Every call for a site needs a seed of its own.
    """
    label = f"g{seed}"
    with sites.connect(site) as connection, Pusher(site.registry_url) as pusher:
        layers, size = _blobs_now(connection)
        row_count = creation.count_rows(connection)
        names = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM repository WHERE name NOT LIKE %s ORDER BY 1", ("%windows%",)
            )
        ]
        count = max(1, round(layers * fraction))
        what = plan.make(
            names, tags=max(1, count // 4), layers=count, blob_bytes=int(size * fraction), label=label
        )
        filling = _filling(site, connection, datetime.datetime.now(datetime.UTC))
        creation.record_all(filling, images.push_plan(pusher, what), days=1)
        rows.refresh_quotas(connection)
        wanted = int(row_count * (1 + fraction)) - creation.count_rows(connection)
        bulk.fill(connection, wanted, seed, salt=f"-{label}")
    sites.give_to_harbor(site)


def garbage_collection(site: Site, status: str = "Running") -> int:
    """Write that Harbor runs a garbage collection (or has just ended one: `Success`); returns its id."""
    with sites.connect(site) as connection:
        row = connection.execute(
            "INSERT INTO execution (vendor_type, vendor_id, status, trigger, extra_attrs, start_time,"
            "   update_time, end_time, revision)"
            " SELECT 'GARBAGE_COLLECTION', -1, %(status)s::text, 'MANUAL', '{}', now(), now(),"
            "   CASE %(status)s::text WHEN 'Running' THEN NULL ELSE now() END, 1"
            " RETURNING id",
            {"status": status},
        ).fetchone()
        assert row is not None
        connection.execute(
            "INSERT INTO task (execution_id, job_id, status, status_code, run_count, vendor_type, start_time)"
            " VALUES (%s, md5(%s::text), %s, %s, 1, 'GARBAGE_COLLECTION', now())",
            (row[0], row[0], status, 2 if status == "Running" else 3),
        )
        return int(row[0])


def _filling(site: Site, connection: Connection, now: datetime.datetime) -> BucketRestore:
    """What writes rows into a site that is already there. What it plants is not written down."""
    return BucketRestore(
        connection, Random(f"later {now}"), now, site.planted["secret key"], dict(site.planted)
    )


def _ensure_project(filling: BucketRestore, name: str) -> None:
    known = filling.connection.execute("SELECT 1 FROM project WHERE name = %s", (name,)).fetchone()
    if not known:
        people.project(filling, name, [1], [], 0)


def _blobs_now(connection: Connection) -> tuple[int, int]:
    """How many layers there are, and how many bytes of them."""
    row = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0)::bigint FROM blob"
        " WHERE content_type ~ '(layer|rootfs.diff)' AND content_type !~ 'foreign'"
    ).fetchone()
    assert row is not None
    return row[0], row[1]
