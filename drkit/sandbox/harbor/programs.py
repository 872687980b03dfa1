"""Harbor's programs where this machine has them installed: which, and which schema their core brings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import ToolMissing
from drkit.harbor import versions
from drkit.sandbox import registry as sandbox_registry
from drkit.sandbox.harbor.choice import NoImages
from drkit.tools.process.command import which

# Beside core, where its own working directory has them.
_MIGRATIONS = Path("migrations/postgresql")
_MIGRATION = re.compile(r"0*(\d+)_.*\.up\.sql")
_CACHES = ("valkey-server", "redis-server")


@dataclass(frozen=True)
class Programs:
    """What a Harbor is started from; `schema` is the one that its core brings, `tag` the release's name."""

    tag: str
    schema: int
    core: Path
    registry: Path
    cache: Path
    jobservice: Path | None

    @property
    def said(self) -> str:
        """Where it comes from, for people."""
        return str(self.core)


def find(core: Path, jobservice: Path | None, registry: Path | None) -> Programs | NoImages:
    """The programs of this machine, by the paths that the configuration has, or what is missing."""
    for path in (core, jobservice):
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            return NoImages(f"{path} is no program", "see core and jobservice in [drill]")
    schema = newest(path.name for path in _list(core.parent / _MIGRATIONS))
    if schema is None:
        return NoImages(
            f"there are no migrations in {core.parent / _MIGRATIONS}", "core wants them beside itself"
        )
    try:
        serving = Path(sandbox_registry.find(registry))
    except ToolMissing as error:
        return NoImages(error.message, error.hint)
    cache = next((found for name in _CACHES if (found := which(name))), None)
    if cache is None:
        return NoImages(f"neither {' nor '.join(_CACHES)} is installed here", "install one of them")
    tag = versions.named(schema).removeprefix("Harbor ")
    return Programs(tag, schema, core, serving, Path(cache), jobservice)


def newest(names: Iterable[str]) -> int | None:
    """The schema that the migrations of these names end with: `0190_2.16.0_schema.up.sql` is 190; pure."""
    return max((int(found[1]) for name in names if (found := _MIGRATION.fullmatch(name))), default=None)


def fit(found: Programs, schema: int, wanted: str | None) -> NoImages | None:
    """Why a core cannot be started on a schema, or is not of the release that is wanted; pure."""
    if wanted is not None:
        release = versions.release(wanted)
        if release is None or not versions.fits(release, found.schema):
            own = versions.describe(found.schema)
            return NoImages(f"{found.core} is of {own}, not of {wanted}", "see harbor_version in [drill]")
    if found.schema != schema:
        own, needed = versions.describe(found.schema), versions.named(schema)
        return NoImages(
            f"the point's schema {schema} needs {needed}, and {found.core} is of {own}",
            f"name a core of {needed} as core in [drill]",
        )
    return None


def fit_newer(found: Programs, schema: int, wanted: str) -> NoImages | None:
    """Why a core cannot take over from the point's own as that release; pure."""
    release = versions.release(wanted)
    if release is None or not versions.fits(release, found.schema):
        own = versions.describe(found.schema)
        return NoImages(f"{found.core} is of {own}, not of {wanted}", "name another as core in [drill]")
    if found.schema < schema:
        return NoImages(
            f"Harbor {wanted} is older than the point: its schema is {found.schema}, the point's is {schema}",
            "name a newer release: core takes no schema that it does not know",
        )
    return None


def _list(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []
