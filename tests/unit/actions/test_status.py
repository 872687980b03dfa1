"""What counts for an objective, and what does not, whatever the clocks say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.status import of_drills
from drkit.actions.status.judge import judge
from drkit.config import Objectives, Vault
from drkit.model import (
    ALL_DATA,
    SOME_DATA,
    Attempt,
    Bucketed,
    BucketPlace,
    Closure,
    DatabaseEvidence,
    DatabaseShape,
    Outcome,
    Part,
    Point,
    ProblemKind,
    RelationEvidence,
    SchemaFault,
    Status,
)
from drkit.model.reread import Proved, Reread, StoreKind, StoreProofs, reread
from drkit.points.listing import Listing
from drkit.tools.restic.output import Snapshot
from tests.samples import drill_note, incomplete, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SHAPE = DatabaseShape("registry", "postgres", "UTF8", "libc", "C", "C")


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{tmp_path}"
        [objectives]
        rpo = "24h"
        rto = "1h"
        drill = "90d"
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "{tmp_path}/password"
        """
    )
    return config.load_config(file)


def met(found: Status) -> dict[str, bool]:
    return {objective.name: objective.met for objective in found.objectives}


def of_store(kind: StoreKind, days: float, *, wrong: bool = False) -> Reread:
    read = (Proved(NOW - days * DAY, 1, 100),)
    return reread(StoreProofs(kind, "x", read, (), int(wrong), int(wrong)), NOW, 90 * DAY, HOUR)


@pytest.mark.parametrize(
    ("stores", "actual", "is_met"),
    [
        ((), None, False),
        ((of_store("packs", 89),), 89, True),
        ((of_store("packs", 91),), 91, False),
        ((of_store("packs", 2, wrong=True),), None, False),
        # What drills have restored stands in for no reading of packs.
        ((of_store("blobs", 2),), None, False),
        ((of_store("packs", 3), of_store("blobs", 400)), 3, True),
    ],
)
def test_the_longest_unread_is_judged(
    settings: config.Config, stores: tuple[Reread, ...], actual: float | None, is_met: bool
) -> None:
    goals = Objectives.model_validate({"reread": "90d"})
    found = judge(
        settings.model_copy(update={"objectives": goals}), [sealed("p", NOW - HOUR)], NOW, reread=stores
    )
    (objective,) = found.objectives
    assert (objective.name, objective.met) == ("reread", is_met)
    assert objective.actual_seconds == (None if actual is None else actual * 86_400)
    assert found.green is is_met
    assert found.repositories[0].reread == stores


def test_blobs_in_a_vault_are_judged_as_well(settings: config.Config) -> None:
    point = sealed("p", NOW - HOUR)
    assert point.manifest
    where = Bucketed(BucketPlace("registry", ""), BucketPlace("vault", ""))
    point = replace(point, manifest=replace(point.manifest, bucket=where))
    alone = settings.model_copy(update={"objectives": Objectives.model_validate({"reread": "90d"})})
    assert met(judge(alone, [point], NOW, reread=(of_store("packs", 1),))) == {"reread": False}
    both = (of_store("packs", 1), of_store("vault", 2))
    assert met(judge(alone, [point], NOW, reread=both)) == {"reread": True}
    # Somebody has read another one last.
    another = alone.model_copy(update={"vault": Vault(bucket="vault")})
    assert met(judge(another, [point], NOW, reread=both)) == {"reread": False}
    own = (both[0], replace(both[1], where="s3://vault"))
    assert met(judge(another, [point], NOW, reread=own)) == {"reread": True}


def test_what_happened_in_time_meets_the_objectives(settings: config.Config) -> None:
    at = NOW - timedelta(hours=4)
    found = judge(settings, [sealed("p", at, drill_note("p", NOW - timedelta(hours=1)))], NOW)
    assert met(found) == {"rpo": True, "rto": True, "drill": True}
    assert found.problems == ()


def test_a_drill_without_room_for_the_images_measures_no_recovery_time(settings: config.Config) -> None:
    measured = drill_note("p", NOW - 3 * HOUR)
    streamed = replace(drill_note("p", NOW - HOUR), id="streamed", recovery_time_seconds=None)
    only = judge(settings, [sealed("p", NOW - 4 * HOUR, streamed)], NOW)
    assert met(only) == {"rpo": True, "rto": False, "drill": True}
    assert [(f.subject, "room for the images" in f.message) for f in only.findings] == [("rto", True)]
    found = judge(settings, [sealed("p", NOW - 4 * HOUR, measured, streamed)], NOW)
    assert met(found) == {"rpo": True, "rto": True, "drill": True}


