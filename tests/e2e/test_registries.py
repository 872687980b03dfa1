"""Registries beside Harbor, from their own configuration file to a drill that passes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drkit.registry import metadata_database
from tests import plain
from tests.e2e.commands import Drkit, exactly, fails
from tests.plain import Plain


@pytest.fixture(scope="module")
def production() -> Iterator[Plain]:
    short = Path(tempfile.mkdtemp(prefix="drkit-plain-", dir="/var/tmp"))
    with plain.running(short) as made:
        made.image("team/app", "v1", b"a layer")
        yield made
    shutil.rmtree(short)


def test_distribution_by_its_own_configuration(production: Plain, new_home: Callable[[], Path]) -> None:
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    file = production.root.parent / "registry.yml"
    words = ("init", "--registry", str(file), "--repository", str(drkit.repository))
    made = drkit.ask(*words, "--state", str(drkit.state))
    assert (made["blobs"], made["secret_paths"]) == (str(production.root), [str(file)])
    assert drkit.ask("backup")["closure"]["manifests"]["manifests"] == 1
    drilled = drkit.ask("drill")
    assert drilled["outcome"] == "passed"
    assert drilled["versions"]["registry in the sandbox"].startswith("docker-registry 2.")
    elsewhere = drkit.change(
        lambda document: document.update(drill={"registry_program": "/nowhere/registry"})
    )
    message = "1 problem; the first: /nowhere/registry is not installed"
    fails(elsewhere, ["doctor"], 7, "tool_missing", message, "see registry_program in \\[drill\\].*")
    shutil.rmtree(drkit.home)


def test_a_tree_of_gitlabs_with_a_metadata_database(production: Plain, new_home: Callable[[], Path]) -> None:
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    file = production.root.parent / "registry.yml"
    drkit.ask("init", "--registry", str(file), "--repository", str(drkit.repository))
    mark = production.root / metadata_database.IN_USE
    mark.parent.mkdir()
    mark.touch()
    try:
        message = f"no recovery point was sealed: blobs: {production.root} is that of a GitLab registry with"
        hint = exactly(
            "back this registry up as GitLab's manual says; one without that database can be protected by"
            " drkit"
        )
        fails(drkit, ["backup"], 3, "backup_incomplete", f"{message} a metadata database .*", hint)
        assert drkit.sealed() == []
    finally:
        shutil.rmtree(mark.parent)
    shutil.rmtree(drkit.home)
