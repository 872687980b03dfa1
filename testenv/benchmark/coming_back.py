"""`drkit restore` against the same by hand: restic restore, then pg_restore; and after a loss of images."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testenv import creation
from testenv import site as sites
from testenv.benchmark.table import against, grid
from testenv.benchmark.watch import measure, settle
from testenv.benchmark.ways import WithDrkit, drkit_program, run

if TYPE_CHECKING:
    from pathlib import Path

    from testenv.site import Site
    from testenv.sizes import Size

WHOLE_AIM, LOSS_AIM = 0.7, 0.15
_LOSS = 100
_BY_HAND = """\
set -euo pipefail
cd "$1" && mkdir blobs dump
restic restore --quiet "$2" --target blobs
restic restore --quiet "$3" --target dump
createdb --template template0 by_hand
pg_restore --exit-on-error --jobs "$(nproc)" --dbname by_hand dump/*.dump
"""


@dataclass(frozen=True)
class _Restored:
    """Seconds: everything by hand and by drkit; the images alone by restic, by drkit, and after a loss."""

    by_hand: float
    drkit: float
    images_by_restic: float
    images: float
    after_loss: float


def report(directory: Path, size: Size, runs: int) -> str:
    """The best times of so many runs, as a table."""
    site = creation.create(directory / "site", size)
    try:
        way = WithDrkit.prepare(site, directory / "drkit")
        way.do("backup")
        found = [_measure(site, way, directory) for _ in range(runs)]
    finally:
        sites.destroy(directory / "site")
    best = {name: min(getattr(each, name) for each in found) for name in _Restored.__annotations__}
    pairs = (
        ("everything, against by hand", "by_hand", "drkit", WHOLE_AIM),
        ("images after a loss of 1%, against all of them", "images", "after_loss", LOSS_AIM),
        ("images after a loss of 1%, against restic's", "images_by_restic", "after_loss", LOSS_AIM),
    )
    rows = [
        (what, f"{best[a]:.1f}", f"{best[b]:.1f}", against(best[b] / best[a], aim), f"{aim:g}")
        for what, a, b, aim in pairs
    ]
    heads = ("restore", "compared with (s)", "drkit (s)", "ratio", "aim")
    return (
        f"{grid(heads, rows)}\n\n"
        "By hand nothing is verified; drkit hashes every blob and compares every table.\n"
    )


def _measure(site: Site, way: WithDrkit, directory: Path) -> _Restored:
    shown = json.loads(run(drkit_program(), "--config", way.config, "show", "latest", "--json"))["result"]
    snapshots = {part["kind"]: part["snapshot"] for part in shown["parts"]}
    scratch = directory / "restored"
    log, plain = directory / "log", directory / "plain"
    *_, by_restic_password = way.without_drkit(plain)
    login = {
        "RESTIC_REPOSITORY": str(plain),
        "RESTIC_PASSWORD_FILE": str(by_restic_password),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(site.database_port),
        "PGUSER": site.database_user,
        "PGPASSWORD": site.planted["database password"],
    }
    os.environ.update(login)
    where = f"host=127.0.0.1 port={site.database_port} user={site.database_user} dbname=by_drkit"
    password = way.directory / "restored.password"
    password.touch(mode=0o600)
    password.write_text(login["PGPASSWORD"])
    restore = (drkit_program(), "--config", way.config, "restore", "latest", "--yes", "--root", scratch)
    to_database = ("--database-dsn", where, "--database-password-file", password)

    def again(*command: str | Path) -> float:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        settle(plain, way.directory)
        return measure(command, log).seconds

    try:
        by_hand = again("bash", "-c", _BY_HAND, "bash", scratch, snapshots["blobs"], snapshots["database"])
        ours = again(*restore, *to_database)
        by_restic = again("restic", "restore", "--quiet", snapshots["blobs"], "--target", scratch)
        images = again(*restore, "--only", "blobs")
        for number, path in enumerate(sorted(scratch.rglob("blobs/sha256/*/*/data"))):
            if number % _LOSS == 0:
                path.unlink()
        settle(scratch, way.directory)
        after = measure([*restore, "--only", "blobs", "--replace"], log).seconds
    finally:
        for path in (scratch, plain):
            shutil.rmtree(path, ignore_errors=True)
        for name in ("by_hand", "by_drkit"):
            run("dropdb", "--if-exists", name)
    return _Restored(by_hand, ours, by_restic, images, after)
