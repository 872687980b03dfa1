"""The list of what refers to an image: completed, and never cut short."""

from __future__ import annotations

import json

import pytest

from drkit.errors import RegistryRefused
from drkit.tools.registry_http import referrers

SUBJECT = "sha256:" + "ab" * 32
A, B = ({"digest": f"sha256:{letter * 64}", "mediaType": "m", "size": 1} for letter in "ab")


def test_the_tag() -> None:
    assert referrers.tag(SUBJECT) == "sha256-" + "ab" * 32
    assert referrers.tag("sha512:" + "ab" * 64) == "sha512-" + "ab" * 32, (
        "cut where the specification cuts it"
    )


def test_what_is_there_stays_as_it_is() -> None:
    known = [{**A, "annotations": {"who": "somebody else"}}]
    data = json.loads(referrers.completed(known, [A, B]))
    assert data["manifests"] == [*known, B]
    assert data["mediaType"] == referrers.INDEX
    assert referrers.entries(json.dumps(data).encode(), "a:b") == data["manifests"]
    assert referrers.missing(data["manifests"], [B, A]) == []


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"manifests": [{}]}', b'{"manifests": [1]}', b'{"layers": []}']
)
def test_what_is_no_list_is_not_written_over(data: bytes) -> None:
    with pytest.raises(RegistryRefused, match="library/app:sha256-1 is there and lists no manifests"):
        referrers.entries(data, "library/app:sha256-1")
