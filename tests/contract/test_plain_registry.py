"""Plain registries as they are in the world: what they do not serve is told, and nothing else is let pass."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from drkit.blobs import dangling, digests
from drkit.blobs.closure import Prover
from drkit.blobs.dangling import Known
from drkit.blobs.directory.held_links import Mounts
from drkit.blobs.survey import OnDisk, Surveyor
from drkit.checks import images, manifests
from drkit.checks.finding import Finding
from drkit.model import Closure, Outcome
from drkit.registry import image_manifests as stored_manifests
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.sandbox import registry
from drkit.tools.restic.repository import Repository
from tests import plain
from tests.plain import Plain

GONE = "sha256:" + "1" * 64
CACHE = "application/vnd.buildkit.cacheconfig.v0"


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A directory with a short name, for sockets."""
    made = Path(tempfile.mkdtemp(prefix="drkit-plain-", dir="/var/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def production(short: Path) -> Iterator[Plain]:
    """A registry that has been used for some years."""
    with plain.running(short) as made:
        _sound(made)
        _dangling(made)
        yield made


def _sound(made: Plain) -> None:
    """All of this is served."""
    made.image("app", "v1", b"a layer")
    made.image("app", "_uploads", b"an odd tag")
    layer, cache = b"a cached layer", b'{"layers": []}'
    for data in (layer, cache):
        made.blob("cache", data)
    made.push("cache", "build", manifests=[plain.entry(plain.LAYER, layer), plain.entry(CACHE, cache)])
    long = made.blob("long", b"by another algorithm", "sha512")
    made.blob("long", b"{}")
    layers = [{"mediaType": plain.LAYER, "digest": long, "size": 20}]
    made.push("long", "v1", config=plain.entry(plain.CONFIG, b"{}"), layers=layers)
    old = made.blob("old", b"an old layer")
    payload, whole = plain.signed_manifest("old", "v1", [old])
    assert made.manifest("old", "v1", plain.SIGNED, whole) != plain.sha256(payload)
    made.image("app", "referrer", b"a signature", subject=plain.entry(plain.IMAGE, b"nobody's"))
    made.blob("empty", b"")
    made.push("empty", "v1", config=plain.entry("application/octet-stream", b""), layers=[])
    child = made.image("many", "amd64", b"for one platform")
    entry = {"mediaType": plain.IMAGE, "digest": child, "size": made.data(child).stat().st_size}
    made.push("many", "v1", manifests=[entry])


def _dangling(made: Plain) -> None:
    """None of this is."""
    tag = made.image("app", "gone", b"deleted by its digest")
    made.revision("app", tag).unlink()
    collected = made.image("app", "collected", b"collected long ago")
    for digest in (collected, plain.sha256(b"collected long ago")):
        shutil.rmtree(made.data(digest).parent)
    shutil.rmtree(made.revision("app", collected).parent)
    shutil.rmtree(made.root / plain.TREE / "repositories/app/_manifests/tags/collected")
    revision = made.image("lost", "v1", b"whose manifest is lost")
    shutil.rmtree(made.data(revision).parent)
    child = made.image("sparse", "arm64", b"for another platform")
    here = made.image("sparse", "amd64", b"for this platform")
    entries = [{"mediaType": plain.IMAGE, "digest": digest, "size": 1} for digest in (here, child)]
    made.push("sparse", "v1", manifests=entries)
    made.http.delete(f"/v2/sparse/manifests/{child}")
    made.blob("far", b"{}")
    layers = [{"mediaType": plain.LAYER, "digest": GONE, "size": 1, "urls": ["https://e.test/l"]}]
    made.push("far", "v1", config=plain.entry(plain.CONFIG, b"{}"), layers=layers)


class Point:
    """What a backup recorded, and the tree that came back."""

    def __init__(
        self, repository: Repository, production: Plain, directory: Path, mounts: Mounts = ()
    ) -> None:
        self.directory = directory
        self.root = directory / "back" / "registry"
        listed = directory / digests.FILE_NAME
        root = production.root
        excludes = storage.uploads_patterns(root)
        saved = repository.save_directory(root, (), "host", excludes=excludes, mounts=mounts)
        read = partial(stored_manifests.read, root)
        asked = Surveyor(directory, directory / "memory.db", read, OnDisk(root))
        proof = Prover(repository, root, saved, asked).prove_by_links(listed)
        proof.raise_if_torn()
        self.closure: Closure = proof.closure
        self.warnings = proof.warnings
        self.listed = tuple(digests.from_file(listed))
        self.known = Known(dangling.from_lines([(directory / dangling.FILE_NAME).read_bytes()]))
        repository.restore(f"{saved.snapshot}:{root.parent}", self.root.parent)

    def check(self) -> dict[str, Finding]:
        """What a drill asks of the tree."""
        ledger_file, seen = self.directory / "ledger.db", self.directory / "seen.db"
        ledger_file.unlink(missing_ok=True)
        ledger = Ledger(ledger_file)
        socket = Path(tempfile.mkdtemp(dir="/var/tmp"))
        try:
            with registry.serving(registry.directory_settings(self.root), socket) as served:
                pulled = images.tags_pull(served, storage.tags(self.root), ledger, self.known)
            every = manifests.images_in(self.root)
            return {
                "tags": pulled,
                "hash": images.blobs_hash(self.root, ledger),
                "closure": images.closure_holds(self.root, self.listed, self.known),
                "links": manifests.links_hold(self.root, self.known),
                "resolve": manifests.resolve(self.root, every, seen, self.listed, self.known),
            }
        finally:
            ledger.close()
            shutil.rmtree(socket)

    def failed(self) -> set[str]:
        return {name for name, found in self.check().items() if found.outcome is not Outcome.PASSED}


@pytest.fixture
def point(repository: Repository, production: Plain, tmp_path: Path) -> Point:
    return Point(repository, production, tmp_path)


def test_what_production_answers_404_to_is_named_and_no_fault(point: Point, production: Plain) -> None:
    assert production.status("app", "gone") == production.status("lost", "v1") == 404
    assert (point.closure.whole, point.closure.missing) == (True, 0)
    assert point.closure.manifests is not None
    assert point.closure.manifests.whole
    (warning,) = point.warnings
    for name in point.closure.dangling_names:
        assert name in warning
    kinds = sorted(name.split("@")[0] for name in point.closure.dangling_names)
    assert [kind.split(" sha256")[0] for kind in kinds] == [
        "layer",
        "manifest lost",
        "sparse",
        "tag app:gone",
        "tag lost:v1",
    ]
    found = point.check()
    assert {name: each for name, each in found.items() if each.outcome is not Outcome.PASSED} == {}
    assert "not served, as in production at the backup: " in found["tags"].detail
    assert ("app", "_uploads") in {(tag.repository, tag.name) for tag in storage.tags(point.root)}


def _lose_revision(point: Point, tag: str) -> None:
    held = next(t for t in storage.tags(point.root) if (t.repository, t.name) == tuple(tag.split(":")))
    Plain(point.root, None).revision(held.repository, held.digest).unlink()  # type: ignore[arg-type]


def _lose_data(point: Point, data: bytes) -> None:
    storage.blob_path(point.root, plain.sha256(data)).unlink()


def _lose_child(point: Point) -> None:
    _lose_revision(point, "many:amd64")


@pytest.mark.parametrize(
    ("lose", "caught"),
    [
        (lambda p: _lose_revision(p, "app:v1"), {"tags", "links"}),
        (lambda p: _lose_revision(p, "app:_uploads"), {"tags", "links"}),
        (_lose_child, {"tags", "links", "resolve"}),
        (lambda p: _lose_data(p, b"a cached layer"), {"tags", "closure", "resolve"}),
        (lambda p: _lose_data(p, b"by another algorithm"), {"tags", "closure", "resolve"}),
        (lambda p: _lose_data(p, b"an old layer"), {"tags", "closure", "resolve"}),
        # No manifest needs it, but production serves it to whoever asks by digest.
        (lambda p: _lose_data(p, b"deleted by its digest"), {"closure"}),
    ],
)
def test_what_goes_after_the_backup_is_caught(
    point: Point, lose: Callable[[Point], None], caught: set[str]
) -> None:
    lose(point)
    assert point.failed() == caught
