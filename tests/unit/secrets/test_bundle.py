"""The secrets bundle: the same bytes for the same files, readable without drkit, nothing hostile in it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.errors import RestoreDamaged
from drkit.secrets.bundle import INDEX, LIMIT, Bundle, Member, pack, unpack
from drkit.secrets.bundle_paths import leads_to, link_target
from tests import needs

SOME_TIME = 1_795_500_000_123_456_789


def file(path: str, data: bytes = b"data", *, mode: int = 0o600, mtime_ns: int = SOME_TIME) -> Member:
    return Member(path, "file", mode, 10_000, 10_001, mtime_ns, data)


def directory(path: str) -> Member:
    return Member(path, "directory", 0o750, 10_000, 10_001, SOME_TIME)


def link(path: str, target: str) -> Member:
    return Member(path, "link", 0o777, 0, 0, SOME_TIME, link=target)


INSTALLATION = [
    directory("/data/secret"),
    directory("/data/secret/keys"),
    file("/data/secret/keys/secretkey", b"naa4JtarA1Zsc3uY", mode=0o600),
    link("/data/secret/current", "keys/secretkey"),
    link("/etc/ssl/harbor.key", "/data/secret/keys/secretkey"),
    file("/opt/harbor/harbor.yml", b"hostname: h\n", mode=0o644),
    file("/opt/harbor/größe , name", b"", mtime_ns=SOME_TIME // 10**9 * 10**9),
]


def test_what_went_in_comes_out() -> None:
    found = unpack(pack(INSTALLATION, b"a key"))
    assert found == Bundle(tuple(sorted(INSTALLATION, key=lambda m: m.path)), True, b"a key")


def test_an_empty_bundle() -> None:
    assert unpack(pack([])) == Bundle()


def test_the_same_members_give_the_same_bytes() -> None:
    shuffled = Random(1).sample(INSTALLATION, len(INSTALLATION))
    assert pack(shuffled) == pack(INSTALLATION)


names = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=120
)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3)
files = st.builds(
    file,
    paths.map(lambda parts: "/" + "/".join(parts)),
    st.binary(max_size=2000),
    mode=st.integers(0, 0o7777),
    mtime_ns=st.integers(0, 4 * 10**18),
)


def as_a_disk_has_them(members: list[Member]) -> bool:
    """No file stands below another one."""
    taken = {PurePosixPath(member.path) for member in members}
    return not any(taken & set(path.parents) for path in taken)


@given(st.lists(files, max_size=5, unique_by=lambda member: member.path).filter(as_a_disk_has_them))
def test_any_names_contents_modes_and_times(members: list[Member]) -> None:
    assert unpack(pack(members)).members == tuple(sorted(members, key=lambda member: member.path))


def test_a_name_that_is_no_utf_8() -> None:
    member = file("/etc/" + os.fsdecode(b"\xff\xfe"))
    assert unpack(pack([member])).members == (member,)


def test_tar_itself_reads_it(tmp_path: Path) -> None:
    """What recovery needs must not need drkit."""
    (tmp_path / "bundle.tar").write_bytes(pack(INSTALLATION))
    subprocess.run([needs.program("tar"), "-xpf", "bundle.tar"], cwd=tmp_path, check=True)
    for member in INSTALLATION:
        path = tmp_path / member.path.lstrip("/")
        found = path.lstat()
        match member.kind:
            case "file":
                assert path.read_bytes() == member.data
                assert stat.S_IMODE(found.st_mode) == member.mode
                assert found.st_mtime_ns == member.mtime_ns
            case "directory":
                assert path.is_dir()
                assert stat.S_IMODE(found.st_mode) == member.mode
            case "link":
                assert str(path.readlink()) == member.link
        if os.geteuid() == 0:
            assert (found.st_uid, found.st_gid) == (member.uid, member.gid)
    index = json.loads((tmp_path / INDEX).read_text())
    assert sorted(index["files"]) == sorted(m.path for m in INSTALLATION if m.kind == "file")
    assert index["schema"] == 2


# Hostile and damaged bundles


def entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def bundle(*entries: tarfile.TarInfo, index: object = None) -> bytes:
    """A bundle whose index is right, with entries that `pack` would never write."""
    body = json.dumps({"files": {}} if index is None else index).encode()
    return raw((entry(INDEX, size=len(body)), body), *((info, b"") for info in entries))


def raw(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A bare header, which may lie."""
    return entry(name, kind, size=size).tobuf(tarfile.GNU_FORMAT)


