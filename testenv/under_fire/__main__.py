"""The command line behind testenv/fire: a long campaign on a registry of its own."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import tomllib
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NoReturn

from testenv import creation, processes, sizes
from testenv import site as sites
from testenv.under_fire import figures
from testenv.under_fire.campaign import Campaign
from testenv.under_fire.guard import Guard
from testenv.under_fire.judge import Judge
from testenv.under_fire.scratch import scratch_server
from testenv.under_fire.stored import Repository

if TYPE_CHECKING:
    from testenv.site import Site


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign; 0 if every sealed point is whole, 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="testenv/fire", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="default: %(default)s")
    parser.add_argument("--points", type=int, default=1, help="go on until so many are sealed")
    parser.add_argument("--drills", type=int, default=5, help="full drills at the end (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what clients choose (default: %(default)s)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    top = Path(tempfile.mkdtemp(prefix="drkit-fire-", dir="/var/tmp"))
    # PostgreSQL runs as another user where we are root: it may pass through.
    top.chmod(0o711)
    try:
        site = creation.create(top / "site", sizes.TINY)
        guard, repository = _protect(top, site)
        with scratch_server(top / "scratch") as scratch:
            campaign = Campaign(site, guard, Judge(repository, scratch, str(site.blobs)), _say)
            seconds, random = options.minutes * 60, Random(options.seed)
            report = campaign.run(seconds, at_least=options.points, drills=options.drills, random=random)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except processes.ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        sites.destroy(top / "site")
        shutil.rmtree(top)
    print(figures.render(report), end="")
    return 0 if report.good else 1


def _protect(top: Path, site: Site) -> tuple[Guard, Repository]:
    """A drkit for the site, with a repository of its own."""
    config = top / "drkit" / "drkit.toml"
    environment = {"PATH": os.environ["PATH"], "HOME": str(top), "LC_ALL": "C.UTF-8"}
    guard = Guard((str(Path(sys.executable).with_name("drkit")), "--config", str(config)), environment)
    words = ("--harbor", site.harbor_yml, "--repository", top / "backup", "--state", top / "state")
    answer = guard.ask("init", "--output", str(config), *map(str, words))
    if answer.code != 0:
        raise processes.ServerError(f"drkit init: {answer.complaint}")
    password = tomllib.loads(config.read_text())["repository"][0]["password_file"]
    return guard, Repository(top / "backup", Path(password))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
