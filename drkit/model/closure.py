"""Whether every digest that is referred to is among the blobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DanglingKind = Literal["tag", "manifest", "child", "layer"]


@dataclass(frozen=True)
class SizeMismatch:
    """A blob whose file is not as long as the database says; both in bytes."""

    digest: str
    recorded: int
    stored: int


@dataclass(frozen=True)
class LinkProof:
    """The links of a tree by which a registry finds blobs: how many, and how many cannot be one.

    Names of up to twenty of the bad ones, relative to the registry's root directory.
    """

    links: int
    bad: int = 0
    bad_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManifestProof:
    """What the manifests themselves say that they need, against the list of what must be there.

    `read` counts manifests that no earlier run had read; `unlisted` digests that a manifest needs and no
    table or link knows of; `lost` those among them that production does not store; `faults` manifests that
    cannot be read as one. Up to twenty of each by name.
    """

    manifests: int
    read: int
    faults: int = 0
    unlisted: int = 0
    fault_names: tuple[str, ...] = ()
    unlisted_names: tuple[str, ...] = ()
    lost: int = 0
    lost_names: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Every manifest could be read, and all that it needs is on the list."""
        return not self.faults and not self.unlisted


@dataclass(frozen=True)
class Dangling:
    """Something that a registry's tree names and that production answers 404 to.

    A `tag` that leads to no manifest of its repository, a `manifest` whose bytes are gone, a `child` that the
    index `name` lists and its repository lacks, a `layer` of the manifest `name` that is fetched from
    elsewhere (of no repository).
    """

    kind: DanglingKind
    repository: str
    name: str
    digest: str

    @property
    def label(self) -> str:
        """For a person: `tag app:v1`, `manifest app@sha256:...`."""
        match self.kind:
            case "tag":
                return f"tag {self.repository}:{self.name}"
            case "manifest":
                return f"manifest {self.repository}@{self.digest}"
            case "child":
                return f"{self.repository}@{self.digest}, which the index {self.name} lists"
            case "layer":
                return f"layer {self.digest} of {self.name}, which is fetched from elsewhere"


@dataclass(frozen=True)
class Closure:
    """Digests that the databases refer to against the blobs that were captured; counts, and a few names.

    `size_mismatch` counts blobs whose file is not as long as the database says, `unreferenced` blobs that
    no row refers to; each with up to twenty names. `unreferenced_bytes` is what these take up, `seconds` how
    long it took to compare. `links` and `manifests` are None where they were not looked at. `dangling` counts
    what production itself does not serve, with up to twenty labels.
    """

    referenced: int
    present: int
    missing: int
    size_mismatch: int
    unreferenced: int
    missing_names: tuple[str, ...] = ()
    mismatch_names: tuple[str, ...] = ()
    unreferenced_names: tuple[str, ...] = ()
    mismatches: tuple[SizeMismatch, ...] = ()
    unreferenced_bytes: int = 0
    seconds: float = 0.0
    links: LinkProof | None = None
    manifests: ManifestProof | None = None
    dangling: int = 0
    dangling_names: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Nothing is missing and every size agrees."""
        return self.missing == 0 and self.size_mismatch == 0
