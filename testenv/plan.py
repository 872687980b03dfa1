"""Which images a site gets: decided before anything is pushed, from a seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_PROJECTS = ("library", "platform", "payments", "edge", "research", "archive", "web-shop", "data.science")
_NAMES = (
    "nginx",
    "api",
    "worker",
    "frontend",
    "ledger",
    "sensor/gateway",
    "trainer",
    "base_os",
    "cron",
    "mail",
)
PROXY_PROJECT = "hub-proxy"


@dataclass(frozen=True)
class LayerPlan:
    """A layer to make: the same name and seed give the same bytes."""

    name: str
    size: int

    def payload(self) -> bytes:
        """The bytes in it: nothing compresses them. AES makes gigabytes a second of them."""
        key = hashlib.sha256(self.name.encode()).digest()
        return Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(self.size))


@dataclass(frozen=True)
class ImagePlan:
    """An image for one platform. Without tags it is a child of an index, or was overwritten later."""

    repository: str
    tags: tuple[str, ...]
    layers: tuple[int, ...]  # places in Plan.layers, lowest first
    architecture: str = "amd64"
    docker: bool = False  # Docker's media types instead of OCI's


@dataclass(frozen=True)
class IndexPlan:
    """An image for several platforms."""

    repository: str
    tags: tuple[str, ...]
    children: tuple[ImagePlan, ...]


@dataclass
class Plan:
    """Everything to push, in this order."""

    layers: list[LayerPlan] = field(default_factory=list)
    entries: list[ImagePlan | IndexPlan] = field(default_factory=list)

    def images(self) -> list[ImagePlan]:
        """Every image, those below an index among them."""
        return [
            image
            for entry in self.entries
            for image in (entry.children if isinstance(entry, IndexPlan) else (entry,))
        ]


def project_names(count: int) -> list[str]:
    """Names of projects; the last is the proxy cache."""
    names = [*_PROJECTS, *(f"team-{number:02}" for number in range(1, count))]
    return [*names[: max(1, count - 1)], PROXY_PROJECT]


def repository_names(projects: int, count: int) -> list[str]:
    """Full names of repositories, spread over the projects."""
    owners = project_names(projects)
    found = []
    for number in range(count):
        name = _NAMES[number % len(_NAMES)]
        suffix = f"-{number // len(_NAMES)}" if number >= len(_NAMES) else ""
        found.append(f"{owners[number % len(owners)]}/{name}{suffix}")
    return found


def make(repositories: list[str], *, tags: int, layers: int, blob_bytes: int, label: str) -> Plan:
    """Images for so many tags, of so many layers; `label` is the seed, and part of the tags."""
    random = Random(label)
    plan = Plan(layers=_layers(random, layers, blob_bytes, label))
    bases = max(1, min(layers // 50 + 2, layers // 3))
    commons = min(len(repositories), max(0, layers // 4))
    builder = _Builder(plan, repositories, bases, commons, random, label)
    while builder.tags_made < tags:
        builder.add()
    builder.spread_layers(range(bases + commons, layers))
    return plan


def _layers(random: Random, count: int, total: int, label: str) -> list[LayerPlan]:
    """Sizes as in life: a few large, most small, together `total`."""
    weights = [random.lognormvariate(0, 1.2) for _ in range(count)]
    scale = total / sum(weights)
    return [LayerPlan(f"{label}-{n}", max(64, int(weight * scale))) for n, weight in enumerate(weights)]


class _Builder:
    """Adds entries one after another. The first layers of the plan are bases, shared by all projects; then
    come layers common to a repository; the others belong to one image each."""

    def __init__(
        self, plan: Plan, repositories: list[str], bases: int, commons: int, random: Random, label: str
    ) -> None:
        self._plan, self._repositories = plan, repositories
        self._bases, self._commons, self._random, self._label = bases, commons, random, label
        self._entries = 0
        self.tags_made = 0

    def add(self) -> None:
        """Add the next entry: mostly an image with a tag, at times an index, or an image without a tag."""
        number = self._entries
        where = number % len(self._repositories)
        self._entries += 1
        if number % 20 == 4:
            children = tuple(self._image(where, (), arch, docker=False) for arch in ("amd64", "arm64"))
            self._plan.entries.append(IndexPlan(self._repositories[where], self._tags(number, 2), children))
        elif number % 20 == 9:
            self._plan.entries.append(self._image(where, (), "amd64", docker=False))
        else:
            tags = self._tags(number, 2 if number % 10 == 0 else 1)
            self._plan.entries.append(self._image(where, tags, "amd64", docker=number % 4 == 3))

    def spread_layers(self, layers: range) -> None:
        """Give the layers that belong to one image each to the images in turn."""
        count = len(self._plan.images())
        own = iter([tuple(layers[place::count]) for place in range(count)])

        def with_own(image: ImagePlan) -> ImagePlan:
            return ImagePlan(
                image.repository, image.tags, (*image.layers, *next(own)), image.architecture, image.docker
            )

        for place, entry in enumerate(self._plan.entries):
            if isinstance(entry, IndexPlan):
                children = tuple(with_own(child) for child in entry.children)
                self._plan.entries[place] = IndexPlan(entry.repository, entry.tags, children)
            else:
                self._plan.entries[place] = with_own(entry)

    def _tags(self, number: int, count: int) -> tuple[str, ...]:
        self.tags_made += count
        version = f"{self._label}-{number // len(self._repositories) + 1}.{number}.0"
        return (f"v{version}", f"stable-{version}")[:count]

    def _image(self, where: int, tags: tuple[str, ...], architecture: str, *, docker: bool) -> ImagePlan:
        first = self._random.randrange(self._bases)
        layers = {first, self._random.randrange(self._bases)}
        common = [self._bases + where] if where < self._commons else []
        return ImagePlan(self._repositories[where], tags, (*sorted(layers), *common), architecture, docker)
