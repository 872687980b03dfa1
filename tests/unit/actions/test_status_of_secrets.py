"""What `status` tells of secrets, from manifests alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from drkit.actions.status.of_secrets import problems
from drkit.model import (
    CertificateFacts,
    DrillNote,
    KeyFault,
    KeyFaultKind,
    Level,
    Outcome,
    Point,
    PointManifest,
    PointStatus,
    ProblemKind,
)
from tests.unit.secrets.test_changes import BEFORE, NOW, OTHER, PLACE, listed

MONTH = timedelta(days=30)
CHANGED = {**BEFORE, PLACE: b"a-new-secret-key"}


def point(name: str, manifest: PointManifest, *drills: DrillNote) -> Point:
    return Point(name, PointStatus.SEALED, NOW, (), manifest=replace(manifest, id=name), drills=drills)


def passed(level: Level = "full", outcome: Outcome = Outcome.PASSED) -> DrillNote:
    return DrillNote("d", "p", level, outcome, NOW, 1.0)


def told(*points: Point) -> list[str]:
    found = list(problems(points, NOW, MONTH))
    assert all(problem.red and problem.hint for problem in found)
    return [problem.message for problem in found]


OLD, NEW, NEWER = (
    point("a", listed(BEFORE), passed()),
    point("b", listed(CHANGED)),
    point("c", listed(CHANGED)),
)
PROBLEM = (
    f"the secret key {PLACE} is another one since point a: what Harbor encrypted before cannot be "
    "decrypted with a new one"
)


def test_nothing_to_tell() -> None:
    assert told() == []
    assert told(OLD) == []
    assert told(point("b", listed(BEFORE)), OLD) == []


def test_a_new_secret_key_is_told_until_a_full_drill_has_passed_with_it() -> None:
    assert told(NEW, OLD) == [PROBLEM]
    assert told(NEWER, NEW, OLD) == [PROBLEM], "the next backup does not hush it up"
    drills: Sequence[DrillNote] = (passed("quick"), passed(outcome=Outcome.FAILED))
    assert told(NEWER, replace(NEW, drills=tuple(drills)), OLD) == [PROBLEM]
    assert told(NEWER, replace(NEW, drills=(passed(),)), OLD) == []
    assert told(replace(NEWER, drills=(passed(),)), NEW, OLD) == []


def test_without_any_drill_all_points_are_compared() -> None:
    assert told(NEWER, NEW, point("a", listed(BEFORE))) == [PROBLEM]


def test_points_of_two_machines_are_not_compared_by_content() -> None:
    said = f"whether the secret key {PLACE} is the one of point a cannot be told"
    assert [line.partition(":")[0] for line in told(point("b", listed(CHANGED, OTHER)), OLD)] == [said]
    assert told(point("b", listed(CHANGED, OTHER), passed()), OLD) == []


def test_certificates_of_the_newest_point() -> None:
    def facts(days: float) -> CertificateFacts:
        end = NOW + timedelta(days=days)
        return CertificateFacts("/a.crt", "CN=registry", "CN=a CA", (), NOW - MONTH, end, authority=False)

    soon = replace(listed(BEFORE), certificates=(facts(29), facts(31), facts(-1)))
    assert told(point("b", soon), OLD) == [
        "the certificate /a.crt (CN=registry) expires on 2026-12-23",
        "the certificate /a.crt (CN=registry) expired on 2026-11-23",
    ]
    assert told(OLD, point("b", soon)) == [], "an older point's are history"


def test_the_secret_key_that_is_back_is_no_problem() -> None:
    """Gone for a night or another for a night: the newest point has it as the drilled one had it."""
    gone = {path: data for path, data in BEFORE.items() if path != PLACE}
    back = point("c", listed(BEFORE))
    assert told(back, point("b", listed(gone)), OLD) == []
    assert told(back, point("b", listed(CHANGED)), OLD) == []
    (said,) = problems([point("b", listed(gone)), OLD], NOW, MONTH)
    assert said.message == PROBLEM.replace("is another one", "is gone")
    assert said.hint.startswith("put it back (`drkit restore a --only secrets"), "there is no new one to fit"


KEY, TOKEN = "/tls/a.key", "/data/secret/registry/root.crt"
KINDS = {
    KEY: "private key",
    TOKEN: "token certificate",
    "/tls/b.key": "private key",
    "/tls/a.crt": "certificate",
}
PROVEN = point("a", listed({KEY: b"key", TOKEN: b"crt", "/tls/a.crt": b"crt"}, what=KINDS), passed())


def after(
    name: str, files: dict[str, bytes], *drills: DrillNote, key: str = "", paths: tuple[str, ...] = ()
) -> Point:
    made = listed(files, what={**KINDS, **({KEY: key} if key else {})})
    return point(name, replace(made, secret_paths=paths), *drills)


@pytest.mark.parametrize(
    ("files", "key", "said"),
    [
        ({KEY: b"key", TOKEN: b"crt"}, "", []),
        # A renewal: another key in the same file, under another name, or in the directory of another day.
        ({KEY: b"new", TOKEN: b"crt"}, "", []),
        ({"/tls/b.key": b"new", TOKEN: b"crt"}, "", []),
        ({KEY: b"key"}, "", [f"the token certificate {TOKEN} is gone since point a"]),
        ({TOKEN: b"crt"}, "", [f"the private key {KEY} is gone since point a"]),
        ({KEY: b"", TOKEN: b"crt"}, "file", [f"the private key {KEY} is empty since point a"]),
        (
            {KEY: b"\0\0", TOKEN: b"crt"},
            "file",
            [f"the private key {KEY} holds no key any more since point a"],
        ),
        ({KEY: b"sealed", TOKEN: b"crt"}, "private key, encrypted", []),
    ],
)
def test_keys_that_the_last_drilled_point_had(files: dict[str, bytes], key: str, said: list[str]) -> None:
    first, second = after("b", files, key=key), after("c", files, key=key)
    assert told(first, PROVEN) == said
    assert told(second, first, PROVEN) == said, "the next backup does not hush it up"
    assert told(after("d", {KEY: b"key", TOKEN: b"crt"}), second, first, PROVEN) == [], "it is back"
    assert told(replace(second, drills=(passed("quick"),)), first, PROVEN) == said
    assert told(replace(second, drills=(passed(),)), first, PROVEN) == []


def test_keys_that_were_renewed_twice_under_other_names() -> None:
    kinds = dict.fromkeys(("/tls/1.key", "/tls/2.key", "/tls/3.key"), "private key")

    def renewed(name: str, path: str, *drills: DrillNote) -> Point:
        return point(name, listed({path: b"key"}, what=kinds), *drills)

    first, second, third = renewed("a", "/tls/1.key", passed()), renewed("b", "/tls/2.key"), "/tls/3.key"
    assert told(renewed("c", third), second, first) == []


def test_a_key_that_came_after_the_drill_and_went() -> None:
    both = {KEY: b"key", TOKEN: b"crt", "/opt/x.key": b"new"}
    came = point("b", listed(both, what={**KINDS, "/opt/x.key": "private key"}))
    (said,) = told(after("c", {KEY: b"key", TOKEN: b"crt"}), came, PROVEN)
    assert said == "the private key /opt/x.key is gone since point b"


@pytest.mark.parametrize(
    ("before", "now", "red"),
    [
        (("/tls", "/data/secret"), ("/tls", "/data/secret"), True),
        (("/tls", "/data/secret"), ("/data/secret",), False),
        (("/tls/*.key",), ("/tls/*.key",), True),
        (("/tls/*.key",), ("/tls/*.crt",), False),
        ((KEY,), ("/tls",), True),
        ((), (), True),
    ],
)
def test_what_was_taken_out_of_the_configuration_is_told_as_that(
    before: tuple[str, ...], now: tuple[str, ...], red: bool
) -> None:
    assert PROVEN.manifest is not None
    proven = replace(PROVEN, manifest=replace(PROVEN.manifest, secret_paths=before))
    said = [f"the private key {KEY} is gone since point a"] if red else []
    assert told(after("b", {TOKEN: b"crt"}, paths=now), proven) == said


def test_faults_that_the_newest_backup_found() -> None:
    fault = KeyFault(KeyFaultKind.OTHERS_KEY, KEY, "/tls/a.crt")
    empty = KeyFault(KeyFaultKind.EMPTY, KEY)

    def faulty(found: KeyFault, files: dict[str, bytes], *drills: DrillNote) -> Point:
        made = after("b", files, *drills)
        assert made.manifest is not None
        return replace(made, manifest=replace(made.manifest, key_faults=(found,)))

    files = {KEY: b"new", TOKEN: b"crt"}
    (said,) = problems([faulty(fault, files), PROVEN], NOW, MONTH)
    assert (said.kind, said.red) == (ProblemKind.KEY_FAULT, True)
    assert said.message == f"in point b {KEY} is not the key of /tls/a.crt"
    assert told(faulty(fault, files, passed()), PROVEN) == []
    assert told(after("c", files), faulty(fault, files), PROVEN) == [], "an older point's are history"
    once = told(faulty(empty, {**files, KEY: b""}), PROVEN)
    assert once == [f"the private key {KEY} is empty since point a"], "one thing is told once"