def test_a_point_from_the_future_meets_no_objective(settings: config.Config) -> None:
    """A clock that was wrong for one night must not make every later night look fine."""
    wrong = sealed("wrong", NOW + 1461 * DAY, drill_note("wrong", NOW + 1461 * DAY))
    right = sealed("right", NOW - 3 * DAY, drill_note("right", NOW - 100 * DAY))
    found = judge(settings, [wrong, right], NOW)
    assert met(found) == {"rpo": False, "rto": True, "drill": False}
    assert (found.newest_point, found.points) == ("right", 2)
    assert (
        "dated in the future, and counted for nothing: wrong, drill drill-of-wrong; is or was a clock"
        in (found.problems[-1])
    )
    assert met(judge(settings, [wrong], NOW)) == {"rpo": False, "rto": False, "drill": False}


def test_a_broken_seal_is_a_problem_of_its_own(settings: config.Config) -> None:
    good = sealed("good", NOW, drill_note("good", NOW))
    broken: Point = replace(incomplete("broken", NOW), broken_seal="its manifest cannot be read")
    assert judge(settings, [broken, good], NOW).problems == (
        "point broken was sealed, but its manifest cannot be read",
    )
    killed = judge(settings, [incomplete("killed", NOW), good], NOW).problems
    assert killed == ("1 incomplete recovery points: a backup failed, was killed, or is under way",)


def test_a_drill_that_did_not_pass_is_not_forgotten(settings: config.Config) -> None:
    """Not for an older one that did, and not for a quick one after it."""
    passed = drill_note("p", NOW - 3 * HOUR)
    failed = replace(drill_note("p", NOW - 2 * HOUR), id="red", outcome=Outcome.FAILED)
    quick = replace(drill_note("p", NOW - HOUR), id="quick", level="quick")
    found = judge(settings, [sealed("p", NOW - 4 * HOUR, passed, failed, quick)], NOW)
    assert met(found) == {"rpo": True, "rto": True, "drill": True}
    assert found.problems == ("the last full drill (red) failed",)
    assert not found.green
    stuck = replace(quick, outcome=Outcome.ERROR)
    again = drill_note("p", NOW - HOUR / 2)
    found = judge(settings, [sealed("p", NOW - 4 * HOUR, passed, failed, stuck)], NOW)
    assert found.problems == (
        "the last quick drill (quick) came to no verdict",
        "the last full drill (red) failed",
    )
    assert judge(settings, [sealed("p", NOW - 4 * HOUR, failed, stuck, again)], NOW).problems == ()


def attempt(
    verb: str, scope: str = "", *, code: int | None = 0, ago: timedelta = HOUR, kind: str = ""
) -> Attempt:
    began = NOW - ago
    end = None if code is None else began + timedelta(minutes=1)
    return Attempt(f"{verb}-{ago}", verb, scope, began, end, code, kind, "it broke" if code else "")


def good_points() -> list[Point]:
    at = NOW - timedelta(hours=4)
    return [sealed("p", at, drill_note("p", NOW - timedelta(hours=3)))]


def kinds(found: Status) -> list[tuple[str, bool]]:
    return [(str(problem.kind), problem.red) for problem in found.findings]


@pytest.mark.parametrize("verb", ["backup", "verify", "expire", "keys rotate"])
def test_a_verb_that_failed_is_red_until_it_works_again(settings: config.Config, verb: str) -> None:
    failed, again = attempt(verb, code=7, ago=2 * HOUR), attempt(verb)
    found = judge(settings, good_points(), NOW, [failed])
    assert (found.green, kinds(found)) == (False, [("last_run", True)])
    assert "it broke" in found.problems[0]
    assert found.runs == (failed,)
    assert judge(settings, good_points(), NOW, [failed, again]).green
    killed = attempt(verb, code=None, ago=2 * HOUR)
    assert kinds(judge(settings, good_points(), NOW, [killed])) == [("lost_run", True)]
    assert judge(settings, good_points(), NOW, [killed, again]).green
    assert judge(settings, good_points(), NOW, [replace(killed, running=True)]).green


def test_a_rotation_of_nothing_makes_no_rotation_of_points_good(settings: config.Config) -> None:
    killed = attempt("keys rotate", "--points", code=None, ago=2 * HOUR)
    found = judge(settings, good_points(), NOW, [killed, attempt("keys rotate")])
    assert kinds(found) == [("lost_run", True)]
    assert found.problems[0].startswith("the keys rotate --points that began")
    assert found.findings[0].hint == "run `drkit keys rotate --points` again"
    again = attempt("keys rotate", "--points")
    assert judge(settings, good_points(), NOW, [killed, again]).green
    assert judge(settings, good_points(), NOW, [attempt("keys rotate", code=7, ago=2 * HOUR), again]).green


