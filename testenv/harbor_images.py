"""Images with the names of Harbor's own: Redis and the registry from Debian's packages, core a stand-in.

What they have in common is made once; each image is that with another program to start.
"""

from __future__ import annotations

import importlib.util
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from testenv import engine_image, standin_core, standin_jobservice

if TYPE_CHECKING:
    from testenv.engine import Engine

PLACE = "registry.test/goharbor"
_BASE = "drkit-harbor-base:test"
_PACKAGES = ("python3", "redis-tools", "docker-registry", "dash", "coreutils", "base-files")
# What the stand-in needs of the tests' own environment.
_MODULES = ("psycopg", "psycopg_binary", "cryptography", "cffi", "_cffi_backend", "typing_extensions")
STANDINS = {
    "harbor_core": Path(standin_core.__file__),
    "harbor_jobservice": Path(standin_jobservice.__file__),
}
_USER = 10000
_CACHE_USER = 999
_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nharbor:x:10000:10000::/:/bin/sh\nredis:x:999:999::/:/bin/sh\n",
    "etc/group": "root:x:0:\nharbor:x:10000:\nredis:x:999:\n",
    "entry-registry": "#!/bin/sh\nexec docker-registry serve /etc/registry/config.yml\n",
}


def build(engine: Engine, tag: str, schema: int, *, outward: str = "", jobs: bool = True, **more: str) -> str:
    """The images of one release, of which core brings `schema`; returns core's name."""
    _base(engine)
    core = f"{PLACE}/harbor-core:{tag}"
    variables = {"HARBOR_VERSION": f"{tag}-standin", "HARBOR_SCHEMA": str(schema), "OUTWARD": outward, **more}
    settings = [f"ENV {name}={value}" for name, value in variables.items() if value]
    program = 'ENTRYPOINT ["python3", "/harbor/harbor_core.py"]'
    _make(engine, core, [*settings, f"USER {_USER}", "WORKDIR /harbor", program])
    if jobs:
        program = 'ENTRYPOINT ["python3", "/harbor/harbor_jobservice.py", "-c", "/etc/jobservice/config.yml"]'
        _make(engine, f"{PLACE}/harbor-jobservice:{tag}", [*settings, f"USER {_USER}", program])
    _make(engine, f"{PLACE}/registry-photon:{tag}", [f"USER {_USER}", 'ENTRYPOINT ["/entry-registry"]'])
    options = '"--protected-mode", "no", "--save", "", "--dir", "/var/lib/redis"'
    program = f'ENTRYPOINT ["redis-server", {options}]'
    _make(engine, f"{PLACE}/redis-photon:{tag}", [f"USER {_CACHE_USER}", program])
    return core


def remove(engine: Engine, tag: str) -> None:
    """Remove the images of one release."""
    engine.docker("rmi", "--force", *engine.docker("images", "--quiet", f"{PLACE}/*:{tag}").split())


def _base(engine: Engine) -> None:
    if engine.docker("images", "--quiet", _BASE):
        return
    target = engine.root / "harbor.tar"
    engine_image.from_this_machine(_PACKAGES, target)
    with tarfile.open(target, "a") as tar:
        for name, text in _FILES.items():
            engine_image.add(tar, name, text.encode(), 0o755 if name.startswith("entry") else 0o644)
        # Debian's tool is the server as well, which goes by the name that it was called by.
        server = tarfile.TarInfo("usr/bin/redis-server")
        server.type, server.linkname = tarfile.SYMTYPE, "redis-check-rdb"
        tar.addfile(server)
        for name, source in STANDINS.items():
            engine_image.add(tar, f"harbor/{name}.py", source.read_bytes(), 0o644)
        for path in libraries():
            tar.add(path, f"libraries/{path.name}")
    engine.docker("import", "--change", "ENV PYTHONPATH=/libraries", str(target), _BASE)
    target.unlink()


def libraries() -> list[Path]:
    """What the stand-ins need beside Python, from the tests' own environment."""
    found = []
    for name in _MODULES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        found.append(origin.parent if origin.name == "__init__.py" else origin)
    # The shared libraries of psycopg's wheel stand beside it.
    return [*found, *found[0].parent.glob("psycopg_binary.libs")]


def _make(engine: Engine, name: str, changes: list[str]) -> None:
    container = engine.docker("create", "--entrypoint=sh", _BASE)
    words = [word for change in changes for word in ("--change", change)]
    # What was given to make it must not stay in the image.
    engine.docker("commit", *words, "--change", "CMD []", container, name)
    engine.docker("rm", container)
