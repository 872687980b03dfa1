"""What evidence costs: the database part of a backup against plain pg_dump into restic, in turn."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testenv import creation
from testenv import site as sites
from testenv.benchmark.table import against, grid
from testenv.benchmark.watch import Measured, measure
from testenv.benchmark.ways import drkit_program, run
from testenv.cluster import programs
from testenv.sizes import Size

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.site import Site

AIM = 1.15
_CONFIG = """
[site]
name = "bench"
state = "{home}/state"

[[database]]
name = "registry"
dsn = "host=127.0.0.1 port={port} user={user} dbname={database}"
password_file = "{home}/database.password"

[[repository]]
name = "primary"
url = "{home}/drkit"
password_file = "{home}/restic.password"
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Place:
    site: Site
    home: Path

    def file(self, name: str, text: str) -> Path:
        path = self.home / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path


def report(directory: Path, rows: int, runs: int) -> str:
    """Measure on a registry of so many rows; every run begins with new repositories."""
    site = creation.create(directory / "site", Size.of(blobs="1MB", rows=rows))
    try:
        with sites.connect(site) as connection:
            connection.autocommit = True
            connection.execute("VACUUM (ANALYZE)")
            connection.execute("CHECKPOINT")
            held = creation.count_rows(connection)
        plain: list[Measured] = []
        ours: list[Measured] = []
        for number in range(runs):
            place = _prepare(site, directory / "run")
            turns = [(plain, _plain), (ours, _drkit)]
            for found, way in turns if number % 2 == 0 else turns[::-1]:
                load = os.getloadavg()[0]
                found.append(way(place))
                last = found[-1]
                said = "%s: %.1f s, %.1f s of the processor beside the server's (load %.1f before)"
                _log.info(said, way.__name__[1:], last.seconds, last.processor, load)
            shutil.rmtree(place.home)
        return _render(held, plain, ours)
    finally:
        sites.destroy(directory / "site")


def _prepare(site: Site, home: Path) -> _Place:
    home.mkdir(mode=0o700)
    place = _Place(site, home)
    password = site.planted["database password"]
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    place.file("pgpass", f"*:*:*:*:{escaped}\n")
    place.file("database.password", password + "\n")
    secret = place.file("restic.password", "bench\n")
    values = {"home": home, "port": site.database_port, "user": site.database_user}
    place.file("drkit.toml", _CONFIG.format(**values, database=site.database_name))
    run("restic", "init", "--repo", home / "plain", "--password-file", secret)
    # One key derivation for both: how long it takes is settled when a repository is made.
    shutil.copytree(home / "plain", home / "drkit")
    return place


def _plain(place: _Place) -> Measured:
    site, home = place.site, place.home
    server = ("-h", "127.0.0.1", "-p", str(site.database_port), "-U", site.database_user)
    dump = (f"PGPASSFILE={home}/pgpass", programs() / "pg_dump", *server, "-Fc", "-Z0", site.database_name)
    restic = ("restic", "--repo", home / "plain", "--password-file", home / "restic.password", "backup")
    options = ("--quiet", "--stdin-filename", "registry.dump", "--stdin-from-command", "--", "env")
    return measure([*restic, *options, *dump], home / "log")


def _drkit(place: _Place) -> Measured:
    found = measure(
        [drkit_program(), "--config", place.home / "drkit.toml", "backup", "--json"], place.home / "log"
    )
    for part in json.loads(found.output)["result"]["parts"]:
        _log.info("    %s: %.1f s", part["kind"], part["seconds"])
    return found


def _render(rows: int, plain: list[Measured], ours: list[Measured]) -> str:
    best = [min(found, key=lambda one: one.seconds) for found in (plain, ours)]
    ratio = best[1].seconds / best[0].seconds
    peak = max(one.own_peak for one in ours) / (1 << 20)
    table = grid(
        ("work", "pg_dump into restic (s)", "drkit (s)", "ratio", "aim", "drkit itself (MiB)"),
        [
            (
                "database with evidence, roles, digests and manifest",
                f"{best[0].seconds:.1f}",
                f"{best[1].seconds:.1f}",
                against(ratio, AIM),
                f"{AIM:g}",
                f"{peak:.0f}",
            )
        ],
    )
    pairs = ", ".join(f"{b.seconds / a.seconds:.2f}" for a, b in zip(plain, ours, strict=True))
    return f"A database of {rows:,} rows, {len(plain)} times in turn (ratios: {pairs}).\n\n{table}\n"
