"""Which of this machine's images a drill starts Harbor from: those whose schema is the point's; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from drkit.harbor import versions
from drkit.harbor.versions import Release

_CORE = "harbor-core"
_JOBS = "harbor-jobservice"
_REGISTRY = "registry-photon"
# Harbor runs Valkey in the place of Redis from 2.15.2 on.
_CACHES = ("valkey-photon", "redis-photon")


@dataclass(frozen=True)
class Images:
    """The images of one release of Harbor, by their full names; `tag` is that of all of them.

    A drill does without `jobservice`, and says so.
    """

    tag: str
    core: str
    registry: str
    cache: str
    jobservice: str | None = None

    @property
    def said(self) -> str:
        """Where it comes from, for people."""
        return f"the images of {self.tag}"

    @property
    def schema(self) -> int | None:
        """The schema that its core brings, None where drkit does not know the release."""
        found = versions.release(self.tag)
        return versions.schema_of(found) if found else None


@dataclass(frozen=True)
class NoImages:
    """Why Harbor cannot be started, in a sentence, and what to do about it."""

    reason: str
    hint: str


def choose(here: Collection[str], schema: int, wanted: str | None = None) -> Images | NoImages:
    """The images of the release that fits a schema: the newest one here, or the `wanted` one.

    `here` are the names of this machine's images, as in `goharbor/harbor-core:v2.14.0`.
    """
    cores = [name for name in here if _base(name) == _CORE]
    if wanted is not None:
        cores = [name for name in cores if versions.release(_tag(name)) == versions.release(wanted)]
        if not cores:
            return _absent(f"there is no image {_CORE} of Harbor {wanted} on this machine", wanted)
    if lacking := missing(here):
        return lacking
    fitting = [name for name in cores if _fits(name, schema)]
    if not fitting:
        return _misfit(cores, schema)
    # The wanted one may be here under several names; of one release any will do.
    return _complete(max(sorted(fitting), key=_release), here)


def choose_newer(here: Collection[str], schema: int, wanted: str) -> Images | NoImages:
    """The images of a release that shall take over from the point's own, and migrates its schema."""
    release = versions.release(wanted)
    cores = [name for name in here if _base(name) == _CORE and versions.release(_tag(name)) == release]
    if release is None or not cores:
        return _absent(f"there is no image {_CORE} of Harbor {wanted} on this machine", wanted)
    brings = versions.schema_of(release)
    if brings is not None and brings < schema:
        return NoImages(
            f"Harbor {wanted} is older than the point: its schema is {brings}, the point's is {schema}",
            "name a newer release: core takes no schema that it does not know",
        )
    return _complete(min(cores), here)


def missing(here: Iterable[str]) -> NoImages | None:
    """That there is no core of any release, if so."""
    if any(_base(name) == _CORE for name in here):
        return None
    return _absent(f"there is no image {_CORE} on this machine", "")


def _complete(core: str, here: Collection[str]) -> Images | NoImages:
    """The others of the same place and tag."""
    prefix, tag = core.removesuffix(f"{_CORE}:{_tag(core)}"), _tag(core)
    registry = f"{prefix}{_REGISTRY}:{tag}"
    caches = [f"{prefix}{name}:{tag}" for name in _CACHES]
    cache = next((name for name in caches if name in here), None)
    if registry not in here:
        return NoImages(f"there is no image {registry} on this machine", f"docker pull {registry}")
    if cache is None:
        said = " or ".join(caches)
        return NoImages(f"there is no image {said} on this machine", f"docker pull {caches[0]}")
    jobs = f"{prefix}{_JOBS}:{tag}"
    return Images(tag, core, registry, cache, jobs if jobs in here else None)


def _misfit(cores: Iterable[str], schema: int) -> NoImages:
    there = ", ".join(sorted({_tag(name) for name in cores}))
    if not versions.known(schema):
        return NoImages(
            f"drkit does not know which Harbor schema {schema} is of (images here: {there})",
            "a newer drkit may",
        )
    fitting = versions.named(schema)
    return NoImages(
        f"the point's schema {schema} needs {fitting}, and the images here are of {there}",
        f"docker pull goharbor/{_CORE}:TAG, {_REGISTRY} and {_CACHES[0]} or {_CACHES[1]}, of {fitting}",
    )


def _absent(reason: str, wanted: str) -> NoImages:
    tag = f":{wanted}" if wanted else ""
    return NoImages(reason, f"docker pull goharbor/{_CORE}{tag}, and the images beside it")


def _fits(name: str, schema: int) -> bool:
    found = versions.release(_tag(name))
    return found is not None and versions.fits(found, schema)


def _release(name: str) -> Release:
    found = versions.release(_tag(name))
    assert found is not None
    return found


def _base(name: str) -> str:
    return name.rpartition(":")[0].rpartition("/")[2]


def _tag(name: str) -> str:
    return name.rpartition(":")[2]
