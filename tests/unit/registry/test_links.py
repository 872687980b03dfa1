"""Links: what they hold must be what their path says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drkit.errors import ToolFailed
from drkit.registry import links, storage

_A, _B = "a" * 64, "b" * 64
_REPOSITORY = "docker/registry/v2/repositories/library/nginx"


def write(root: Path, path: str, held: str) -> None:
    place = root / _REPOSITORY / path / "link"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(held)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, f"_layers/sha256/{_A}", f"sha256:{_A}")
    write(tmp_path, f"_manifests/revisions/sha256/{_B}", f"sha256:{_B}")
    write(tmp_path, "_manifests/tags/v1/current", f"sha256:{_B}")
    write(tmp_path, f"_manifests/tags/v1/index/sha256/{_B}", f"sha256:{_B}")
    write(tmp_path, "_uploads/1", "")
    return tmp_path


def bad(root: Path) -> tuple[str, ...]:
    tally = links.LinkCount()
    for path in links.paths(root):
        tally.read(root, path)
    assert tally.proof().bad == len(tally.proof().bad_names)
    return tuple(name.removeprefix(f"{_REPOSITORY}/") for name in tally.proof().bad_names)


def test_sound_links_are_counted_and_uploads_left_out(root: Path) -> None:
    tally = links.LinkCount()
    for path in links.paths(root):
        tally.read(root, path)
    assert (tally.proof().links, tally.proof().bad) == (4, 0)
    assert list(links.revisions(root)) == [("library/nginx", f"sha256:{_B}")]


def test_what_cannot_be_read_is_no_empty_directory(root: Path) -> None:
    """A loop of symbolic links stands for every directory that the kernel does not open."""
    repositories = root / storage.REPOSITORIES
    repositories.rename(root / "moved")
    repositories.symlink_to(repositories)
    with pytest.raises(ToolFailed, match=f"cannot read {storage.REPOSITORIES}: "):
        list(links.paths(root))


def test_what_has_gone_is_passed_over(root: Path) -> None:
    found = links.paths(root)
    first = next(found)
    shutil.rmtree(root / _REPOSITORY)
    assert first.endswith("/link")
    assert list(found) == []


def test_a_tag_may_be_called_anything(root: Path) -> None:
    for tag in ("_uploads", "_layers", "_manifests", "link", "current", "index", "revisions"):
        write(root, f"_manifests/tags/{tag}/current", f"sha256:{_B}")
    found = set(links.paths(root))
    assert f"{_REPOSITORY}/_manifests/tags/_uploads/current/link" in found
    assert len(found) == 4 + 7
    assert ("library/nginx", "_uploads") in set(map(links.tag_in, found))
    assert len(set(map(links.tag_in, found)) - {None}) == 1 + 7
    assert list(links.revisions(root)) == [("library/nginx", f"sha256:{_B}")]


def test_signatures_of_old_registries_are_no_revisions(root: Path) -> None:
    write(root, f"_manifests/revisions/sha256/{_B}/signatures/sha256/{_A}", f"sha256:{_A}")
    assert list(links.revisions(root)) == [("library/nginx", f"sha256:{_B}")]
    assert bad(root) == ()


def test_a_blob_is_stored_by_its_sha256(root: Path) -> None:
    write(root, f"_layers/sha512/{'c' * 128}", f"sha256:{_A}")
    assert links.stored_digest(root, "library/nginx", f"sha512:{'c' * 128}") == f"sha256:{_A}"
    assert links.stored_digest(root, "library/nginx", f"sha512:{'d' * 128}") == f"sha512:{'d' * 128}"
    assert bad(root) == ()


@pytest.mark.parametrize(
    ("path", "held"),
    [
        (f"_layers/sha256/{_A}", ""),
        (f"_layers/sha256/{_A}", f"sha256:{_B}"),
        (f"_layers/sha256/{_A}", f"sha256:{_A}\n"),
        (f"_manifests/revisions/sha256/{_B}", "sha256:bbbb"),
        (f"_manifests/tags/v1/index/sha256/{_B}", f"sha256:{_A}"),
        ("_manifests/tags/v1/current", f"sha256:{_A}"),
        ("_manifests/tags/v1/current", f"sha256:{'B' * 64}"),
        ("_layers/sha256/short", "sha256:short"),
    ],
)
def test_what_a_registry_would_fail_on(root: Path, path: str, held: str) -> None:
    write(root, path, held)
    assert bad(root) == (f"{path}/link",)


def test_a_listing_shows_lengths_and_paths() -> None:
    tally = links.LinkCount()
    tally.look(f"{_REPOSITORY}/_layers/sha256/{_A}/link", 71)
    tally.look(f"{_REPOSITORY}/_layers/sha256/{_B}/link", 0)
    tally.look(f"{_REPOSITORY}/_layers/sha256/short/link", 71)
    assert (tally.proof().links, tally.proof().bad) == (3, 2)
