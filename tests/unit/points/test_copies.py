"""Which points go to a further repository, and what of them is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.config import Retention
from drkit.model import Part, Point, PointStatus
from drkit.points import copies
from drkit.points.listing import Listing
from drkit.tools.restic.output import Snapshot
from tests import samples

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVERYTHING = Retention()


def point(days: int, *, tree: str = "tree", revision: int = 0) -> Point:
    """A sealed point of so many days ago, with a dump of its own and the roles in its seal."""
    at = NOW - timedelta(days=days)
    name = f"{at:%Y%m%d}"
    dump = Part("database", "r", f"dump {name}", "/x", 1, 1, 1.0, tree)
    roles = Part("roles", "r", "", "/r", 1, 0, 0.0)
    manifest = replace(samples.manifest(name, at), parts=(dump, roles), revision=revision)
    seal = f"seal {name} {revision}"
    found = samples.sealed(name, at)
    return replace(found, manifest=manifest.in_seal(seal), manifest_snapshot=seal, machine="m")


def plan(
    source: Sequence[Point],
    target: Sequence[Point] = (),
    rules: Retention = EVERYTHING,
    chosen: Point | None = None,
) -> copies.CopyPlan:
    return copies.plan(Listing(tuple(source)), Listing(tuple(target)), rules, NOW, chosen)


def ids(found: copies.CopyPlan) -> list[str]:
    return [each.point.id for each in found.points]


def test_what_is_not_there_is_copied_newest_first() -> None:
    source = [point(1), point(2), point(3)]
    found = plan(source, [point(2)])
    assert ids(found) == [source[0].id, source[2].id]
    assert found.there == 1
    assert found.points[0].parts == (f"dump {source[0].id}",)
    assert found.points[0].seal == f"seal {source[0].id} 0"


def test_what_is_not_sealed_is_not_copied_and_what_is_not_sealed_there_is_copied_again() -> None:
    whole, broken = point(1), replace(point(2), manifest=None, broken_seal="a part is gone")
    assert ids(plan([whole, samples.incomplete("x", NOW), broken])) == [whole.id]
    there = replace(point(1), manifest=None, manifest_snapshot=None, status=PointStatus.INCOMPLETE)
    assert ids(plan([whole], [there])) == [whole.id]


def test_what_retention_would_remove_there_again_is_not_copied() -> None:
    source = [point(1), point(2), point(3)]
    found = plan(source, rules=Retention(keep_last=2))
    assert ids(found) == [source[0].id, source[1].id]
    assert found.left_out == ((source[2].id, copies.NOT_KEPT),)
    # Who asks for one by name gets it, and no other.
    assert ids(plan(source, rules=Retention(keep_last=1), chosen=source[2])) == [source[2].id]


def test_a_proof_here_is_none_there() -> None:
    proven = replace(point(3), drills=(samples.drill_note(point(3).id, NOW),))
    source = [point(1), proven]
    assert ids(plan(source, rules=Retention(keep_last=1))) == [source[0].id]
    assert ids(plan(source, [proven], rules=Retention(keep_last=1))) == [source[0].id]


def test_a_seal_that_was_replaced_is_copied_again() -> None:
    assert ids(plan([point(1, revision=1)], [point(1)])) == [point(1).id]
    assert ids(plan([point(1)], [point(1, revision=1)])) == []


def test_without_hashes_nobody_could_know_a_copy() -> None:
    found = plan([point(1, tree="")])
    assert (ids(found), found.left_out) == ([], ((point(1).id, copies.NO_HASHES),))


def copied(name: str, *, tree: str = "tree", original: str, tag: str = "database:r") -> Snapshot:
    return Snapshot(name, NOW, "site", (f"drkit:part:{tag}",), (), original, None, tree)


def test_a_part_is_there_when_its_content_is() -> None:
    (wanted,) = plan([point(1)]).points
    first = wanted.parts[0]
    assert copies.missing_parts(wanted, []) == ("database r",)
    assert copies.missing_parts(wanted, [copied("c", original=first)]) == ()
    assert copies.missing_parts(wanted, [copied("c", original=first, tree="rewritten")]) == ("database r",)
    assert copies.missing_parts(wanted, [copied("c", original="other")]) == ("database r",)
    assert copies.missing_parts(wanted, [copied("c", original=first, tag="blobs:r")]) == ("database r",)


def test_a_copy_of_a_copy_goes_by_the_first_ids() -> None:
    here = replace(
        point(1),
        manifest=(point(1).manifest or samples.manifest("x", NOW)).found_as({f"dump {point(1).id}": "copy"}),
        copied_as=((f"dump {point(1).id}", "copy"),),
    )
    (wanted,) = plan([here]).points
    assert wanted.parts == ("copy",), "restic is given the ids of where it copies from"
    # restic keeps the first id, however often a snapshot is copied.
    assert copies.missing_parts(wanted, [copied("c2", original=f"dump {point(1).id}")]) == ()
    assert copies.missing_parts(wanted, [copied("c2", original="copy")]) == ("database r",)


def test_what_a_dead_run_left_goes_only_when_the_source_has_it_no_more() -> None:
    source = Listing((point(1),))
    left = replace(samples.incomplete("gone", NOW), machine="m")
    resumed = replace(samples.incomplete(point(1).id, NOW), machine="m")
    foreign = replace(samples.incomplete("foreign", NOW), machine="another")
    broken = replace(left, id="broken", broken_seal="a part is gone")
    target = Listing((left, resumed, foreign, broken))
    assert copies.remains(source, target, "here") == (left,)
    assert copies.remains(Listing(()), target, "another") == (foreign,)
