"""A link on disk: whole, damaged, or just being written."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from drkit.registry import links

DIGITS = "0123456789abcdef" * 4
PATH = f"docker/registry/v2/repositories/library/app/_manifests/revisions/sha256/{DIGITS}/link"


@pytest.fixture
def link(tmp_path: Path) -> Path:
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    return path


def test_one_that_holds_its_digest(link: Path, tmp_path: Path) -> None:
    link.write_text(f"sha256:{DIGITS}")
    assert not links.is_damaged(tmp_path, PATH)


@pytest.mark.parametrize("held", ["", f"sha256:{DIGITS[:-1]}", f"sha256:{'f' * 64}", f"sha256:{DIGITS}\n"])
@pytest.mark.parametrize("age", [3_600, -3_600], ids=["old", "of the future"])
def test_one_that_does_not(link: Path, tmp_path: Path, held: str, age: float) -> None:
    link.write_text(held)
    written = time.time() - age
    os.utime(link, (written, written))
    assert links.is_damaged(tmp_path, PATH)


def test_one_that_stays_as_it_is(link: Path, tmp_path: Path) -> None:
    link.write_text("")
    assert links.is_damaged(tmp_path, PATH)


def test_one_that_is_not_there_any_more(tmp_path: Path) -> None:
    assert not links.is_damaged(tmp_path, PATH)


def test_one_that_is_just_being_written(link: Path, tmp_path: Path) -> None:
    """By a registry that has been stalled, on a busy machine."""
    link.write_text("")
    writer = threading.Timer(1, link.write_text, (f"sha256:{DIGITS}",))
    writer.start()
    assert not links.is_damaged(tmp_path, PATH)
    writer.join()
