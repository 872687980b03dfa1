"""The registries' own programs: where they are, how they are built, and their configuration files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Of Go modules; the tags leave out what needs more than Go. Building zot takes ten minutes and more.
_MODULES = {
    "distribution": ("github.com/distribution/distribution/v3/cmd/registry@v3.1.2", ""),
    "zot": ("zotregistry.dev/zot/v2/cmd/zot@v2.1.20", "containers_image_openpgp"),
}
_VARIABLES = {"distribution": "REGISTRY", "zot": "ZOT"}


@dataclass(frozen=True)
class Program:
    """A registry's program, and how it is configured."""

    kind: str
    path: Path

    def configure(self, home: Path, port: int) -> Path:
        """Write its configuration, with its images in `home/images`."""
        root = str(home / "images")
        if self.kind == "zot":
            file = home / "config.json"
            document: dict[str, Any] = {
                "distSpecVersion": "1.1.1",
                "storage": {"rootDirectory": root, "dedupe": True, "gc": True},
                "http": {"address": "127.0.0.1", "port": str(port)},
                "log": {"level": "error"},
            }
            file.write_text(json.dumps(document))
            return file
        file = home / "config.yml"
        document = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": root}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{port}", "secret": "not-a-secret"},
        }
        file.write_text(yaml.safe_dump(document))
        return file


def found_or_built(kind: str, directory: Path) -> Program:
    """The program that its variable names, or one that is built below `directory` and kept there."""
    named = os.environ.get(_VARIABLES[kind])
    if named:
        return Program(kind, Path(named).absolute())
    module, tags = _MODULES[kind]
    path = directory / "bin" / module.partition("@")[0].rpartition("/")[2]
    if not path.exists():
        go = shutil.which("go")
        if go is None:
            raise SystemExit(f"registries: neither {_VARIABLES[kind]} nor go is there to have {kind} by")
        print(f"builds {module}: this takes a while", flush=True)
        words = ["nice", "-n", "19", go, "install", *(["-tags", tags] if tags else []), module]
        subprocess.run(words, check=True, env={**os.environ, "GOBIN": str(path.parent), "GOFLAGS": "-p=2"})
    return Program(kind, path)
