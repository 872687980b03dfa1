"""What a repair must not do to a registry that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.actions.audit.repair import see_that_it_fits
from drkit.errors import TargetUnfit


def test_a_disk_is_not_filled(tmp_path: Path) -> None:
    see_that_it_fits(tmp_path, 1)
    with pytest.raises(TargetUnfit) as caught:
        see_that_it_fits(tmp_path, 1 << 70)
    expected = f"the missing and damaged blobs need 1073741824.0 TiB in {tmp_path}, and "
    assert caught.value.message.startswith(expected)
    assert caught.value.hint == "make room there and run it again: nothing was changed"
