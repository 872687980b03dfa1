"""Harbor's programs on a machine without docker: Redis and the registry are Debian's, the others stand in."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

from testenv.harbor_images import STANDINS, libraries

_REDIS = Path("/usr/bin/redis-check-rdb")


def build(directory: Path, schema: int, **more: str) -> Path:
    """Core and jobservice below a directory that is not there yet; returns core's program.

    Harbor's user must be able to pass through it. `more` are variables of the stand-ins' environment.
    """
    for path in (directory, directory / "migrations/postgresql", directory / "libraries", directory / "bin"):
        path.mkdir(parents=True)
        path.chmod(0o755)
    for library in libraries():
        target = directory / "libraries" / library.name
        if library.is_dir():
            shutil.copytree(library, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(library, target)
    (directory / "migrations/postgresql" / f"{schema:04}_2.x_schema.up.sql").touch()
    for name, origin in STANDINS.items():
        source = shutil.copy(origin, directory / f"{name}.py")
        variables = {
            "PYTHONPATH": str(directory / "libraries"),
            "HARBOR_VERSION": "packaged-standin",
            "HARBOR_SCHEMA": str(schema),
            **more,
        }
        told = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
        interpreter = Path(sys.executable).resolve()
        program = directory / name
        program.write_text(f'#!/bin/sh\nexec env {told} {interpreter} {source} "$@"\n')
        program.chmod(0o755)
    # Debian's tool is the server as well, which goes by the name that it was called by.
    (directory / "bin/redis-server").symlink_to(_REDIS)
    return directory / "harbor_core"
