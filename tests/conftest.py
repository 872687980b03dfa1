"""Settings and fixtures for all tests."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from drkit import logs
from drkit.tools.postgres import programs
from testenv.engine import Engine
from testenv.engine import running as running_engine
from tests import buckets, needs
from tests.cluster import Cluster, private_cluster

# Two busy cores make a slow example now and then; that says nothing about the code.
settings.register_profile("drkit", deadline=None)
settings.load_profile("drkit")


def pytest_configure(config: pytest.Config) -> None:
    """Let through what a library that we cannot change warns of."""
    # apprise looks for a module of the standard library that Python 3.13 no longer has.
    config.addinivalue_line("filterwarnings", "ignore:'imghdr' is deprecated:DeprecationWarning")
    _let_children_hear_signals()


def _let_children_hear_signals() -> None:
    """What nohup or a shell's background has us ignore we go on ignoring, and our children do not.

    A child inherits what is ignored, but not a handler; tests send these signals to drkit.
    """
    if threading.current_thread() is threading.main_thread():
        for sign in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            if signal.getsignal(sign) is signal.SIG_IGN:
                signal.signal(sign, lambda _number, _frame: None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first: where tests run side by side, nobody waits for another at the end."""
    order = ("e2e", "testenv", "contract", "unit", "vm")
    items.sort(key=lambda item: order.index(item.path.relative_to(Path(__file__).parent).parts[0]))


@pytest.fixture(autouse=True)
def forget_secrets() -> Iterator[None]:
    """What one test registers as a secret must not be taken out of the words of another."""
    before = set(logs.registered)
    yield
    logs.registered.clear()
    logs.registered.update(before)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """A docker engine of the tests' own."""
    for program in ("dockerd", "docker", "mmdebstrap"):
        needs.program(program)
    if os.geteuid() != 0:
        needs.missing("an engine of one's own needs root")
    with running_engine() as started:
        yield started


@pytest.fixture(scope="session")
def major() -> int:
    """The PostgreSQL major of this machine's own suite."""
    return max(programs.installed())


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL of the tests' own: socket only, superuser `postgres`, no password."""
    with private_cluster() as running:
        yield running


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[buckets.Service]:
    """An S3 service: a server of the tests' own, or the one at DRKIT_TEST_S3_ENDPOINT."""
    with buckets.service(tmp_path_factory.mktemp("s3")) as running:
        yield running
