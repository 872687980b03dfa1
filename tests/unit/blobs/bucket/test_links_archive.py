"""What an archive of links may hold, and what is refused."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs.bucket import links_archive
from drkit.errors import RestoreDamaged

TOP = "docker/registry/v2/repositories"
DIGITS = "ab" * 32
LAYER = f"{TOP}/library/nginx/_layers/sha256/{DIGITS}/link"
REVISION = f"{TOP}/library/nginx/_manifests/revisions/sha256/{DIGITS}/link"
HELD = f"sha256:{DIGITS}".encode()


def member(name: str, content: bytes = HELD, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.mtime, made.mode = kind, len(content), 1_700_000_000, 0o644
    made.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return made, content


def packed(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for made, content in members:
            archive.addfile(made, io.BytesIO(content))
    return stream.getvalue()


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_links_come_back_as_a_registry_writes_them(tmp_path: Path, form: int) -> None:
    archive = packed(member(LAYER), member(REVISION, b""), form=form)
    assert links_archive.unpack(links_archive.read(pieces(archive)), tmp_path) == 2
    layer = tmp_path / LAYER
    assert layer.read_bytes() == HELD
    assert (tmp_path / REVISION).read_bytes() == b"", "an empty link comes back as it was"
    assert stat.S_IMODE(layer.stat().st_mode) == 0o644
    assert stat.S_IMODE(layer.parent.stat().st_mode) == 0o755
    assert layer.stat().st_mtime == 1_700_000_000


REFUSED = {
    "is not a link of a registry": [
        member(f"/{LAYER}"),
        member(f"{TOP}/../../../../../etc/link"),
        member(f"{TOP}/x/./link"),
        member(f"{TOP}/x//link"),
        member(f"docker/registry/v2/blobs/sha256/ab/{DIGITS}/data"),
        member(f"{TOP}/library/nginx/_uploads/1/link"),
        member(f"{TOP}/library/nginx/_layers/sha256/{DIGITS}/linked"),
        member(f"{TOP}/a\nb/_layers/link"),
        member("etc/cron.d/link"),
    ],
    "is not a file": [
        member(LAYER, b"", tarfile.SYMTYPE),
        member(LAYER, b"", tarfile.LNKTYPE),
        member(LAYER, b"", tarfile.CHRTYPE),
        member(LAYER, b"", tarfile.FIFOTYPE),
        member(f"{TOP}/library", b"", tarfile.DIRTYPE),
    ],
    "has 257 bytes, too many for a link": [member(LAYER, bytes(257))],
}


@pytest.mark.parametrize(
    ("why", "wrong"), [(why, wrong) for why, several in REFUSED.items() for wrong in several]
)
def test_what_is_no_link_is_refused_by_name(
    tmp_path: Path, why: str, wrong: tuple[tarfile.TarInfo, bytes]
) -> None:
    with pytest.raises(RestoreDamaged) as caught:
        links_archive.unpack(links_archive.read(pieces(packed(wrong))), tmp_path)
    assert caught.value.message == f"the archive of links cannot be trusted: {wrong[0].name!r} {why}"
    assert list(tmp_path.iterdir()) == []


def test_names_stand_once_and_in_order() -> None:
    for second, why in (
        (LAYER, "is there twice"),
        (f"{TOP}/a/link", "is not where it should be in the order"),
    ):
        with pytest.raises(RestoreDamaged) as caught:
            list(links_archive.read(pieces(packed(member(LAYER), member(second)))))
        assert why in caught.value.message


@given(st.data())
def test_a_cut_archive_is_never_taken_for_a_whole_one(data: st.DataObject) -> None:
    whole = packed(*(member(f"{TOP}/a{number:03}/_layers/sha256/{DIGITS}/link") for number in range(20)))
    end = len(whole.rstrip(b"\0"))
    cut = data.draw(st.integers(0, end + 100))
    with pytest.raises(RestoreDamaged):
        list(links_archive.read(pieces(whole[:cut])))


@given(st.data())
def test_noise_is_not_taken_for_the_end(data: st.DataObject) -> None:
    whole = bytearray(
        packed(*(member(f"{TOP}/a{number:03}/_layers/sha256/{DIGITS}/link") for number in range(5)))
    )
    header = data.draw(st.integers(0, 4)) * 1024
    whole[header : header + 512] = data.draw(st.binary(min_size=512, max_size=512).filter(any))
    with pytest.raises(RestoreDamaged):
        list(links_archive.read(pieces(bytes(whole))))


def test_whoever_makes_the_stream_has_the_last_word() -> None:
    def failing() -> Iterator[bytes]:
        yield packed(member(LAYER))
        raise RestoreDamaged("restic failed")

    with pytest.raises(RestoreDamaged, match="restic failed"):
        list(links_archive.read(failing()))
