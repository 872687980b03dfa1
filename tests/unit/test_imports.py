"""What a verb does not need it does not load: loading takes longer than most verbs' own work."""

from __future__ import annotations

import subprocess
import sys

import pytest

_HEAVY = (
    "psycopg",
    "jinja2",
    "httpx",
    "boto3",
    "apprise",
    "pyrage",
    "cryptography",
    "rich",
    "prometheus_client",
)
_LOADED = "import sys, {module}; print(*sorted(set({names!r}) & set(sys.modules)))"


def loaded(module: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after that import."""
    words = _LOADED.format(module=module, names=_HEAVY)
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("drkit.cli.main", set()),
        ("drkit.actions.points", set()),
        ("drkit.actions.status", set()),
        ("drkit.actions.status.run", set()),
        ("drkit.actions.expire.run", set()),
        ("drkit.actions.outcome", set()),
        ("drkit.actions.backup.run", {"psycopg", "pyrage", "cryptography"}),
    ],
)
def test_only_what_is_needed_is_loaded(module: str, needed: set[str]) -> None:
    assert loaded(module) == needed
