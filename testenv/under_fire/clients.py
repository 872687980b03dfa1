"""What clients do to a registry: push, push again, tag, move and remove tags, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testenv import content
from testenv.content import Descriptor, Layer, Manifest
from testenv.plan import LayerPlan
from testenv.under_fire.core import Core, RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

PROJECTS = ("fire-one", "fire-two", "fire-three")
_NAMES = ("api", "worker", "deep/er/path")
_TAGS = ("latest", "stable", "v1", "v2", "v3", "v4")
_BASES = tuple(LayerPlan(f"under fire, base {number}", 6_000 * (number + 1)) for number in range(5))
# More than so many artifacts, and deletions become as frequent as pushes.
_CROWD = 40


@dataclass(frozen=True)
class _Image:
    """An image that a client has built, and can push as often as it likes."""

    repository: str
    config: bytes
    layers: tuple[Layer, ...]
    manifest: Manifest


class Client:
    """One client, with a connection of its own; which choice comes next is chance."""

    def __init__(self, core: Core, random: Random, name: str) -> None:
        self._core, self._random, self._name = core, random, name
        self._bases = [content.make_layer(base.payload(), "base") for base in _BASES]
        self._built: list[_Image] = []
        self._number = 0

    def act(self) -> None:
        """Do one thing. What Harbor refuses is counted; a client lives with that."""
        acts = {
            self._push_new: 40,
            self._push_again: 15,
            self._push_index: 5,
            self._tag: 10,
            self._delete_tag: 5,
            self._delete: 45 if self._artifacts_now() > _CROWD else 15,
        }
        (act,) = self._random.choices([*acts], [*acts.values()])
        try:
            act()
        except RefusedError:
            self._core.traffic.count("requests refused by the registry")

    def push(self, image: _Image, tag: str | None) -> None:
        """Ask for each blob, upload what is not there, then the manifest."""
        with self._core.traffic.push():
            blobs = {layer.digest: layer.content for layer in image.layers}
            blobs[content.digest_of(image.config)] = image.config
            for digest, body in blobs.items():
                if not self._core.has_blob(image.repository, digest):
                    self._core.put_blob(image.repository, digest, body)
            self._core.put_manifest(image.repository, image.manifest, tag)
        self._core.traffic.count("pushes")

    def build(self, repository: str, architecture: str = "amd64") -> _Image:
        """An image of its own: one or two layers that others have as well, and one that nobody has."""
        self._number += 1
        label = f"{self._name}-{self._number}"
        bases = self._random.sample(self._bases, self._random.choice((1, 2)))
        size = self._random.choice((200, 3_000, 30_000))
        own = content.make_layer(LayerPlan(label, size).payload(), label)
        layers = (*bases, own)
        config = content.make_config(
            [layer.diff_id for layer in layers], architecture=architecture, title=label
        )
        described = [Descriptor(content.OCI_LAYER, layer.digest, len(layer.content)) for layer in layers]
        configured = Descriptor(content.OCI_CONFIG, content.digest_of(config), len(config))
        return _Image(repository, config, layers, content.make_manifest(configured, described))

    def _push_new(self) -> None:
        image = self.build(self._repository())
        self.push(image, self._random.choice(_TAGS))
        self._built = [*self._built[-20:], image]

    def _push_again(self) -> None:
        """What a pipeline does that has nothing new; or an image that was deleted meanwhile comes back."""
        if self._built:
            self.push(self._random.choice(self._built), self._random.choice(_TAGS))
            self._core.traffic.count("pushes of what was pushed before")

    def _push_index(self) -> None:
        repository = self._repository()
        children = [self.build(repository, architecture) for architecture in ("amd64", "arm64")]
        with self._core.traffic.push():
            for child in children:
                self.push(child, None)
            described = [
                child.manifest.descriptor(platform={"architecture": architecture, "os": "linux"})
                for child, architecture in zip(children, ("amd64", "arm64"), strict=True)
            ]
            self._core.put_manifest(repository, content.make_index(described), self._random.choice(_TAGS))
        self._core.traffic.count("indexes pushed")

    def _tag(self) -> None:
        for artifact, _ in self._pick("SELECT a.id, p.name FROM artifact a"):
            self._core.tag(artifact, self._random.choice(_TAGS))
            self._core.traffic.count("tags set or moved")

    def _delete_tag(self) -> None:
        for tag, _ in self._pick("SELECT t.id, p.name FROM tag t JOIN artifact a ON a.id = t.artifact_id"):
            self._core.delete_tag(tag)
            self._core.traffic.count("tags deleted")

    def _delete(self) -> None:
        for artifact, project in self._pick("SELECT a.id, p.name FROM artifact a"):
            gone = self._core.delete_artifact(artifact, project)
            self._core.traffic.count("artifacts deleted", gone)

    def _pick(self, query: str) -> Sequence[tuple[int, str]]:
        """One at random of what clients have made, if there is any."""
        return self._core.connection.execute(
            f"{query} JOIN project p ON p.project_id = a.project_id"
            " WHERE p.name = ANY (%s) ORDER BY random() LIMIT 1".encode(),
            (list(PROJECTS),),
        ).fetchall()

    def _artifacts_now(self) -> int:
        row = self._core.connection.execute(
            "SELECT count(*) FROM artifact WHERE repository_name LIKE 'fire-%'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _repository(self) -> str:
        return f"{self._random.choice(PROJECTS)}/{self._random.choice(_NAMES)}"