def for_all(path: str) -> bytes:
    """An archive whose global header gives every member without one of its own this path."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": path}
    ) as tar:
        tar.addfile(entry(INDEX, size=13), io.BytesIO(b'{"files": {}}'))
    return buffer.getvalue()


GOOD = pack([file("/etc/one", b"1" * 2000), file("/etc/two", b"2" * 2000)])
SYMLINK, HARD, PIPE = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE
ZEROS = b"\0" * 1024

HOSTILE = {
    "absolute": (bundle(entry("/etc/passwd")), "member '/etc/passwd' leaves its root"),
    "above": (bundle(entry("../etc/passwd")), "member '../etc/passwd' leaves its root"),
    "above, in the middle": (bundle(entry("a/../../b")), "member 'a/../../b' leaves its root"),
    "above, to the same place": (bundle(entry("a/../a")), "member 'a/../a' leaves its root"),
    "nothing": (bundle(entry(".")), "member '.' leaves its root"),
    "a name with an end": (
        bundle(entry("x", pax_headers={"path": "a\0b"})),
        r"member 'a\x00b' leaves its root",
    ),
    "a link above": (bundle(entry("a", SYMLINK, linkname="../x")), "link '/a' leaves the bundle"),
    "a link to the root": (bundle(entry("a", SYMLINK, linkname="/")), "link '/a' leaves the bundle"),
    "a link elsewhere": (
        bundle(entry("etc/a", SYMLINK, linkname="/etc/shadow")),
        "link '/etc/a' leaves the bundle",
    ),
    "below a link": (
        bundle(
            entry("etc", tarfile.DIRTYPE),
            entry("a", SYMLINK, linkname="etc"),
            entry("a/b", tarfile.DIRTYPE),
        ),
        "member '/a/b' stands below a link",
    ),
    "twice": (
        bundle(entry("a", tarfile.DIRTYPE), entry("a", tarfile.DIRTYPE)),
        "member '/a' appears twice",
    ),
    "twice, otherwise written": (
        bundle(entry("a/b", tarfile.DIRTYPE), entry("./a//b", tarfile.DIRTYPE)),
        "member '/a/b' appears twice",
    ),
    "a hard link": (
        bundle(entry("a", HARD, linkname="etc/passwd")),
        "member 'a' is neither file, directory nor symbolic link",
    ),
    "a pipe": (bundle(entry("a", PIPE)), "member 'a' is neither file, directory nor symbolic link"),
    "a block device": (
        bundle(entry("sda", tarfile.BLKTYPE, devmajor=8)),
        "member 'sda' is neither file, directory nor symbolic link",
    ),
    "a character device": (
        bundle(entry("mem", tarfile.CHRTYPE, devmajor=1, devminor=1)),
        "member 'mem' is neither file, directory nor symbolic link",
    ),
    "huge": (header("a", LIMIT + 1) + ZEROS, "member 'a' makes it larger than 256 MiB"),
    "headers without end": (
        (header("././@LongLink", 2, tarfile.GNUTYPE_LONGNAME) + b"a" + b"\0" * 511) * 3000 + ZEROS,
        "it is not a tar: maximum recursion depth exceeded",
    ),
    "immense": (header("a", 1 << 80) + ZEROS, "member 'a' makes it larger than 256 MiB"),
    "huge by its attributes": (
        header("a", 1 << 80, tarfile.XHDTYPE) + ZEROS,
        "it is not a tar: ",
    ),
    "of less than no size": (header("a", -512) + ZEROS, ""),
    "a time that is none": (
        bundle(entry("a", pax_headers={"mtime": "yesterday"})),
        "member 'a' has an impossible time",
    ),
    "a sparse file's map that is none": (
        bundle(entry("a", pax_headers={"GNU.sparse.map": "x", "GNU.sparse.size": "1"})),
        "it is not a tar: invalid literal for int() with base 10: 'x'",
    ),
    "written above by an attribute": (
        bundle(entry("a", pax_headers={"path": "../b"})),
        "member '../b' leaves its root",
    ),
    "written elsewhere by an attribute": (
        bundle(entry("a", pax_headers={"path": "/b"})),
        "member '/b' leaves its root",
    ),
    "a link elsewhere by an attribute": (
        bundle(entry("a", SYMLINK, linkname="b", pax_headers={"linkpath": "/etc/shadow"}), entry("b")),
        "link '/a' leaves the bundle",
    ),
    "huge by an attribute": (
        bundle(entry("a", pax_headers={"size": str(1 << 40)})),
        "member 'a' makes it larger than 256 MiB",
    ),
    "attributes for all": (
        for_all("../x"),
        "it has attributes that are meant for all of its members",
    ),
    "a line break in its name": (
        bundle(entry("a\nsecrets bundle: passed")),
        r"member 'a\nsecrets bundle: passed' has a control character in its name",
    ),
    "a terminal's command in its name": (
        bundle(entry("a\x1b[2J")),
        r"member 'a\x1b[2J' has a control character in its name",
    ),
    "a terminal's command of one letter": (
        bundle(entry("a\x9b2J")),
        r"member 'a\x9b2J' has a control character in its name",
    ),
    "a longer name than there can be": (
        bundle(entry("a" * 256)),
        f"member '{'a' * 80}'... has a longer name than any file can have",
    ),
    "deeper than there can be": (
        bundle(entry("a/" * 30_000 + "a")),
        f"member '{'a/' * 40}'... has a longer name than any file can have",
    ),
    "a link to nothing": (bundle(entry("a", SYMLINK)), "link '/a' leaves the bundle"),
    "a link to itself": (bundle(entry("a", SYMLINK, linkname="a")), "link '/a' leaves the bundle"),
    "links in a circle": (
        bundle(entry("a", SYMLINK, linkname="b"), entry("b", SYMLINK, linkname="a")),
        "link '/a' leaves the bundle",
    ),
    "a link that leads elsewhere by way of another": (
        bundle(
            entry("d", tarfile.DIRTYPE),
            entry("d/e", tarfile.DIRTYPE),
            entry("d/e/f", tarfile.DIRTYPE),
            entry("shadow", tarfile.DIRTYPE),
            entry("s", SYMLINK, linkname="d/e/f"),
            entry("a", SYMLINK, linkname="s/../shadow"),
        ),
        "link '/a' leaves the bundle",
    ),
    "its own root, with an index": (
        raw(
            (entry(".", tarfile.DIRTYPE), b""),
            (entry(INDEX, size=13), b'{"files": {}}'),
        ),
        "its root directory is one of its members",
    ),
    "its own root, later on": (
        bundle(entry("a", tarfile.DIRTYPE), entry(".", tarfile.DIRTYPE)),
        "member '.' leaves its root",
    ),
    "a line break in where it leads": (
        bundle(entry("a", SYMLINK, linkname="b\nc")),
        "member 'a' has a control character in its name",
    ),
    "a file through a link": (
        bundle(entry("etc", tarfile.DIRTYPE), entry("a", SYMLINK, linkname="etc"), entry("a/passwd")),
        "member '/a/passwd' stands below a link",
    ),
    "a file through a link that comes later": (
        bundle(entry("etc", tarfile.DIRTYPE), entry("a/passwd"), entry("a", SYMLINK, linkname="etc")),
        "member '/a/passwd' stands below a link",
    ),
    "below a file": (bundle(entry("a"), entry("a/b")), "member '/a/b' stands below a file"),
    "a hard link to a member": (
        bundle(entry("b"), entry("a", HARD, linkname="b")),
        "member 'a' is neither file, directory nor symbolic link",
    ),
    "of nobody": (bundle(entry("a", uid=1 << 32)), "member 'a' has an impossible owner"),
    "of no group": (bundle(entry("a", gid=(1 << 32) - 1)), "member 'a' has an impossible owner"),
    "of a time that cannot be": (
        bundle(entry("a", pax_headers={"mtime": "99999999999999"})),
        "member 'a' has an impossible time",
    ),
    "another mode than its index says": (
        bundle(
            entry("a", tarfile.DIRTYPE, mode=0o4777),
            index={
                "files": {},
                "members": {"/a": {"kind": "directory", "what": "", "mode": "0700", "uid": 0, "gid": 0}},
            },
        ),
        "'/a' is not what its index says",
    ),
    "members that are not there": (
        bundle(index={"files": {}, "members": {"/a": {}}}),
        "its index names members that are not there",
    ),
    "members of another kind": (bundle(index={"files": {}, "members": []}), "its index names no members"),
    "a key that is none": (
        bundle(index={"files": {}, "fingerprint_key": "xyz"}),
        "its index cannot be read: the key of fingerprints is no number",
    ),
    "a second archive behind the first": (GOOD + GOOD, "it is damaged, or cut short, before its end"),
    "a stranger": (bundle(entry("a")), "'/a' is not what its index says"),
    "one that is not there": (
        bundle(index={"files": {"/gone": "0" * 64}}),
        "'/gone' is not what its index says",
    ),
    "with its index at the end": (
        raw((entry("a"), b""), (entry(INDEX), b"")),
        "drkit-bundle.json is not the first of its members",
    ),
    "an index that is none": (raw((entry(INDEX, size=2), b"{]")), "its index cannot be read: "),
    "an index without end": (
        raw((entry(INDEX, size=99_999), b"[" * 99_999)),
        "its index cannot be read: maximum recursion depth exceeded",
    ),
    "an index of another kind": (bundle(index=[]), "its index names no files"),
    "an index of nothing": (bundle(index={}), "its index names no files"),
    "an index of a list": (bundle(index={"files": []}), "its index names no files"),
    "nothing at all": (b"", "it is not a tar: "),
    "zeros": (b"\0" * 10_240, "there is nothing in it"),
    "something else": (b"PK\x03\x04" * 512, "it is not a tar: "),
    "cut in a header": (GOOD[:300], "it is not a tar: "),
    "cut in a file": (GOOD[: GOOD.index(b"2" * 100) + 700], "it is not a tar: "),
    "cut between files": (
        GOOD[: GOOD.index(b"2" * 100) - 1536],
        "it is damaged, or cut short, before its end",
    ),
    "altered": (GOOD.replace(b"1" * 2000, b"1" * 1999 + b"0"), "'/etc/one' is not what its index says"),
    "with an altered index": (
        GOOD.replace(b'"/etc/one": "', b'"/etc/six": "'),
        "'/etc/one' is not what its index says",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_refused(what: str) -> None:
    data, why = HOSTILE[what]
    with pytest.raises(RestoreDamaged) as caught:
        unpack(data)
    assert caught.value.message.startswith(f"the secrets bundle is refused: {why}")
    assert caught.value.hint == "restore the secrets from another point"


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_sparse_file_is_refused(tmp_path: Path, form: str) -> None:
    """A few bytes that would become 200 MiB."""
    with (tmp_path / "holes").open("wb") as holes:
        holes.truncate(200 << 20)
    command = [needs.program("tar"), f"--format={form}", "-cSf", "bundle.tar", "holes"]
    subprocess.run(command, cwd=tmp_path, check=True)
    data = (tmp_path / "bundle.tar").read_bytes()
    assert len(data) < 1 << 20
    with pytest.raises(RestoreDamaged, match="member 'holes' is a sparse file"):
        unpack(data)


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "v7"])
def test_a_tar_made_by_hand(tmp_path: Path, form: str) -> None:
    """Read all the same; but nobody wrote down what was in the files."""
    secret = tmp_path / "data/secret"
    secret.mkdir(parents=True)
    (secret / "secretkey").write_bytes(b"naa4JtarA1Zsc3uY")
    (secret / "secretkey").chmod(0o600)
    (secret / "link").symlink_to("secretkey")
    command = [needs.program("tar"), f"--format={form}", "-C", str(tmp_path), "-c", "."]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    found = unpack(data)
    assert not found.indexed
    members = {member.path: member for member in found.members}
    assert sorted(members) == ["/data", "/data/secret", "/data/secret/link", "/data/secret/secretkey"]
    key = members["/data/secret/secretkey"]
    assert (key.data, key.mode, key.uid) == (b"naa4JtarA1Zsc3uY", 0o600, os.getuid())
    for cut in (data[: data.index(b"naa4") + 512], data.rstrip(b"\0")):
        with pytest.raises(RestoreDamaged, match=r"cut short|unexpected end"):
            unpack(cut)


def test_a_bundle_of_the_first_schema() -> None:
    body = b'{"schema": 1, "files": {"/a": "%s"}}' % hashlib.sha256(b"x").hexdigest().encode()
    data = raw((entry(INDEX, size=len(body)), body), (entry("a", size=1), b"x"))
    found = unpack(data)
    assert found.indexed
    assert [(member.path, member.what) for member in found.members] == [("/a", "")]


def test_what_each_member_is_comes_back() -> None:
    member = replace(file("/data/secret/keys/secretkey"), what="secret key")
    assert unpack(pack([member])).members == (member,)
    index = json.loads(pack([member])[512:].split(b"\0", 1)[0])
    assert index["members"]["/data/secret/keys/secretkey"] == {
        "kind": "file",
        "what": "secret key",
        "mode": "0600",
        "uid": 10_000,
        "gid": 10_001,
    }


def test_many_files_together_are_as_huge_as_one() -> None:
    with pytest.raises(RestoreDamaged, match="member 'etc/two' makes it larger than"):
        unpack(GOOD, limit=3000)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_gives_other_files(place: int, change: int) -> None:
    """It is refused, or it hit what does not matter (padding, a checksum's spaces)."""
    damaged = GOOD[:place] + bytes([GOOD[place] ^ change]) + GOOD[place + 1 :]
    try:
        found = unpack(damaged)
    except RestoreDamaged:
        return
    assert {m.path: m.data for m in found.members} == {m.path: m.data for m in unpack(GOOD).members}


@given(st.binary(max_size=3000))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(RestoreDamaged):
        unpack(data)


def test_a_time_before_there_were_times() -> None:
    member = file("/a", mtime_ns=-1_500_000_000)
    assert unpack(pack([member])).members == (member,)
    assert b" mtime=-1.500000000\n" in pack([member]), "as every other tar reads it"


@pytest.mark.parametrize(
    ("path", "target", "leads"),
    [
        ("/etc/a", "b", "/etc/b"),
        ("/etc/a", "./x/../b", "/etc/b"),
        ("/etc/a", "../b", "/b"),
        ("/etc/a", "../../../b", "/b"),
        ("/etc/a", "/srv/b", "/srv/b"),
    ],
)
def test_where_a_link_leads(path: str, target: str, leads: str) -> None:
    assert link_target(path, target) == leads
    assert leads_to(path, {path: target}) == leads
