"""Names of volume snapshots."""

from __future__ import annotations

import pytest

from drkit.volumes import freeze

RUN = "20261130-094653-cc957a"


@pytest.mark.parametrize("site", ["a" * 200, "a-" * 100, "-" * 100, "registry.example.com"])
def test_the_kernels_name_of_a_logical_volume_is_not_too_long(site: str) -> None:
    """lvcreate: "Name ... too long". It is made of both names, and every hyphen in them is doubled."""
    group, snapshot = "ubuntu-vg-of-some-machine", freeze.prefix(site) + RUN
    kernel = f"{group.replace('-', '--')}-{snapshot.replace('-', '--')}-cow"
    assert len(kernel) < 128


def test_a_usual_name_is_there_in_full() -> None:
    assert freeze.prefix("registry.example.com") == "drkit-registry.example.com-"
    assert freeze.prefix("registry-of-all-teams.example.com") == "drkit-registry-of-all-teams.example.com-"
