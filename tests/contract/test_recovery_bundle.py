"""The recovery script and drkit take a bundle alike: what one refuses the other refuses.

The script's own functions run, in each shell and with each tar, on a bundle that `age` has encrypted.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged
from drkit.model import Part, SecretFile
from drkit.points import recovery
from drkit.secrets.bundle import INDEX, Member, pack, unpack
from tests import needs, samples

MEMBERS = (
    Member("/data", "directory", 0o750, 1234, 1235, 0),
    Member("/data/a", "file", 0o600, 1234, 1235, 10**9, b"one"),
    Member("/data/b", "file", 0o750, 1234, 1235, 10**9, b"two"),
    Member("/data/it's a $(touch x) \\ \" name ", "file", 0o640, 1234, 1235, 10**9, b"odd"),
    Member("/data/größe " + "long" * 30, "file", 0o600, 0, 0, 10**9, b"long"),
    Member(f"/data/{INDEX}", "file", 0o600, 0, 0, 10**9, b"of another bundle"),
    Member("/data/link", "link", 0o777, 1234, 1235, 10**9, link="./a"),
    Member("/etc/link", "link", 0o777, 1234, 1235, 10**9, link="/data/a"),
)
TARS = ("tar", "busybox")


@dataclass(frozen=True)
class Glass:
    """What breaks the glass: a shell, a tar, an identity, and the script up to where it would ask restic."""

    home: Path
    shell: tuple[str, ...]
    recipient: str

    @property
    def gnu(self) -> bool:
        return (self.home / "bin/tar").resolve().name == "tar"

    @property
    def root(self) -> Path:
        return self.home / "root"

    def run(self, tar: bytes, members: tuple[Member, ...] = MEMBERS) -> subprocess.CompletedProcess[str]:
        """Look at the bundle and restore it, as the script does after it has fetched the seal."""
        (self.home / "scratch/seal").mkdir(parents=True, exist_ok=True)
        command = [needs.program("age"), "-r", self.recipient]
        sealed = subprocess.run(command, input=tar, capture_output=True, check=True).stdout
        (self.home / "scratch/seal/secrets.tar.age").write_bytes(sealed)
        files = tuple(SecretFile(m.path, len(m.data)) for m in members if m.kind == "file")
        part = Part("secrets", "secrets", "", "/secrets.tar.age", 1, 1, 1.0)
        point = samples.manifest("20261124-020000-4f2a9c", datetime(2026, 11, 24, 2, tzinfo=UTC))
        script = recovery.files(replace(point, parts=(part,), secret_files=files, databases=()), "tags")[
            "recover.sh"
        ]
        functions = script.partition('[ -z "$identity" ] || [ -r "$identity" ]')[0]
        text = f"{functions}\nscratch={self.home}/scratch seal={self.home}/scratch/seal\n"
        words = [*self.shell, "-c", f"{text}look_at_secrets\nrestore_secrets\nscratch=", "recover.sh"]
        options = ["--root", str(self.root), "--identity", str(self.home / "key")]
        environment = {"PATH": f"{self.home}/bin:{os.environ['PATH']}"}
        return subprocess.run(
            [*words, *options], capture_output=True, text=True, check=False, env=environment
        )


@pytest.fixture(params=[(shell, tar) for shell in ("dash", "busybox") for tar in TARS])
def glass(request: pytest.FixtureRequest, tmp_path: Path) -> Glass:
    shell, tar = request.param
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tar").symlink_to(needs.program(tar))
    key = tmp_path / "key"
    subprocess.run([needs.program("age-keygen"), "-o", str(key)], check=True, capture_output=True)
    recipient = key.read_text().split("public key: ")[1].split()[0]
    return Glass(tmp_path, (needs.program(shell), *(["sh"] if shell == "busybox" else [])), recipient)


def link_of(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - pathlib tidies it up


def found(root: Path) -> dict[str, tuple[object, ...]]:
    """What stands below a directory, by path: content or target, mode and, for root, owner."""
    made: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = link_of(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        owner = (status.st_uid, status.st_gid) if os.geteuid() == 0 else ()
        made[f"/{path.relative_to(root)}"] = (content, status.st_mode & 0o7777, owner)
    return made


def test_both_bring_the_same_back(glass: Glass) -> None:
    ended = glass.run(pack(MEMBERS))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    there = found(glass.root)
    assert set(there) == {*(member.path for member in MEMBERS), "/etc"}
    for member in MEMBERS:
        owner: object = (member.uid, member.gid) if os.geteuid() == 0 else ()
        # busybox leaves links to whoever makes them.
        owner = there[member.path][2] if member.link and not glass.gnu else owner
        assert there[member.path] == (member.link or member.data, member.mode, owner), member.path
    (glass.root / "data/a").unlink()
    assert glass.run(pack(MEMBERS)).returncode == 0, "an interrupted run is simply run again"
    assert found(glass.root) == there
    (glass.root / "data/a").write_bytes(b"mine")
    ended = glass.run(pack(MEMBERS))
    assert f"{glass.root}/data/a is there already" in ended.stderr
    assert (glass.root / "data/a").read_bytes() == b"mine"


def test_directories_that_exist_stay_as_they_are(glass: Glass) -> None:
    """With GNU's tar, that is: busybox' gives them the bundle's mode."""
    (glass.root / "data").mkdir(parents=True, mode=0o711)
    assert glass.run(pack(MEMBERS)).returncode == 0
    assert (glass.root / "data").stat().st_mode & 0o7777 == (0o711 if glass.gnu else 0o750)


