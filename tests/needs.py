"""What a test needs of the machine: missing tools skip a test on a desk, and fail it in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """The path of a program that a test cannot do without."""
    found = shutil.which(name)
    return found if found is not None else missing(f"{name} is not installed: run testenv/install")


def missing(what: str) -> NoReturn:
    """Skip the running test, or fail it in CI, where nothing may be skipped."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(what)
    pytest.skip(what)
