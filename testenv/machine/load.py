"""What a run brings into the machine: the checkout, its libraries, and restic, as one archive on a disk."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from testenv.processes import ServerError

_TOP = Path(__file__).parents[2]
# Where they are in the machine; testenv/machine/inside says the same.
_CHECKOUT, _LIBRARIES = "drkit", "opt/venv"
# Large, and for tests of pages and for linters alone.
_LEFT_OUT = ("playwright", "mypy", "mypyc", "ruff", "pip")


def pack(target: Path, cases: str) -> None:
    """Write the archive; `cases` is pytest's expression for those that are to run. Raises ServerError."""
    base = Path(sys.executable).resolve()
    if base.parent != Path("/usr/bin"):
        raise ServerError(f".venv is made with {base}: the machine has the distribution's own Python alone")
    restic = shutil.which("restic")
    if restic is None:
        raise ServerError("restic is not installed: run testenv/install")
    libraries = Path(sys.prefix)
    with tarfile.open(target, "w") as tar:
        for name in _tracked():
            if (_TOP / name).is_file():
                tar.add(_TOP / name, f"{_CHECKOUT}/{name}", recursive=False)
        tar.add(libraries, _LIBRARIES, filter=_wanted)
        # The package itself is found in the checkout.
        for path in libraries.rglob("_editable_impl_drkit.pth"):
            _add(tar, f"{_LIBRARIES}/{path.relative_to(libraries)}", f"/{_CHECKOUT}\n")
        tar.add(restic, "usr/bin/restic")
        _add(tar, "drkit.arguments", cases)


def _tracked() -> list[str]:
    """The files of the checkout as they are now, new ones too; what git ignores is not among them."""
    words = ("git", "-C", str(_TOP), "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ServerError(f"git does not list the checkout: {done.stderr.strip()}")
    return [name for name in done.stdout.split("\0") if name]


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    path = Path(member.name)
    left_out = path.name in _LEFT_OUT or path.name == "_editable_impl_drkit.pth"
    return None if left_out or path.name.endswith("__mypyc.cpython-311-x86_64-linux-gnu.so") else member


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(text.encode()), 0o644
    tar.addfile(member, io.BytesIO(text.encode()))