def test_a_drill_that_never_ended_is_red_until_one_of_its_level_passes(settings: config.Config) -> None:
    killed = attempt("drill", "full", code=None)
    found = judge(settings, good_points(), NOW, [killed])
    assert (found.green, kinds(found)) == (False, [("lost_run", True)])
    assert found.problems[0].startswith("the full drill that began at 2026-11-24 05:00 UTC never ended")
    assert not judge(settings, good_points(), NOW, [killed, attempt("drill", "quick", ago=HOUR / 2)]).green
    # One that passed on another machine stands in the repository.
    elsewhere = [sealed("p", NOW - 4 * HOUR, drill_note("p", NOW - HOUR / 2))]
    assert judge(settings, elsewhere, NOW, [killed]).green
    could_not_run = attempt("drill", "full", code=6, kind="drill_error")
    assert kinds(judge(settings, good_points(), NOW, [could_not_run])) == [("last_run", True)]


def test_a_drill_with_a_report_is_told_of_once(settings: config.Config) -> None:
    failed = replace(drill_note("p", NOW - HOUR), id="red", outcome=Outcome.FAILED)
    record = replace(attempt("drill", "full", code=5), subject="red")
    found = judge(settings, [sealed("p", NOW - 4 * HOUR, failed)], NOW, [record])
    assert [kind for kind, _ in kinds(found)] == ["objective", "objective", "drill"]


def test_damage_that_verify_found_stays_until_a_verify_passes(settings: config.Config) -> None:
    damage = replace(attempt("verify", code=7, ago=2 * HOUR), kind="repository_damaged", thorough=SOME_DATA)
    found = judge(settings, good_points(), NOW, [damage])
    assert (found.green, kinds(found)) == (False, [("damage", True)])
    structure = attempt("verify")
    assert kinds(judge(settings, good_points(), NOW, [damage, structure])) == [("damage", True)]
    assert judge(settings, good_points(), NOW, [damage, replace(structure, thorough=ALL_DATA)]).green


def test_that_nobody_is_told_is_red(settings: config.Config) -> None:
    assert kinds(judge(settings, good_points(), NOW, [attempt("notify", code=7)])) == [("not_told", True)]


def test_nothing_to_restore_is_never_green(settings: config.Config) -> None:
    none = settings.model_copy(update={"objectives": Objectives()})
    found = judge(none, [], NOW)
    assert (found.green, kinds(found)) == (False, [("no_point", True)])


def test_an_old_point_that_failed_its_drill_is_named(settings: config.Config) -> None:
    bad = drill_note("old", NOW - 30 * HOUR, outcome=Outcome.FAILED)
    found = judge(settings, [*good_points(), sealed("old", NOW - 48 * HOUR, bad)], NOW)
    assert (found.green, kinds(found)) == (True, [("drill", False)])


def with_database(
    point: Point, fault: SchemaFault | None = None, relations: tuple[RelationEvidence, ...] | None = None
) -> Point:
    assert point.manifest is not None
    database = DatabaseEvidence(
        "registry", SHAPE, 150_012, {}, (), harbor_schema=190, schema_fault=fault, relations=relations
    )
    return replace(point, manifest=replace(point.manifest, databases=(database,)))


@pytest.mark.parametrize("fault", list(SchemaFault))
def test_a_schema_that_harbor_does_not_start_on_is_red(settings: config.Config, fault: SchemaFault) -> None:
    (point,) = good_points()
    found = judge(settings, [with_database(point, fault)], NOW)
    assert (found.green, kinds(found)) == (False, [("schema", True)])
    assert judge(settings, [with_database(point)], NOW).green


def test_a_torn_production_is_red_and_so_are_images_that_it_lacks(settings: config.Config) -> None:
    (point,) = good_points()
    torn = RelationEvidence("projects to quota", 3, 1, 0, "project_id 4")
    found = judge(settings, [with_database(point, relations=(torn,))], NOW)
    assert (found.green, kinds(found)) == (False, [("torn", True)])
    assert found.problems == (
        "production is inconsistent: in registry 1 of 3 projects are without quota (project_id 4, for one)",
    )
    assert point.manifest is not None
    closure = Closure(5, 4, 1, 0, 0)
    lacking = replace(point, manifest=replace(point.manifest, closure=closure))
    assert kinds(judge(settings, [lacking], NOW)) == [("images_missing", True)]


