"""What the answers of services say of versions."""

from __future__ import annotations

import pytest

from drkit.tools.s3.access import kept_version


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ({}, None),
        ({"VersionId": "null"}, None),
        ({"VersionId": ""}, None),
        ({"VersionId": "3/L4kq"}, "3/L4kq"),
    ],
)
def test_a_version_that_lasts(answer: dict[str, str], version: str | None) -> None:
    assert kept_version(answer) == version
