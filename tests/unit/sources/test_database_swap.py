"""Names beside a database's own, which PostgreSQL must not cut."""

from __future__ import annotations

import pytest

from drkit.sources.database_swap import with_ending


@pytest.mark.parametrize("name", ["registry", "r" * 47, "r" * 48, "r" * 63, "ä" * 31, "r" + "ä" * 31])
def test_a_name_with_an_ending_is_another_that_fits(name: str) -> None:
    """PostgreSQL takes 63 bytes: a longer name would be cut, and be that of the live database."""
    found = with_ending(name, "_drkit_restoring")
    assert found.endswith("_drkit_restoring")
    assert len(found.encode()) <= 63
    assert found.encode()[:63] != name.encode()[:63]
    assert name.startswith(found.removesuffix("_drkit_restoring"))
