"""Links: what they hold must be what their path says."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.harbor import links

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
    tally = links.Tally()
    for path in links.paths(root):
        tally.read(root, path)
    assert tally.proof().bad == len(tally.proof().bad_names)
    return tuple(name.removeprefix(f"{_REPOSITORY}/") for name in tally.proof().bad_names)


def test_sound_links_are_counted_and_uploads_left_out(root: Path) -> None:
    tally = links.Tally()
    for path in links.paths(root):
        tally.read(root, path)
    assert (tally.proof().links, tally.proof().bad) == (4, 0)
    assert list(links.revisions(root)) == [("library/nginx", f"sha256:{_B}")]


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
    tally = links.Tally()
    tally.look(f"{_REPOSITORY}/_layers/sha256/{_A}/link", 71)
    tally.look(f"{_REPOSITORY}/_layers/sha256/{_B}/link", 0)
    tally.look(f"{_REPOSITORY}/_layers/sha256/short/link", 71)
    assert (tally.proof().links, tally.proof().bad) == (3, 2)