def test_a_drill_proves_the_bundle_that_it_opened_and_no_later_one(settings: config.Config) -> None:
    (point,) = good_points()
    assert point.manifest is not None
    rotated = replace(point, manifest=replace(point.manifest, revision=1))
    found = judge(settings, [rotated], NOW)
    assert (found.green, kinds(found)) == (False, [("unproven_keys", True)])
    again = replace(drill_note("p", NOW - HOUR), revision=1)
    assert judge(settings, [replace(rotated, drills=(*rotated.drills, again))], NOW).green
    # Any point that is drilled since shows that the keys at hand open what there is.
    other = sealed("q", NOW - 2 * HOUR, drill_note("q", NOW - HOUR))
    assert judge(settings, [other, rotated], NOW).green


ALICE, BOB, CAROL = "age1alice", "age1bob", "ssh-ed25519 AAAAcarol"


@pytest.mark.parametrize(
    ("newest", "opened", "outcome", "green"),
    [
        ((f"{ALICE} operator",), (ALICE,), Outcome.PASSED, True),
        ((BOB, f"{ALICE} by another name"), (ALICE,), Outcome.PASSED, True),
        ((f"{CAROL} carol",), (ALICE, CAROL), Outcome.PASSED, True),
        ((f"{BOB} colleague",), (ALICE,), Outcome.PASSED, False),
        ((BOB, CAROL), (ALICE,), Outcome.PASSED, False),
        ((BOB,), (ALICE, BOB), Outcome.FAILED, False),
        # Points that were drilled before secrets were among the sources.
        ((BOB,), (), Outcome.PASSED, True),
        ((), (ALICE,), Outcome.PASSED, True),
    ],
)
def test_recipients_of_whom_no_passed_drill_has_opened_anything_are_red(
    settings: config.Config, newest: tuple[str, ...], opened: tuple[str, ...], outcome: Outcome, green: bool
) -> None:
    """Nobody has shown the identity of a key that was put into the configuration by hand."""
    (old,) = good_points()
    proof = replace(old, drills=(replace(old.drills[0], opened=opened[:1]),))
    later = replace(drill_note("q", NOW - HOUR), opened=opened[1:], outcome=outcome, level="quick")
    made = sealed("q", NOW - 2 * HOUR, *([later] if opened[1:] else []))
    assert made.manifest is not None
    part = Part("secrets", "secrets", "s", "/secrets.tar.age", 1, 1, 1.0)
    manifest = replace(made.manifest, recipients=newest, parts=(part,) if newest else ())
    found = judge(settings, [replace(made, manifest=manifest), proof], NOW)
    kept = [problem for problem in found.findings if problem.kind is ProblemKind.UNPROVEN_KEYS]
    assert bool(kept) != green
    assert all("not proven with the new keys" in problem.message and problem.red for problem in kept)


def test_a_schedule_that_nothing_keeps_is_red(settings: config.Config) -> None:
    weekly = settings.model_copy(
        update={"schedule": config.Schedule(verify="0 6 * * 1", backup="0 2 * * *", drill="0 5 1 * *")}
    )
    at, taken = NOW - 4 * HOUR, attempt("backup", ago=4 * HOUR)
    points = [sealed("p", at, drill_note("p", NOW - 3 * HOUR)), sealed("o", NOW - 30 * DAY)]
    found = judge(weekly, points, NOW, [taken])
    assert (found.green, kinds(found)) == (False, [("never_ran", True)])
    assert found.problems[0].startswith("verify is on the schedule, was due at 2026-10-26 06:00")
    assert judge(weekly, points, NOW, [taken, attempt("verify", ago=5 * DAY)]).green
    assert judge(weekly, points[:1], NOW, [taken]).green, "it has not been due yet"
    assert judge(weekly, points, NOW).green, "another machine keeps the schedule"


def test_a_drill_whose_report_cannot_be_read_may_have_failed() -> None:
    lost = Snapshot(id="s", time=NOW - DAY, tags=("drkit:drill:lost",), host="h", paths=())

    def red(*proved: datetime) -> bool:
        notes = tuple(drill_note("p", at) for at in proved)
        (found,) = of_drills.unread(Listing((), snapshots=(lost,), drills=notes), "primary", NOW)
        assert (found.kind, "drill lost in primary cannot be read" in found.message) == ("drill", True)
        return found.red

    assert red()
    assert red(NOW - 2 * DAY)
    assert not red(NOW - HOUR)
    # What is dated in the future counts for nothing.
    assert red(NOW + DAY)
