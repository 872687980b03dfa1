"""The two ways to do the work: by hand and with drkit, each with a repository of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from testenv.benchmark.watch import CommandFailedError, Measured, measure

if TYPE_CHECKING:
    from testenv.site import Site

Work = Literal["backup", "drill"]
# From when a drill begins to restore blobs.
FIRST_PULL = "until the first image is pulled"
Stages = tuple[tuple[str, float], ...]

_BY_HAND = Path(__file__).resolve().parent.parent / "by-hand"


class Way(Protocol):
    """A way to protect a site; made in an empty directory of its own, it leaves nothing outside it."""

    @property
    def name(self) -> str:
        """What the tables call it."""

    @property
    def directory(self) -> Path:
        """Where it was made."""

    def do(self, work: Work) -> tuple[Measured, Stages]:
        """Do the work once, measured, and say what took how long."""


def drkit_program() -> Path:
    """The drkit beside the Python that runs this."""
    return Path(sys.executable).with_name("drkit")


@dataclass(frozen=True)
class ByHand:
    """testenv/by-hand."""

    directory: Path
    name: str = "by hand"

    @classmethod
    def prepare(cls, site: Site, directory: Path) -> ByHand:
        """Write its settings, and make its repository."""
        directory.mkdir(mode=0o711)
        identity, password, login = (directory / name for name in ("identity", "restic.password", "pgpass"))
        run("age-keygen", "-o", identity)
        for path, text in ((password, "by hand\n"), (login, f"*:*:*:*:{_escaped(site)}\n")):
            path.touch(mode=0o600)
            path.write_text(text)
        exported = {
            "RESTIC_REPOSITORY": directory / "repository",
            "RESTIC_PASSWORD_FILE": password,
            "RESTIC_CACHE_DIR": directory / "cache",
            "PGHOST": "127.0.0.1",
            "PGPORT": site.database_port,
            "PGUSER": site.database_user,
            "PGPASSFILE": login,
        }
        own = {
            "DATABASE": site.database_name,
            "BLOBS": site.blobs,
            "RECIPIENT": run("age-keygen", "-y", identity).strip(),
            "IDENTITY": identity,
            "SCRATCH": directory / "scratch",
        }
        secrets = (site.harbor_yml, site.data / "secret", site.tls, site.data / "ca_download")
        lines = [f"export {name}={shlex.quote(str(value))}" for name, value in exported.items()]
        lines += [f"{name}={shlex.quote(str(value))}" for name, value in own.items()]
        lines += [f"SECRETS=({' '.join(shlex.quote(str(path)) for path in secrets)})"]
        way = cls(directory)
        way.settings.write_text("\n".join(lines) + "\n")
        run(_BY_HAND, way.settings, "init")
        return way

    @property
    def settings(self) -> Path:
        """What the script sources."""
        return self.directory / "settings"

    def do(self, work: Work) -> tuple[Measured, Stages]:
        """See Way."""
        measured = measure([_BY_HAND, self.settings, work], self.directory / "log")
        pairs = [line.split("\t") for line in measured.output.splitlines()]
        return measured, tuple((name, float(seconds)) for name, seconds in pairs)


@dataclass(frozen=True)
class WithDrkit:
    """drkit itself, configured as `drkit init` does it."""

    directory: Path
    name: str = "drkit"

    @classmethod
    def prepare(cls, site: Site, directory: Path) -> WithDrkit:
        """Run `drkit init`."""
        directory.mkdir(mode=0o711)
        way = cls(directory)
        where = {"repository": directory / "repository", "output": way.config, "state": directory / "state"}
        options = [word for name, value in where.items() for word in (f"--{name}", value)]
        run(drkit_program(), "init", "--harbor", site.harbor_yml, *options)
        return way

    def without_drkit(self, path: Path) -> tuple[str | Path, ...]:
        """restic for a copy of the repository, at `path`, that opens with a key of restic's own making."""
        repository, password = self.directory / "repository", self.directory / "by-restic.password"
        # Nobody writes into a file of a repository.
        shutil.copytree(repository, path, copy_function=os.link)
        if not password.exists():
            password.touch(mode=0o600)
            password.write_text("by hand\n")
        words = ("restic", "--quiet", "--repo", path, "--no-cache", "--password-file")
        (quick,) = (key.name for key in (path / "keys").iterdir())
        run(*words, self.directory / "restic.password", "key", "add", "--new-password-file", password)
        run(*words, password, "key", "remove", quick)
        return ("restic", "--repo", path, "--password-file", password)

    @property
    def config(self) -> Path:
        """drkit.toml."""
        return self.directory / "drkit.toml"

    def do(self, work: Work) -> tuple[Measured, Stages]:
        """See Way."""
        command: list[str | Path] = [drkit_program(), "--config", self.config, work, "--json"]
        measured = measure(command, self.directory / "log")
        result = json.loads(measured.output)["result"]
        if work == "backup":
            named = [(f"{part['kind']} {part['name']}", part) for part in result["parts"]]
        else:
            named = [(stage["name"], stage) for stage in result["stages"]]
            named += [(f"check: {check['name']}", check) for check in result["checks"]]
        stages = [(name, entry["seconds"]) for name, entry in named]
        if work == "drill":
            (began,) = (s["started"] for s in result["stages"] if s["name"] == "restore the first image")
            stages.append((FIRST_PULL, result["first_pull_seconds"] - began))
        return measured, tuple(stages)


def _escaped(site: Site) -> str:
    """The database's password as libpq's password file has it."""
    return site.planted["database password"].replace("\\", "\\\\").replace(":", "\\:")


def run(*command: str | Path) -> str:
    """What a command prints; raises CommandFailedError."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CommandFailedError(f"{command} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout
