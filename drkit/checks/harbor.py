"""Checks on a Harbor that was started on restored data, all through its core; and what they must catch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import urlencode

from drkit.checks import harbor_images
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import CoreRefuses
from drkit.harbor.planting import Remote, TaggedImage
from drkit.model import CheckKind, CheckResult, InventoryFacts, Outcome
from drkit.tools.harbor_core import Core, Login

# What core cannot do without; of the rest the sandbox has nothing.
_NEEDED = ("core", "database", "redis", "registry")
_ENTRIES = 50
_NO_IMAGE = "there is no image that is whole and that Harbor's rules let everybody pull"


@dataclass(frozen=True)
class Running:
    """A Harbor that answers, what was planted in its database, and what the backup noted of it.

    `image` is one that may be pulled; `signer` the certificate or key (PEM) that tokens shall be signed by;
    `facts` are the inventory's, by subject; `remote` is None where the secret key has not AES's length.
    """

    core: Core
    user: Login
    robot: Login
    mark: str
    remote: Remote | None
    image: TaggedImage | None
    signer: bytes
    facts: Mapping[str, InventoryFacts]


def checks(running: Running) -> Iterator[Check]:
    """In this order: what writes comes last, for it is in the audit log."""
    looks: dict[CheckKind, Callable[[Running], Finding]] = {
        CheckKind.HARBOR_LOGIN: lambda found: logs_in(found.core, found.user),
        CheckKind.HARBOR_COUNTS: counts,
        CheckKind.HARBOR_SETTINGS: settings_open,
        CheckKind.HARBOR_AUDIT_LOG: audit_log,
        CheckKind.HARBOR_ROBOT: robot_gets_in,
        CheckKind.HARBOR_PULL: pulls,
        CheckKind.HARBOR_PUSH: lambda found: harbor_images.pushes(found.core, found.user, found.mark),
    }
    for kind, look in looks.items():
        yield Check(kind, partial(judged, partial(look, running)))


def judged(look: Callable[[], Finding]) -> Finding:
    """What a look finds; that core refuses what was asked is a verdict, that nobody answers is none."""
    try:
        return look()
    except CoreRefuses as error:
        return failed(error.message)


def healthy(core: Core) -> Finding:
    """Core, its database, its cache and the registry say that they are well."""
    states = components(core)
    # Which of them a core tells of depends on its version.
    faults = [f"{name} is {states[name]}" for name in _NEEDED if states.get(name, "healthy") != "healthy"]
    return verdict(faults, f"{', '.join(name for name in _NEEDED if name in states)} are healthy")


def components(core: Core) -> dict[str, str]:
    """Component -> what core says of it; raises CoreRefuses."""
    found = core.ask("GET", "/api/v2.0/health").json()
    try:
        return {str(each["name"]): str(each["status"]) for each in found["components"]}
    except (KeyError, TypeError):
        raise CoreRefuses("GET /api/v2.0/health lists no components") from None


def logs_in(core: Core, login: Login) -> Finding:
    """A user gets in with the password, as the user that it is."""
    name = core.api("users/current", login).get("username")
    faults = [] if name == login.name else [f"it is taken for {name}"]
    return verdict(faults, "an administrator whose password was planted in the sandbox's database logs in")


def counts(running: Running) -> Finding:
    """As many projects and repositories as the backup counted."""
    return _counted(running.core, running.user, running.facts)


def _counted(core: Core, login: Login, facts: Mapping[str, InventoryFacts]) -> Finding:
    wanted = {
        "projects": facts.get("projects", {}).get("live"),
        "repositories": facts.get("artifacts", {}).get("repositories"),
    }
    if None in wanted.values():
        return not_provable("the backup has not counted them")
    found = {what: core.count(what, login) for what in wanted}
    faults = [f"{found[w]:,} {w} instead of {wanted[w]:,}" for w in wanted if found[w] != wanted[w]]
    return verdict(faults, f"{found['projects']:,} projects, {found['repositories']:,} repositories")


def settings_open(running: Running) -> Finding:
    """The configuration can be read, and core opens what was encrypted with the restored secret key."""
    if running.remote is None:
        return failed("the restored secret key has not the length of a key: core opens nothing with it")
    return opens(running.core, running.user, running.remote, running.facts.get("settings", {}))


def opens(core: Core, login: Login, remote: Remote, noted: InventoryFacts) -> Finding:
    """The same of any core. One that cannot open the planted secret has no answer but an error."""
    settings = core.api("configurations", login)
    try:
        mode = str(settings["auth_mode"]["value"])
    except (KeyError, TypeError):
        raise CoreRefuses("GET /api/v2.0/configurations does not say how users log in") from None
    faults = []
    if noted and mode != noted.get("login"):
        faults.append(f"users log in by {mode} instead of {noted.get('login')}")
    credential = core.api(f"registries/{remote.id}", login).get("credential") or {}
    if credential.get("access_key") != remote.access_key:
        faults.append("a remote registry came back without its credential")
    return verdict(faults, f"{len(settings)} settings, login by {mode}; the secret key opens")


def audit_log(running: Running) -> Finding:
    """The last entry of the backup is among the last ones of Harbor's log."""
    noted = running.facts.get("audit log")
    if not noted:
        return not_provable("the log had no entry at the backup")
    entries = [entry for path in ("auditlog-exts", "audit-logs") for entry in _entries(running, path)]
    said = f"{noted.get('at')} UTC, {noted.get('what')}"
    if (noted.get("at"), noted.get("what")) in entries:
        return passed(f"the last entry of the backup is there: {said}")
    return failed(f"none of the last {len(entries)} entries is the backup's last: {said}")


