"""The proof that a restored registry serves: every tag that the restored database knows is pulled whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import testenv
from testenv import Site, registry
from testenv.site import on_free_port
from tests.e2e.test_serve import pull

# No proxy cache, which need not have fetched everything, and no foreign layers, which are stored nowhere.
_TAGS = b"""
    SELECT a.repository_name, a.digest FROM tag t JOIN artifact a ON a.id = t.artifact_id
    JOIN project p ON p.project_id = a.project_id
    WHERE p.registry_id IS NULL AND a.repository_name NOT LIKE '%windows%' ORDER BY 1, 2"""


def every_tag(site: Site, database: str, tree: Path, new_home: Callable[[], Path]) -> int:
    """Pull them by digest from a registry over the restored tree; returns how many there were."""
    root = new_home()
    for part in ("run", "log"):
        (root / part).mkdir(parents=True)
    with testenv.connect(site, database) as connection:
        rows = connection.execute(_TAGS).fetchall()
    port = on_free_port(lambda port: registry.start(root, tree, port))
    try:
        for repository, digest in rows:
            pull(f"127.0.0.1:{port}/{repository}@{digest}", new_home())
    finally:
        registry.stop(root)
    return len(rows)
