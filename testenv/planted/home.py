"""A drkit with its keys, state and repository in one directory, and a bare host's."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from testenv.under_fire.guard import Guard
from testenv.under_fire.stored import Repository

_BARE = """
[site]
name = "{site}"
state = "{top}/state"

[[repository]]
name = "primary"
url = "{repository}"
password_file = "{top}/restic.password"
{more}
"""


@dataclass(frozen=True)
class Home:
    """Where everything of a drkit is."""

    top: Path
    site: str

    @property
    def state(self) -> Path:
        """Its state directory."""
        return self.top / "state"

    @property
    def cache(self) -> Path:
        """restic's cache."""
        return self.state / "cache"

    @property
    def location(self) -> Path:
        """The repository's directory."""
        return self.top / "repo"

    @property
    def identity(self) -> Path:
        """The age identity that `init` has made."""
        return self.top / "drill.agekey"

    @property
    def repository(self) -> Repository:
        """What restic alone reads of it."""
        return Repository(self.location, self.top / "restic.password")

    @property
    def guard(self) -> Guard:
        """Its drkit, from the same checkout as this."""
        here = Path(__file__).parents[2]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.top), "LC_ALL": "C.UTF-8"}
        words = (sys.executable, "-m", "drkit", "--config", str(self.top / "drkit.toml"))
        return Guard(words, {**environment, "PYTHONPATH": str(here)})

    def copy(self, top: Path) -> Home:
        """Another that shares the files of repository and cache, which restic never changes in place."""
        top.mkdir(mode=0o711)
        shutil.copytree(self.location, top / "repo", copy_function=os.link)
        shutil.copytree(self.state, top / "state", ignore=shutil.ignore_patterns("cache", "drills"))
        shutil.copytree(self.cache, top / "state" / "cache", copy_function=os.link)
        for path in self.top.iterdir():
            if path.is_file():
                shutil.copy2(path, top)
        config = top / "drkit.toml"
        config.write_text(config.read_text().replace(f"{self.top}/", f"{top}/"))
        return Home(top, self.site)

    def bare(self, top: Path, more: str = "") -> Home:
        """A host that has the same repository, its password and the identity, and nothing else."""
        top.mkdir(mode=0o711)
        for path in (self.top / "restic.password", self.identity):
            shutil.copy2(path, top)
        text = _BARE.format(site=self.site, top=top, repository=self.location, more=more)
        (top / "drkit.toml").write_text(text)
        return Home(top, self.site)
