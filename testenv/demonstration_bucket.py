"""The demonstration's second registry: its images are in a bucket, and a bucket elsewhere keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testenv import creation, registry, sizes, telling
from testenv import site as sites

if TYPE_CHECKING:
    from pathlib import Path


def demonstrate(top: Path) -> None:
    """Back up, lose the bucket, restore into it and into a directory; the site is left standing."""
    telling.heading("8. Another registry has its images in a bucket, and a vault with another provider")
    site = creation.create(top / "bucketed", sizes.TINY, storage="s3")
    assert site.images is not None
    assert site.vault is not None
    image = telling.any_image(site)
    config = top / "drkit-of-bucket" / "drkit.toml"
    telling.drkit(
        config,
        "--quiet",
        *("init", "--harbor", site.harbor_yml, "--repository", top / "backup-of-bucket"),
        *("--state", top / "state-of-bucket"),
        *("--vault", site.vault.url, "--vault-credentials", site.vault_credentials),
    )
    telling.drkit(config, "backup")
    sites.lose(site, "blobs")
    print(f"lost: every object in {site.images.where}")
    telling.drkit(config, "restore", "latest", "--only", "blobs", "--yes")
    telling.must_pull(site.registry_url, image)
    telling.drkit(config, "--quiet", "drill")
    telling.drkit(config, "points")

    telling.heading("9. Or it goes into a directory, and a registry serves it from there")
    root = top / "moved"
    telling.drkit(config, "restore", "latest", "--only", "blobs", "--yes", "--root", root)
    blobs = next(root.rglob("docker")).parent
    port = sites.on_free_port(lambda port: registry.start(_home(top), blobs, port))
    try:
        telling.must_pull(f"http://127.0.0.1:{port}", image)
    finally:
        registry.stop(_home(top))


def _home(top: Path) -> Path:
    """Where the registry over the directory stands."""
    for directory in (home := top / "registry", home / "log", home / "run"):
        directory.mkdir(exist_ok=True)
    return home