def _entries(running: Running, path: str) -> Iterator[tuple[str, str]]:
    query = urlencode({"page": 1, "page_size": _ENTRIES, "sort": "-id"})
    answer = running.core.ask("GET", f"/api/v2.0/{path}?{query}", running.user.header)
    if answer.status == 404:
        # The newer of the two logs is there from Harbor 2.13 on.
        return
    for entry in answer.json() or ():
        when = str(entry.get("op_time", ""))[:16].replace("T", " ")
        kind, resource = entry.get("resource_type"), entry.get("resource")
        yield when, f"{entry.get('operation')} of {kind} {resource} by {entry.get('username')}"


def robot_gets_in(running: Running) -> Finding:
    """A planted robot is let in, and may ask for an image."""
    if running.image is None:
        return not_provable(_NO_IMAGE)
    return harbor_images.finds(running.core, running.robot, running.image)


def pulls(running: Running) -> Finding:
    """An image comes whole, with a token of core's own service."""
    if running.image is None:
        return not_provable(_NO_IMAGE)
    return harbor_images.pulls(running.core, running.user, running.image, running.signer)


def controls(
    running: Running, results: Sequence[CheckResult], other_key: bytes
) -> Iterator[Control | Unplanted]:
    """A fault for every check that passed and that can be tried without another start of core."""
    good = {result.kind for result in results if result.outcome is Outcome.PASSED}
    stranger = Login(f"{running.mark}-nobody", running.user.password)
    impostor = replace(running, robot=replace(running.robot, password=f"{running.robot.password}x"))
    tries: tuple[tuple[CheckKind, str, str, Callable[[], Finding]], ...] = (
        (
            CheckKind.HARBOR_COUNTS,
            "Harbor: a missing project",
            "one project more expected",
            lambda: _one_more(running),
        ),
        (
            CheckKind.HARBOR_PULL,
            "Harbor: another's token key",
            "a token held against a key made a moment ago",
            lambda: pulls(replace(running, signer=other_key)),
        ),
        (
            CheckKind.HARBOR_LOGIN,
            "Harbor: a stranger's login",
            "a user that is not there",
            lambda: logs_in(running.core, stranger),
        ),
        (
            CheckKind.HARBOR_ROBOT,
            "Harbor: a robot's wrong secret",
            "one letter more",
            lambda: robot_gets_in(impostor),
        ),
    )
    for kind, name, planted, look in tries:
        if kind in good:
            yield Control(name, planted, partial(judged, look))
        else:
            yield Unplanted(name, "its check did not pass")


def _one_more(running: Running) -> Finding:
    noted = running.facts["projects"]
    more = {**running.facts, "projects": {**noted, "live": int(noted["live"]) + 1}}
    return _counted(running.core, running.user, more)
