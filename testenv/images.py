"""Making images and pushing them, many at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testenv import content
from testenv.content import Descriptor, Layer, Manifest
from testenv.plan import IndexPlan, Plan
from testenv.rows import Pushed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from testenv.plan import ImagePlan
    from testenv.push import Pusher

    Item = TypeVar("Item")
    Result = TypeVar("Result")

_THREADS = 4


@dataclass(frozen=True)
class _Stored:
    """A layer that the registry has, and the repository that has it for sure."""

    digest: str
    size: int
    diff_id: str
    home: str


def push_plan(pusher: Pusher, plan: Plan) -> list[list[Pushed]]:
    """Push everything; for each entry of the plan the manifests in the order in which they were pushed."""
    homes: dict[int, str] = {}
    for image in plan.images():
        for place in image.layers:
            homes.setdefault(place, image.repository)

    def push_layer(place: int) -> _Stored:
        layer = content.make_layer(plan.layers[place].payload(), f"layer-{place}")
        pusher.blob(homes[place], layer.digest, layer.content)
        return _Stored(layer.digest, len(layer.content), layer.diff_id, homes[place])

    places = sorted(homes)
    layers = dict(zip(places, _parallel(push_layer, places), strict=True))
    mounts = {
        (image.repository, place)
        for image in plan.images()
        for place in image.layers
        if homes[place] != image.repository
    }
    _parallel(
        lambda item: pusher.mount(item[0], layers[item[1]].digest, layers[item[1]].home), sorted(mounts)
    )

    def push_entry(entry: ImagePlan | IndexPlan) -> list[Pushed]:
        if isinstance(entry, IndexPlan):
            return _push_index(pusher, entry, layers)
        return [_push_image(pusher, entry, [layers[place] for place in entry.layers])]

    return _parallel(push_entry, plan.entries)


def push_layers(pusher: Pusher, repository: str, tag: str | None, layers: Sequence[Layer]) -> Pushed:
    """Push one image made of these layers."""
    for layer in layers:
        pusher.blob(repository, layer.digest, layer.content)
    described = [Descriptor(content.OCI_LAYER, layer.digest, len(layer.content)) for layer in layers]
    config = content.make_config(
        [layer.diff_id for layer in layers], architecture="amd64", title=f"{repository}:{tag or 'untagged'}"
    )
    return _push(pusher, repository, (tag,) if tag else (), config, described)


def push_foreign(pusher: Pusher, repository: str, tag: str) -> Pushed:
    """Push an image for Windows, whose lowest layer no registry stores: only its address is known."""
    own = content.make_layer(b"binary", "windows-app")
    pusher.blob(repository, own.digest, own.content)
    base = content.digest_of(b"a layer that stays with its vendor")
    urls = [f"https://mcr.example.test/v2/windows/blobs/{base}"]
    layers = [
        Descriptor(content.FOREIGN_LAYER, base, 12_345, (("urls", urls),)),
        Descriptor(content.DOCKER_LAYER, own.digest, len(own.content)),
    ]
    config = content.make_config([base, own.diff_id], architecture="amd64", title="windows", os="windows")
    return _push(pusher, repository, (tag,), config, layers, docker=True)


def push_sbom(pusher: Pusher, repository: str, subject: Manifest) -> Pushed:
    """Push a bill of materials that points to its image with the `subject` of OCI 1.1."""
    body = {"spdxVersion": "SPDX-2.3", "name": repository, "packages": [{"name": "musl", "version": "1.2.5"}]}
    layer, config = json.dumps(body).encode(), b"{}"
    for blob in (layer, config):
        pusher.blob(repository, content.digest_of(blob), blob)
    manifest = content.make_manifest(
        _described("application/vnd.goharbor.harbor.sbom.v1", config),
        [_described("application/spdx+json", layer)],
        subject=subject.descriptor(),
    )
    pusher.manifest(repository, manifest)
    return Pushed(repository, manifest)


def _push_image(pusher: Pusher, image: ImagePlan, layers: list[_Stored]) -> Pushed:
    media_type = content.DOCKER_LAYER if image.docker else content.OCI_LAYER
    described = [Descriptor(media_type, layer.digest, layer.size) for layer in layers]
    config = content.make_config(
        [layer.diff_id for layer in layers],
        architecture=image.architecture,
        title=f"{image.repository}:{'+'.join(image.tags) or layers[-1].digest}",
    )
    return _push(pusher, image.repository, image.tags, config, described, docker=image.docker)


def _push_index(pusher: Pusher, entry: IndexPlan, layers: dict[int, _Stored]) -> list[Pushed]:
    children = [
        _push_image(pusher, child, [layers[place] for place in child.layers]) for child in entry.children
    ]
    platforms = [{"architecture": child.architecture, "os": "linux"} for child in entry.children]
    index = content.make_index(
        [
            child.manifest.descriptor(platform=platform)
            for child, platform in zip(children, platforms, strict=True)
        ]
    )
    for tag in entry.tags:
        pusher.manifest(entry.repository, index, tag)
    return [*children, Pushed(entry.repository, index, entry.tags)]


def _push(
    pusher: Pusher,
    repository: str,
    tags: tuple[str, ...],
    config: bytes,
    layers: list[Descriptor],
    *,
    docker: bool = False,
) -> Pushed:
    described = _described(content.DOCKER_CONFIG if docker else content.OCI_CONFIG, config)
    pusher.blob(repository, described.digest, config)
    media_type = content.DOCKER_MANIFEST if docker else content.OCI_MANIFEST
    manifest = content.make_manifest(described, layers, media_type=media_type)
    for tag in tags or (None,):
        pusher.manifest(repository, manifest, tag)
    body = json.loads(config)
    attributes = {"architecture": body["architecture"], "os": body["os"], "author": body["author"]}
    attributes |= {"created": body["created"], "config": body["config"]}
    return Pushed(repository, manifest, tags, json.dumps(attributes, ensure_ascii=False))


def _described(media_type: str, blob: bytes) -> Descriptor:
    return Descriptor(media_type, content.digest_of(blob), len(blob))


def _parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(work, items))
