"""`drkit audit` of a registry without a database: what is needed is what its manifests say."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import plain
from tests.e2e.commands import Drkit, exactly, fails, to_toml
from tests.plain import Plain

GONE = "sha256:" + "1" * 64


@pytest.fixture(scope="module")
def production() -> Iterator[Plain]:
    """A registry that is whole, with all that a registry may rightly lack."""
    short = Path(tempfile.mkdtemp(prefix="drkit-plain-", dir="/var/tmp"))
    with plain.running(short) as made:
        made.image("app", "v1", b"a layer")
        made.image("team/deep/down", "v1", b"a layer further down")
        long = made.blob("long", b"by another algorithm", "sha512")
        made.blob("long", b"{}")
        layers = [{"mediaType": plain.LAYER, "digest": long, "size": 20}]
        made.push("long", "v1", config=plain.entry(plain.CONFIG, b"{}"), layers=layers)
        child = made.image("sparse", "arm64", b"for another platform")
        here = made.image("sparse", "amd64", b"for this platform")
        entries = [{"mediaType": plain.IMAGE, "digest": digest, "size": 1} for digest in (here, child)]
        made.push("sparse", "v1", manifests=entries)
        made.http.delete(f"/v2/sparse/manifests/{child}")
        made.blob("far", b"{}")
        layers = [{"mediaType": plain.LAYER, "digest": GONE, "size": 1, "urls": ["https://e.test/l"]}]
        made.push("far", "v1", config=plain.entry(plain.CONFIG, b"{}"), layers=layers)
        yield made
    shutil.rmtree(short)


@pytest.fixture
def drkit(production: Plain, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit that knows of its directory alone."""
    made = Drkit(new_home())
    made.home.mkdir()
    made.restic_password.write_text("nobody asks for it\n")
    repository = {
        "name": "primary", "url": str(made.repository), "password_file": str(made.restic_password),
    }  # fmt: skip
    document = {
        "site": {"name": "plain.example.test", "state": str(made.state)},
        "blobs": {"kind": "filesystem", "path": str(production.root)},
        "repository": [repository],
    }
    made.config.write_text(to_toml(document))
    yield made
    shutil.rmtree(made.home)


def test_what_is_whole_and_what_a_deleted_image_leaves(drkit: Drkit, production: Plain) -> None:
    before = drkit.ask("audit", "--read-data-subset", "100%")
    assert (before["counts"], before["databases"]) == ({}, [])
    assert before["unreferenced"] == 0, "an index keeps the bytes of a child that was deleted"
    digest = production.image("app", "v2", b"of an image that is deleted")
    size = production.data(digest).stat().st_size + len(b"of an image that is deleted")
    assert production.http.delete(f"/v2/app/manifests/{digest}").status_code == 202
    after = drkit.ask("audit", "--read-data-subset", "100%")
    app = next(project for project in after["projects"] if project["name"] == "app")
    assert app["unreferenced"] == 1, "the link of a layer stays, that of the manifest goes"
    nowhere = next(project for project in after["projects"] if project["name"] == "")
    assert app["unreferenced_bytes"] + nowhere["unreferenced_bytes"] == size
    assert after["unreferenced"] == before["unreferenced"] + 2
    shown = drkit.run("audit").stdout
    assert shown.splitlines()[-1] == "the images are whole"


def test_tags_that_lead_nowhere_and_manifests_without_bytes(drkit: Drkit, production: Plain) -> None:
    unlinked = production.image("broken", "unlinked", b"whose revision is not linked")
    lost = production.image("broken", "lost", b"whose manifest is lost")
    production.revision("broken", unlinked).unlink()
    shutil.rmtree(production.data(lost).parent)
    try:
        assert production.status("broken", "lost") == production.status("broken", "unlinked") == 404
        message = "production is damaged: 1 blob is missing, 2 tags lead to no image"
        hint = exactly("`drkit audit --repair latest` brings blobs back from a recovery point")
        found = fails(drkit, ["audit"], 5, "not_green", message, hint).envelope["result"]
        said = sorted((fault["kind"], fault["said"], fault["project"]) for fault in found["faults"])
        assert said == [
            ("dangling_tag", "tag broken:lost", "broken"),
            ("dangling_tag", "tag broken:unlinked", "broken"),
            ("missing", lost, "broken"),
        ]
    finally:
        shutil.rmtree(production.root / plain.TREE / "repositories/broken")
    assert drkit.ask("audit")["counts"] == {}


def test_a_layer_that_its_repository_has_no_link_to(drkit: Drkit, production: Plain) -> None:
    image = production.image("cut", "v1", b"whose link is lost")
    layer = plain.sha256(b"whose link is lost")
    links = production.root / plain.TREE / "repositories/cut/_layers/sha256"
    (links / plain.digits(layer) / "link").unlink()
    try:
        assert production.http.get(f"/v2/cut/blobs/{layer}").status_code == 404
        message = "production is damaged: 1 link to a layer is missing"
        hint = exactly("what an audit cannot mend is explained in docs/audit.md")
        found = fails(drkit, ["audit"], 5, "not_green", message, hint).envelope["result"]
        (fault,) = found["faults"]
        said = f"cut@{image} needs {layer}, and its repository has no link to it"
        assert (fault["kind"], fault["said"], fault["project"]) == ("missing_link", said, "cut")
    finally:
        shutil.rmtree(production.root / plain.TREE / "repositories/cut")
    assert drkit.ask("audit")["counts"] == {}
