"""A link on disk: whole, damaged, or just being written."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from drkit.harbor import links

DIGITS = "0123456789abcdef" * 4
PATH = f"docker/registry/v2/repositories/library/app/_manifests/revisions/sha256/{DIGITS}/link"


@pytest.fixture
def link(tmp_path: Path) -> Path:
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    return path


def test_one_that_holds_its_digest(link: Path, tmp_path: Path) -> None:
    link.write_text(f"sha256:{DIGITS}")
    assert links.is_whole(tmp_path, PATH)


@pytest.mark.parametrize("held", ["", f"sha256:{DIGITS[:-1]}", f"sha256:{'f' * 64}", f"sha256:{DIGITS}\n"])
def test_one_that_does_not(link: Path, tmp_path: Path, held: str) -> None:
    link.write_text(held)
    assert not links.is_whole(tmp_path, PATH)
    hour_ago = time.time() - 3_600
    os.utime(link, (hour_ago, hour_ago))
    assert not links.is_whole(tmp_path, PATH)


def test_one_that_is_not_there(tmp_path: Path) -> None:
    assert not links.is_whole(tmp_path, PATH)


def test_one_that_is_just_being_written(link: Path, tmp_path: Path) -> None:
    link.write_text("")
    writer = threading.Timer(0.01, link.write_text, (f"sha256:{DIGITS}",))
    writer.start()
    assert links.is_whole(tmp_path, PATH)
    writer.join()
