"""The command line behind testenv/up and testenv/down."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Literal

from testenv import creation, processes, sizes
from testenv import site as sites


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("testenv").setLevel(logging.INFO)
    directory: Path = options.directory.absolute()
    try:
        if options.command == "up":
            _up(directory, sizes.PRESETS[options.size], options.seed, "s3" if options.s3 else "filesystem")
        else:
            _down(directory)
    except (sites.NotASiteError, processes.ServerError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    base = Path(os.environ.get("XDG_STATE_HOME") or "/var/tmp")
    parser = argparse.ArgumentParser(prog="testenv", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", prog="testenv/up", help="bring a test site up, and leave it running")
    down = commands.add_parser("down", prog="testenv/down", help="stop a test site and remove it")
    up.add_argument("--size", choices=sorted(sizes.PRESETS), default="small", help="default: small")
    up.add_argument("--seed", type=int, default=1, help="the same seed gives the same images")
    up.add_argument("--s3", action="store_true", help="the images in a bucket, and a second one to keep them")
    for command in (up, down):
        command.add_argument(
            "--directory", type=Path, default=base / "drkit-testenv", help="default: %(default)s"
        )
    return parser


def _up(directory: Path, size: sizes.Size, seed: int, storage: Literal["filesystem", "s3"]) -> None:
    if sites.is_site(directory) and not sites.is_complete(directory):
        print("removes what an interrupted run has left", file=sys.stderr)
        sites.destroy(directory)
    if sites.is_site(directory):
        site = sites.load(directory)
        print("is already up" if sites.running(site) else "is there, and starts again", file=sys.stderr)
        if site.size != size.name:
            print(f"note: its size is {site.size}; testenv/down first for another", file=sys.stderr)
        if bool(site.images) != (storage == "s3"):
            print("note: its images are elsewhere; testenv/down first for another kind", file=sys.stderr)
        sites.start(site)
    else:
        site = creation.create(directory, size, seed, storage)
    print(_summary(site))


def _down(directory: Path) -> None:
    there = directory.exists()
    sites.destroy(directory)
    print(f"{directory} is gone" if there else f"there is nothing at {directory}")


def _summary(site: sites.Site) -> str:
    with sites.connect(site) as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM repository), (SELECT count(*) FROM artifact),"
            "  (SELECT count(*) FROM tag), (SELECT count(*) FROM blob),"
            "  (SELECT sum(size) / 1e6 FROM blob)"
        ).fetchone()
        assert found is not None
        rows = creation.count_rows(connection)
    repositories, artifacts, tags, blobs, megabytes = found
    directory = shlex.quote(str(site.root))
    return f"""
A registry to practise on is up ({site.size}).

  images        {artifacts:,} artifacts with {tags:,} tags in {repositories:,} repositories,
                {blobs:,} blobs of {megabytes:,.1f} MB together
  registry      {site.registry_url}
  blobs         {_blobs(site)}
  database      "{site.dsn}" ({rows:,} rows)
                password in {site.password_file}
  installation  {site.harbor_yml}
  secrets       {site.data / "secret"}
                {site.tls} (TLS), {site.cosign} (signing key)

Next:
  .venv/bin/drkit init --harbor {directory}/harbor/harbor.yml \\
      --repository {directory}/backup --state {directory}/state \\
      --output {directory}/drkit.toml{_vault(site, directory)}
Remove all of it:
  testenv/down --directory {directory}"""


def _blobs(site: sites.Site) -> str:
    if site.images is None:
        return str(site.blobs)
    return f"{site.images.where} at {site.images.endpoint} (in memory: gone when the machine restarts)"


def _vault(site: sites.Site, directory: str) -> str:
    if site.vault is None:
        return ""
    return (
        f" \\\n      --vault {site.vault.url} --vault-credentials {directory}/{site.vault_credentials.name}"
    )


if __name__ == "__main__":
    sys.exit(main())
