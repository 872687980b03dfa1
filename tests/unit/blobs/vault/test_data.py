"""Finding a blob in an inventory without reading it from its beginning."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import cast

import pytest

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.reading import VaultReader
from drkit.errors import RestoreDamaged

# Nothing is read from it here.
NO_VAULT = cast("VaultReader", None)


def digest(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_each_entry_is_found_and_no_other(tmp_path: Path, count: int) -> None:
    found = sorted(Entry(digest(n), f"a/key/{'x' * (n % 900)}{n}", n, "v" * (n % 50)) for n in range(count))
    file = tmp_path / "inventory.jsonl"
    file.write_bytes(b"".join(inventory.to_lines(found)))
    with contextlib.closing(VaultData(NO_VAULT, file)) as data:
        assert [data.size(entry.digest) for entry in found] == [entry.size for entry in found]
        for other in (digest(-1), digest(-2), f"sha256:{'0' * 64}", f"sha256:{'f' * 64}"):
            assert data.size(other) is None


def test_an_inventory_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "inventory.jsonl"
    file.write_text("{}\n")
    with contextlib.closing(VaultData(NO_VAULT, file)) as data, pytest.raises(RestoreDamaged):
        data.size(digest(1))
