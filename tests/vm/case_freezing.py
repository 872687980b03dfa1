"""What a frozen view shows and what is left of it, on each kind of ground; without a backup around it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes import freeze
from drkit.volumes.freeze import Place, View
from tests import filesystems
from tests.vm.grounds import KINDS, Ground

# A hyphen takes two letters in the name of LVM's device node, which may have 127.
SITE = "a-b-c-d-e-f-g-h-i-j." * 5 + "example.test"
# As long as a run's own.
RUN = "20261130-094653-cc957a"


@pytest.fixture(scope="module", params=KINDS)
def ground(request: pytest.FixtureRequest, place: Path) -> Iterator[Ground]:
    """Each kind of ground, one after the other, with some files."""
    with KINDS[request.param](place / request.param) as made:
        write(made.root, "before", 60)
        yield made


def write(root: Path, name: str, count: int) -> None:
    """Files in several directories; whatever writes them to the disk is not waited for."""
    chance = Random(name)
    for number in range(count):
        path = root / f"docker/registry/v2/{name}-{number % 7}/{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice((0, 10, 5_000, 200_000))))


def seen(root: Path, view: View | None = None) -> list[str]:
    """The files with their content, as everybody sees them or as a frozen view shows them."""
    words = ("find", str(root), "-type", "f", "-exec", "sha256sum", "{}", "+")
    return sorted(execute.check(Command(words, mounts=view.mounts if view else ())).text.splitlines())


def somewhere(place: Path, name: str) -> Place:
    """A place for records."""
    directory = place / f"{name}-volumes"
    directory.mkdir(exist_ok=True)
    return Place(directory, freeze.prefix(SITE) + RUN)


def nothing_left(ground: Ground, where: Place) -> None:
    """No snapshot, no record, no mount."""
    assert ground.snapshots() == []
    assert freeze.records(where.directory) == ()
    assert filesystems.mounts_below(where.directory) == []


def test_it_shows_what_was_there_and_nothing_later(ground: Ground, place: Path) -> None:
    where = somewhere(place, ground.top.name)
    write(ground.root, "just-now", 40)
    there = seen(ground.root)
    with freeze.frozen(ground.root, "auto", where, lambda _, names: names) as view:
        assert (view.kind, view.warnings) == (ground.kind, [])
        assert len(ground.snapshots()) >= 1
        write(ground.root, "later", 40)
        (ground.root / "docker/registry/v2/before-1/1").unlink()
        (ground.root / "docker/registry/v2/before-2/2").write_text("changed")
        assert seen(ground.root, view) == there
        assert seen(ground.root) != there
        # Who reads it cannot write to it.
        target = str(ground.root / "docker/registry/v2/new")
        assert execute.run(Command(("touch", target), mounts=view.mounts)).code != 0
    assert view.warnings == []
    nothing_left(ground, where)


def test_by_its_own_name(ground: Ground, place: Path) -> None:
    where = somewhere(place, ground.top.name)
    there = seen(ground.root)
    with freeze.frozen(ground.root, ground.wanted, where, lambda _, names: names) as view:  # type: ignore[arg-type]
        assert view.kind == ground.kind
        assert seen(ground.root, view) == there
    nothing_left(ground, where)


def test_what_a_kill_leaves_is_swept(ground: Ground, place: Path) -> None:
    where = somewhere(place, ground.top.name)
    frozen = multiprocessing.get_context("fork").Process(target=freeze_and_die, args=(ground.root, where))
    frozen.start()
    frozen.join()
    assert frozen.exitcode == -signal.SIGKILL
    assert ground.snapshots()
    (said,) = freeze.sweep(where.directory)
    assert said == f"removed the {ground.kind} snapshot {where.name} that a killed run left"
    nothing_left(ground, where)


def freeze_and_die(root: Path, where: Place) -> None:
    """Killed while somebody reads."""
    with freeze.frozen(root, "auto", where, lambda _, names: names) as view:
        seen(root, view)
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_record_without_a_snapshot_is_swept(ground: Ground, place: Path) -> None:
    """Killed between the two."""
    where = somewhere(place, ground.top.name)
    with freeze.frozen(ground.root, "auto", where, lambda _, names: names):
        text = where.record.read_text()
    where.record.write_text(text)
    assert freeze.sweep(where.directory) == ()
    nothing_left(ground, where)
