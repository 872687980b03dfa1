"""What a campaign stands on: a tiny registry, a drkit with a few drilled points, and what they give back."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import testenv
from testenv import creation, processes, sizes
from testenv import site as sites
from testenv.planted.home import Home
from testenv.planted.judge import Account, account
from testenv.under_fire.judge import Judge
from testenv.under_fire.scratch import Scratch, scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testenv.site import Site


@dataclass
class Stand:
    """The site and its drkit; `points` says of each sound point what it gives back.

    `busy` is held by whoever changes the site or uses the scratch server.
    """

    top: Path
    site: Site
    home: Home
    scratch: Scratch
    points: dict[str, Account] = field(default_factory=dict)
    busy: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> str:
        """A sealed point, shown to be whole by plain pg_restore and restic."""
        point = sealed(self.home)
        judge = Judge(self.home.repository, self.scratch, str(self.site.blobs))
        # Of one in a bucket the judge of points under fire knows nothing.
        if self.site.vault is None and (wrong := judge.point(point)):
            raise processes.ServerError(f"a sound point is not whole: {wrong[:3]}")
        self.points[point] = account(self.home.repository, point, self.site.vault)
        return point


def sealed(home: Home) -> str:
    """Take a point; ServerError with what drkit says where none is sealed."""
    answer = home.guard.ask("backup")
    if answer.point is None:
        raise processes.ServerError(f"drkit backup: {answer.complaint}")
    return answer.point


@contextlib.contextmanager
def made(top: Path, points: int = 2, *, vault: bool = False) -> Iterator[Stand]:
    """A stand below a new directory, with so many points, the last of them drilled; gone afterwards.

    With a `vault` the images are in a bucket.
    """
    site = creation.create(top / "site", sizes.TINY, storage="s3" if vault else "filesystem")
    try:
        home = Home(top / "h", "registry.example.test")
        home.top.mkdir(mode=0o711)
        initialise(home, site)
        with scratch_server(top / "scratch") as scratch:
            stand = Stand(top, site, home, scratch)
            for number in range(points):
                if number:
                    testenv.push_image(site, "library", f"pushed-{number}", "v1")
                stand.take()
            answer = home.guard.ask("drill")
            if answer.code != 0:
                raise processes.ServerError(f"the drill of a sound point: {answer.complaint}")
            yield stand
    finally:
        sites.destroy(top / "site")


def initialise(home: Home, site: Site) -> None:
    """Let `drkit init` make configuration, keys and repository."""
    more = ["--secret", str(site.cosign), "--cosign-password", str(site.cosign / "cosign.password")]
    if site.vault:
        more += ["--vault", site.vault.url, "--vault-credentials", str(site.vault_credentials)]
    words = ("--harbor", site.harbor_yml, "--repository", home.location, "--state", home.state)
    answer = home.guard.ask("init", "--output", str(home.top / "drkit.toml"), *map(str, words), *more)
    if answer.code != 0:
        raise processes.ServerError(f"drkit init: {answer.complaint}")
    # restic makes a directory when it needs one: without 256 empty ones a copy is quick.
    for directory in (home.location / "data").iterdir():
        directory.rmdir()
