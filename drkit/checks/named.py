"""The check that a point has what its harbor.yml names, and its control."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from drkit.checks.finding import Check, Control, Finding, Unplanted, verdict
from drkit.errors import ConfigError
from drkit.harbor.installation import Installation, parse_installation
from drkit.model import CheckKind, Outcome, PointManifest, Reason, is_told
from drkit.model.needed import Needed
from drkit.secrets import bundle_paths
from drkit.secrets.bundle import Member
from drkit.secrets.kinds import SecretKind

_CONTROL = "file that harbor.yml names left out"


@dataclass(frozen=True)
class Found:
    """The harbor.yml among members: what it describes, or why that cannot be told."""

    installation: Installation | None = None
    fault: str = ""


def find(members: Sequence[Member], paths: Collection[str] = ()) -> Found:
    """The harbor.yml of a site, also behind a link; of several, one that `paths` in [secrets] names itself.

    Others may be copies of an earlier day, which stand deeper.
    """
    found = Found()
    for path, data in sorted(_candidates(members), key=lambda each: _rank(each[0], paths)):
        try:
            return Found(parse_installation(data, Path(path)))
        except ConfigError as error:
            found = Found(fault=found.fault or error.message)
    return found


def _candidates(members: Sequence[Member]) -> Iterator[tuple[str, bytes]]:
    files = {member.path: member for member in members if member.kind == "file"}
    links = _links(members)
    for member in members:
        if member.what == SecretKind.HARBOR_YML:
            yield member.path, member.data
        elif member.kind == "link" and PurePosixPath(member.path).name == SecretKind.HARBOR_YML:
            target = files.get(bundle_paths.leads_to(member.path, links) or "")
            if target is not None:
                yield member.path, target.data


def _rank(path: str, paths: Collection[str]) -> tuple[bool, int, str]:
    return path not in paths, path.count("/"), path


def _links(members: Sequence[Member]) -> dict[str, str]:
    return {member.path: member.link for member in members if member.kind == "link"}


class BundlePaths:
    """The paths of a bundle: its members, and the directories that its files stand in."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._links = _links(members)
        self._paths = {member.path for member in members}
        self._paths |= {str(p) for m in members if m.kind == "file" for p in PurePosixPath(m.path).parents}

    def has(self, path: Path) -> bool:
        """Whether it is there, by its own name or by way of links that are there too."""
        return str(path) in self._paths or bundle_paths.leads_to(str(path), self._links) in self._paths


def lacking(installation: Installation, members: Sequence[Member]) -> tuple[Needed, ...]:
    """The files and directories that harbor.yml names and that are not in the bundle."""
    held = BundlePaths(members)
    return tuple(needed for needed in installation.needed if not held.has(needed.path))


def source(path: Path) -> str:
    """The name of a file or directory in `dropped` of [site]."""
    return f"secrets:{path}"


def checks(members: Sequence[Member], manifest: PointManifest) -> Iterator[Check]:
    """The check, where the bundle has a harbor.yml that can be read."""
    found = find(members, manifest.secret_paths).installation
    if found is not None:
        yield Check(CheckKind.NAMED_FILES, lambda: is_there(found, members, manifest))


def is_there(installation: Installation, members: Sequence[Member], manifest: PointManifest) -> Finding:
    """The bundle has every file that harbor.yml names; database and images were those that it names."""
    faults = [
        f"{each.path}, which harbor.yml names, is not in the bundle ({each.purpose})"
        for each in lacking(installation, members)
        if not is_told(source(each.path), manifest.excused)
    ]
    faults += [each.said for each in manifest.drift if not each.is_file]
    excused = sum(not BundlePaths(members).has(each.path) for each in installation.needed)
    but = f", but for {excused} that need not be there" if excused else ""
    found = verdict(faults, f"{len(installation.needed) - excused} files and directories are there{but}")
    return replace(found, reason=Reason.NOT_BACKED_UP) if faults else found


def controls(
    members: Sequence[Member], manifest: PointManifest, outcome: Outcome | None
) -> Iterator[Control | Unplanted]:
    """A bundle without one of the files; `outcome` is that of the check, None where there was none."""
    installation = find(members, manifest.secret_paths).installation
    if installation is None or outcome is None:
        return
    held = BundlePaths(members)
    there = [n for n in installation.needed if n.path != installation.harbor_yml and held.has(n.path)]
    if outcome is not Outcome.PASSED:
        yield Unplanted(_CONTROL, "something that harbor.yml names was missing to begin with")
    elif not there:
        yield Unplanted(_CONTROL, "nothing that harbor.yml names is in the bundle")
    else:
        gone = there[0].path
        places = (str(gone), bundle_paths.leads_to(str(gone), _links(members)) or str(gone))
        without = [m for m in members if not any(map(PurePosixPath(m.path).is_relative_to, places))]
        excused = tuple(each for each in manifest.excused if not is_told(source(gone), {each}))
        strict = replace(manifest, excused=excused)
        yield Control(_CONTROL, f"{gone} taken away", lambda: is_there(installation, without, strict))
