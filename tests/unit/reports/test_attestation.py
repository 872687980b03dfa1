"""Reports as statements, and what is missing between them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drkit.errors import ReportAltered
from drkit.model import CheckKind, CheckResult, ControlResult, Outcome, Reason
from drkit.reports import attestation
from drkit.reports.attestation import Attested, Gap, Predicate, Previous
from tests.samples import drill_report

AT = datetime(2026, 11, 1, tzinfo=UTC)
SEAL = "ab" * 32
CHECK = CheckResult(CheckKind.TABLES, Outcome.FAILED, "one row is missing", 1.5, "registry", Reason.COLLAPSED)
CONTROL = ControlResult("a flipped byte", True, "in a copy", 0.5)


def predicate(
    name: str, at: datetime = AT, previous: Previous | None = None, repository: str = "r"
) -> Predicate:
    return Predicate(
        drill_report(name, at, checks=(CHECK,), controls=(CONTROL,)),
        repository,
        "ef" * 32,
        (previous,) if previous else (),
    )


def attested(
    name: str, at: datetime = AT, *previous: Attested, repository: str = "r", host: str = "h"
) -> Attested:
    stated = predicate(name, at, repository=repository)
    named = tuple(Previous(each.report.id, each.sha256) for each in previous)
    stated = replace(stated, report=replace(stated.report, host=host), previous=named)
    payload = attestation.statement(stated, SEAL)
    return attestation.parse(payload, "key")


def chained(count: int) -> list[Attested]:
    """Drills a week apart, each of which names the one before it."""
    made: list[Attested] = []
    for number in range(count):
        made.append(attested(f"d{number}", AT + timedelta(weeks=number), *made[-1:]))
    return made


def test_what_is_stated_comes_back() -> None:
    stated = predicate("d1", previous=Previous("d0", "cd" * 32))
    payload = attestation.statement(stated, SEAL)
    found = attestation.parse(payload, "key")
    assert found == Attested(stated, SEAL, attestation.digest(payload), "key")


def test_it_is_an_in_toto_statement_about_the_seal() -> None:
    made = json.loads(attestation.statement(predicate("d1"), SEAL))
    assert made["_type"] == "https://in-toto.io/Statement/v1"
    assert made["subject"] == [{"name": "registry.example.com/point-of-d1", "digest": {"sha256": SEAL}}]
    assert made["predicateType"] == "drkit://drill-report/v1"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("predicateType",), "https://slsa.dev/provenance/v1"),
        (("subject",), []),
        (("subject", 0, "name"), "registry.example.com/another"),
        (("predicate",), {}),
        (("predicate", "report", "outcome"), "splendid"),
        (("predicate", "report", "finished_at"), "yesterday"),
    ],
)
def test_other_statements_are_refused(place: tuple[str | int, ...], value: object) -> None:
    made = json.loads(attestation.statement(predicate("d1"), SEAL))
    within = made
    for step in place[:-1]:
        within = within[step]
    within[place[-1]] = value
    with pytest.raises(ReportAltered):
        attestation.parse(json.dumps(made).encode(), "key")


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b'"text"', b"{}", b"[" * 100_000])
def test_what_is_no_statement_is_refused(payload: bytes) -> None:
    with pytest.raises(ReportAltered):
        attestation.parse(payload, "key")


def test_a_whole_chain() -> None:
    (found,) = attestation.chains(reversed(chained(4)))
    assert (found.drills, found.begins_after, found.gaps) == (("d0", "d1", "d2", "d3"), None, ())


def test_one_that_was_left_out_is_missed() -> None:
    every = chained(4)
    del every[2]
    (found,) = attestation.chains(every)
    assert found.gaps == (Gap("d2", "d3"),)


def test_the_oldest_may_have_gone() -> None:
    (found,) = attestation.chains(chained(4)[2:])
    assert (found.begins_after, found.gaps) == ("d1", ())


def test_an_altered_one_that_was_signed_again_is_missed() -> None:
    """Whoever has the key can sign another report; the next one names the hash of the first."""
    every = chained(3)
    every[1] = attested("d1", every[1].report.finished_at + timedelta(seconds=1), every[0])
    (found,) = attestation.chains(every)
    assert found.gaps == (Gap("d1", "d2"),)


def test_a_second_beginning_is_a_gap() -> None:
    every = chained(2)
    every.append(attested("late", AT + timedelta(weeks=9)))
    (found,) = attestation.chains(every)
    assert found.gaps == (Gap("", "late"),)


def test_hosts_that_know_nothing_of_one_another_begin_each_for_itself() -> None:
    """A drill host may read the repository and not write it: it knows of its own reports alone."""
    every = [*chained(2), other := attested("other", AT + timedelta(weeks=1), host="i")]
    every.append(attested("next", AT + timedelta(weeks=2), other, host="i"))
    (found,) = attestation.chains(every)
    assert found.gaps == ()


def test_two_that_ran_at_the_same_time_are_both_missed() -> None:
    first, second = chained(2)
    twin = attested("twin", second.report.finished_at, first)
    after = attested("after", AT + timedelta(weeks=9), second, twin)
    (found,) = attestation.chains([first, second, twin, after])
    assert (found.drills, found.gaps) == (("d0", "d1", "twin", "after"), ())
    for lacking, name in ((second, "d1"), (twin, "twin")):
        (found,) = attestation.chains(one for one in (first, second, twin, after) if one is not lacking)
        assert found.gaps == (Gap(name, "after"),)
    # Both may be where the folder begins.
    (found,) = attestation.chains([second, twin, after])
    assert (found.begins_after, found.gaps) == ("d0", ())


def test_their_order_is_what_they_name_and_not_what_a_clock_said() -> None:
    """The clock was a month ahead at the first drill."""
    first = attested("first", AT + timedelta(days=30))
    second = attested("second", AT, first)
    third = attested("third", AT + timedelta(days=1), second)
    (found,) = attestation.chains([third, second, first])
    assert (found.drills, found.begins_after, found.gaps) == (("first", "second", "third"), None, ())
    (found,) = attestation.chains([first, third])
    assert found.gaps == (Gap("second", "third"),)


def test_thousands() -> None:
    (found,) = attestation.chains(chained(1500))
    assert (len(found.drills), found.gaps) == (1500, ())


@pytest.mark.parametrize("at", ["2026-11-01T00:00:00", "9999-12-31T23:59:59Z", "NaN"])
def test_times_that_cannot_be_compared_are_refused(at: str) -> None:
    made = json.loads(attestation.statement(predicate("d1"), SEAL))
    made["predicate"]["report"]["finished_at"] = at
    with pytest.raises(ReportAltered):
        attestation.parse(json.dumps(made).encode(), "key")


def test_each_repository_has_its_own() -> None:
    every = [*chained(2), attested("other", AT, repository="s")]
    found = attestation.chains(every)
    assert [(chain.repository, len(chain.drills), chain.gaps) for chain in found] == [
        ("r", 2, ()),
        ("s", 1, ()),
    ]
