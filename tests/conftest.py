"""Settings and fixtures for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from drkit import logs
from tests.cluster import Cluster, private_cluster

# Two busy cores make a slow example now and then; that says nothing about the code.
settings.register_profile("drkit", deadline=None)
settings.load_profile("drkit")


def pytest_configure(config: pytest.Config) -> None:
    """Let through what a library that we cannot change warns of."""
    # apprise looks for a module of the standard library that Python 3.13 no longer has.
    config.addinivalue_line("filterwarnings", "ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """What one test registers as a secret must not be taken out of the words of another."""
    before = set(logs._secrets)
    yield
    logs._secrets.clear()
    logs._secrets.update(before)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL of the tests' own: socket only, superuser `postgres`, no password."""
    with private_cluster() as running:
        yield running
