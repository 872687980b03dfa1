"""Tars that one reader takes otherwise than another: what drkit looks at must be what GNU's tar writes."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged
from drkit.secrets.bundle import unpack
from tests import needs

END = b"\0" * 1024
POSIX, GNU, OLD = b"ustar\x0000", b"ustar  \0", b"\0" * 8


def header(
    name: bytes,
    size: bytes = b"00000000000\0",
    kind: bytes = b"0",
    *,
    magic: bytes = POSIX,
    before: bytes = b"",
) -> bytes:
    """A header as it is on tape; `before` stands where POSIX has the beginning of a long name."""
    block = bytearray(512)
    fields = {0: name, 100: b"0000600\0" * 3, 124: size, 136: b"00000000000\0", 148: b" " * 8, 156: kind}
    for place, value in {**fields, 257: magic, 345: before}.items():
        block[place : place + len(value)] = value
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_data(
    name: bytes, data: bytes, kind: bytes = b"0", *, magic: bytes = POSIX, before: bytes = b""
) -> bytes:
    made = header(name, b"%011o\0" % len(data), kind, magic=magic, before=before)
    return made + data + b"\0" * (-len(data) % 512)


def attributes(*pairs: tuple[str, str]) -> bytes:
    """An extended header of POSIX's with these records."""
    data = b""
    for key, value in pairs:
        rest = f" {key}={value}\n".encode()
        length = next(n for n in range(len(rest), len(rest) + 9) if n == len(rest) + len(str(n)))
        data += str(length).encode() + rest
    return with_data(b"x", data, b"x")


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return with_data(b"././@LongLink", name + b"\0", kind, magic=GNU)


def named(name: str) -> bytes:
    return attributes(("path", name))


A = with_data(b"a", b"1")
ODD = {
    "a sparse file's name": (
        attributes(("GNU.sparse.name", "evil"), ("path", "a")) + A, "attributes that not",
    ),
    "a sparse file's size": (attributes(("GNU.sparse.realsize", "0")) + A, "attributes that not"),
    "a size beside the header's": (attributes(("size", "1")) + header(b"a") + A[512:], "attributes that not"),
    "a long name and an attribute": (long_name(b"evil") + named("a") + A, "several headers"),
    "an attribute and a long name": (named("a") + long_name(b"evil") + A, "several headers"),
    "two attributes": (named("evil") + named("a") + A, "several headers"),
    "attributes twice": (named("evil") + attributes(("mtime", "1")) + A, "several headers"),
    "two long names": (long_name(b"evil") + long_name(b"a") + A, "several headers"),
    "the root, and then a name": (
        named(".") + named("evil") + header(b"./", kind=b"5") + A, "several headers",
    ),
    "a beginning, GNU's format": (
        with_data(b"evil", b"1", magic=GNU, before=b"a"), "a beginning of its name where its format has none",
    ),
    "a beginning, the oldest format": (
        with_data(b"evil", b"1", magic=OLD, before=b"a"), "a beginning of its name where its format has none",
    ),
    "a file with a slash": (with_data(b"a/", b"1"), "is a file with the name of a directory"),
    "an empty file with a slash": (header(b"a/"), "is a file with the name of a directory"),
    "a slash by an attribute": (named("a/") + header(b"b"), "is a file with the name of a directory"),
    "a slash that an attribute takes away": (
        named("a") + header(b"a/", kind=b"\0"), "is a file with the name of a directory",
    ),
    "a directory with content": (header(b"a", b"00000001000\0", b"5") + A, "is a directory with content"),
    "a size with a low line": (header(b"a", b"0000000_010\0") + A[512:], "an invalid number in its header"),
    "a size with a prefix": (header(b"a", b"0o000000010\0") + A[512:], "an invalid number in its header"),
    "an owner that is none": (attributes(("uid", "root")) + A, "has an impossible owner"),
    "a time that is none": (attributes(("mtime", "1e3")) + A, "has an impossible time"),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_what_could_be_taken_otherwise_is_refused(what: str) -> None:
    data, why = ODD[what]
    with pytest.raises(RestoreDamaged) as caught:
        unpack(data + END)
    assert why in caught.value.message


@pytest.mark.parametrize(
    "what",
    ["a sparse file's name", "a long name and an attribute", "two attributes", "a beginning, GNU's format"],
)
def test_they_are_taken_otherwise_indeed(what: str, tmp_path: Path) -> None:
    """Python's reader and GNU's name the same member differently."""
    path = tmp_path / "odd.tar"
    path.write_bytes(ODD[what][0] + END)
    listed = subprocess.run(
        [needs.program("tar"), "-tf", str(path)], capture_output=True, text=True, check=True
    )
    with tarfile.open(path) as found:
        assert found.getnames() != listed.stdout.split()


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "ustar", "posix", "v7"])
def test_what_tar_itself_writes_is_plain(form: str, tmp_path: Path) -> None:
    top = tmp_path / "top"
    deep = top / "data" / ("deep" * 20)
    deep.mkdir(parents=True)
    name = "k" * (60 if form in ("ustar", "posix", "gnu", "oldgnu") else 5)
    (deep / name).write_bytes(b"key")
    (deep / "link").symlink_to(name)
    words = [needs.program("tar"), f"--format={form}", "-C", str(top), "-c", "data"]
    found = unpack(subprocess.run(words, capture_output=True, check=True).stdout)
    assert {m.path: m.data for m in found.members if m.kind == "file"} == {
        f"/data/{deep.name}/{name}": b"key"
    }
    assert [m.link for m in found.members if m.kind == "link"] == [name]
