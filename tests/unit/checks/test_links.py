"""Links of a registry's tree, and the control that an empty one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.checks import images, manifests
from drkit.checks.finding import Control, Unplanted
from drkit.model import Outcome

A, B = "a" * 64, "b" * 64


def link(root: Path, place: str, text: str) -> Path:
    path = root / "docker/registry/v2/repositories" / place / "link"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_links_that_name_what_their_path_does(tmp_path: Path) -> None:
    link(tmp_path, f"library/nginx/_layers/sha256/{A}", f"sha256:{A}")
    link(tmp_path, f"library/a/b/_manifests/revisions/sha256/{B}", f"sha256:{B}")
    link(tmp_path, "library/a/b/_manifests/tags/latest/current", f"sha256:{B}")
    link(tmp_path, f"library/nginx/_uploads/x/_layers/sha256/{B}", "in flight")
    finding = manifests.links_hold(tmp_path)
    assert finding.outcome is Outcome.PASSED
    assert finding.detail == "3 links hold the digest that they stand for"


def test_empty_foreign_and_odd_links_are_named(tmp_path: Path) -> None:
    link(tmp_path, f"x/empty/_layers/sha256/{A}", "")
    link(tmp_path, f"x/foreign/_layers/sha256/{A}", f"sha256:{B}")
    link(tmp_path, f"x/newline/_layers/sha256/{A}", f"sha256:{A}\n")
    finding = manifests.links_hold(tmp_path)
    assert finding.outcome is Outcome.FAILED
    top = "docker/registry/v2/repositories/x"
    names = [f"{top}/{name}/_layers/sha256/{A}/link" for name in ("empty", "foreign", "newline")]
    assert finding.detail == f"3 of 3 links are bad: {', '.join(names)}"


def test_a_tag_of_a_manifest_that_the_database_does_not_have_is_told(tmp_path: Path) -> None:
    """So it is for a moment in each garbage collection, and for ever where one was cut off in it."""
    link(tmp_path, f"app/api/_layers/sha256/{A}", f"sha256:{A}")
    link(tmp_path, "app/api/_manifests/tags/stable/current", f"sha256:{B}")
    asked: list[tuple[str, str]] = []

    def has_image(repository: str, digest: str) -> bool:
        asked.append((repository, digest))
        return False

    finding = manifests.links_hold(tmp_path, has_image=has_image)
    assert finding.outcome is Outcome.PASSED
    assert finding.detail.endswith("; tags of manifests that the database does not have: 1 (app/api:stable)")
    assert asked == [("app/api", f"sha256:{B}")]


@pytest.mark.parametrize("held", [f"sha256:{B}", "", "sha256:bb"])
def test_a_tag_that_the_database_needs_or_that_holds_no_digest_is_bad(tmp_path: Path, held: str) -> None:
    link(tmp_path, "app/api/_manifests/tags/stable/current", held)
    finding = manifests.links_hold(tmp_path, has_image=lambda _repository, digest: digest == f"sha256:{B}")
    assert finding.outcome is Outcome.FAILED


def test_an_emptied_link_is_caught_in_a_copy(tmp_path: Path) -> None:
    original = link(tmp_path / "root", f"x/y/_layers/sha256/{A}", f"sha256:{A}")
    found = {
        control.name: control
        for control in images.controls(tmp_path / "root", tmp_path / "root", tmp_path / "scratch")
    }
    control = found["emptied link"]
    assert isinstance(control, Control)
    assert control.run().caught
    assert original.read_text() == f"sha256:{A}"


def test_where_there_is_nothing_to_plant_in_it_is_said(tmp_path: Path) -> None:
    found = list(images.controls(tmp_path / "root", tmp_path / "root", tmp_path / "scratch"))
    assert [control.name for control in found if isinstance(control, Unplanted)] == [
        "flipped byte",
        "truncated blob",
        "missing blob",
        "emptied link",
    ]
    assert len(found) == 4