def entry(
    name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(data), link
    return info, data


SYMLINK = tarfile.SYMTYPE
STRANGERS = {
    "a stranger": ([entry("etc/cron.d/x", b"x")], "etc/cron.d/x is not what this point lists"),
    "above": ([entry("../x", b"x")], "../x leaves its root"),
    "absolute": ([entry("/etc/x", b"x")], "leaves its root"),
    "otherwise written": ([entry("./data/a", b"one")], "./data/a leaves its root"),
    "one twice": ([entry("data/a", b"one")], "data/a appears twice"),
    "a directory in place of a file": ([entry("data/a", kind=tarfile.DIRTYPE)], "data/a appears twice"),
    "below a link": (
        [entry("out", kind=SYMLINK, link="data"), entry("out/d", kind=tarfile.DIRTYPE)],
        "stands below",
    ),
    "a link out": ([entry("ssh", kind=SYMLINK, link="/root/.ssh")], "ssh leads out of it"),
    "a link up and out": ([entry("etc/ssh", kind=SYMLINK, link="../../root")], "etc/ssh leads out of it"),
    "its root": ([entry(".", kind=tarfile.DIRTYPE)], "leaves its root"),
    "a device": ([entry("mem", kind=tarfile.CHRTYPE)], "mem is neither file, directory nor symbolic link"),
    "a pipe": ([entry("p", kind=tarfile.FIFOTYPE)], "p is neither file, directory nor symbolic link"),
    "a hard link": ([entry("x", kind=tarfile.LNKTYPE, link="data/a")], "x is neither file, directory nor"),
    "the index twice": ([entry(INDEX, b"{}")], "appears twice"),
}


def with_more(more: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """The bundle, and more in it, of which the index knows."""
    members = read(pack(MEMBERS))
    index = json.loads(members[0][1])
    index["files"] |= {
        f"/{info.name}": hashlib.sha256(data).hexdigest() for info, data in more if info.isreg()
    }
    return written([entry(INDEX, json.dumps(index, indent=1).encode()), *members[1:], *more])


def read(tar: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return [
            (copy.copy(i), f.read() if i.isreg() and (f := archive.extractfile(i)) else b"") for i in archive
        ]


def written(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.slow
def test_a_hostile_bundle_fools_neither(glass: Glass) -> None:
    for what, (more, why) in STRANGERS.items():
        tar = with_more(more)
        ended = glass.run(tar)
        assert (ended.returncode, glass.root.exists()) == (1, False), (what, ended)
        assert "error: the secrets bundle is refused: " in ended.stderr, what
        # busybox' tar takes `../` and `/` away before it says a name.
        assert why in ended.stderr or (what in ("above", "absolute") and not glass.gnu), what
        with pytest.raises(RestoreDamaged):
            unpack(tar)


@pytest.mark.parametrize("mode", [0o4750, 0o2750, 0o1750])
def test_a_file_that_would_run_as_somebody_else_is_refused(glass: Glass, mode: int) -> None:
    """drkit packs none; who makes a bundle by other means could become root by one."""
    ended = glass.run(pack((*MEMBERS, Member("/data/x", "file", mode, 0, 0, 10**9, b"x"))))
    assert (ended.returncode, glass.root.exists()) == (1, False)
    assert "data/x would run as somebody else, or is of another odd kind" in ended.stderr


def test_names_that_are_given_twice(glass: Glass) -> None:
    """Python's reader takes one, GNU's the other, busybox' a third."""
    members = read(pack(MEMBERS))
    members[2][0].pax_headers = {"GNU.sparse.name": "etc/cron.d/x", "path": "data/a"}
    tar = written(members)
    with pytest.raises(RestoreDamaged):
        unpack(tar)
    ended = glass.run(tar)
    if glass.gnu:
        assert (ended.returncode, glass.root.exists()) == (1, False)
        assert "etc/cron.d/x is not what this point lists" in ended.stderr


def test_files_that_hold_what_another_should(glass: Glass) -> None:
    """The same hashes, but of other files."""
    members = read(pack(MEMBERS))
    place = [info.name for info, _ in members].index("data/a")
    (first, one), (second, two) = members[place : place + 2]
    members[place : place + 2] = [(first, two), (second, one)]
    ended = glass.run(written(members))
    assert ended.returncode == 1
    assert "the secret files are not what was packed: use another point" in ended.stderr
    with pytest.raises(RestoreDamaged, match="is not what its index says"):
        unpack(written(members))
