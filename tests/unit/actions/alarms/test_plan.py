"""What each target is told, and how often: on values, with a clock of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from drkit.actions.alarms.plan import Look, Memory, Message, missed, next_look, plan
from drkit.model import Problem, ProblemKind

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTHING = Memory()
NO_DRILL = Problem(
    ProblemKind.OBJECTIVE, "no full drill has ever passed", "run `drkit drill`", subject="drill"
)
FAILED = Problem(
    ProblemKind.LAST_RUN,
    "the last backup (2026-11-30 02:00 UTC) failed: no space is left",
    "make room",
    subject="backup",
    cause="tool_failed",
)
OLD = Problem(ProblemKind.DRILL, "point A did not pass its last drill", red=False, subject="A")
AWAY = Problem(ProblemKind.REPOSITORY, "the repository offsite cannot be read", subject="offsite")
STALE = Problem(ProblemKind.NOT_COPIED, "the newest recovery point in offsite is too old", subject="offsite")
DRILLED = Problem(ProblemKind.DRILL, "the last full drill failed, in offsite", subject="offsite/full")


def told(
    *problems: Problem,
    at: datetime = NOW,
    memory: Memory = NOTHING,
    critical_only: bool = False,
    whole: bool = True,
    passed: tuple[Problem, ...] = (),
    after: str = "",
) -> Message | None:
    look = Look(at, problems, whole, passed, after)
    return plan("site", look, memory, DAY, critical_only=critical_only)


def knowing(*problems: Problem, at: datetime = NOW) -> Memory:
    message = told(*problems, at=at)
    assert message is not None
    return message.memory


def test_a_site_that_is_well_is_no_news() -> None:
    assert told() is None


def test_each_problem_is_told_once_and_what_is_red_comes_first() -> None:
    message = told(OLD, NO_DRILL, after="drkit backup has just succeeded.")
    assert message is not None
    assert message.title == "drkit site: RED: no full drill has ever passed (and 1 more)"
    assert message.body == (
        "New:\n"
        "- RED: no full drill has ever passed\n"
        "  run `drkit drill`\n"
        "- warning: point A did not pass its last drill\n\n"
        "drkit backup has just succeeded."
    )
    assert told(OLD, NO_DRILL, at=NOW + HOUR, memory=message.memory) is None


def test_another_sentence_is_no_other_problem_and_another_cause_is() -> None:
    later = Problem(FAILED.kind, "the last backup (later) failed", subject="backup", cause="tool_failed")
    assert told(later, at=NOW + HOUR, memory=knowing(FAILED)) is None
    locked = Problem(FAILED.kind, "the last backup failed: locked", subject="backup", cause="site_locked")
    message = told(locked, at=NOW + HOUR, memory=knowing(FAILED))
    assert message is not None
    assert message.title == "drkit site: RED: the last backup failed: locked"


def test_a_warning_that_turns_red_is_told_again() -> None:
    worse = Problem(OLD.kind, OLD.message, subject=OLD.subject)
    assert told(OLD, memory=knowing(worse)) is None
    assert told(worse, memory=knowing(OLD)) is not None


def test_what_stays_is_told_again_when_it_is_time_and_only_then() -> None:
    memory = knowing(FAILED)
    assert told(FAILED, at=NOW + DAY - HOUR, memory=memory) is None
    message = told(FAILED, at=NOW + DAY, memory=memory)
    assert message is not None
    assert message.title == f"drkit site: still RED: {FAILED.message}"
    (known,) = message.memory.told.values()
    assert (known.since, known.told_at) == (NOW, NOW + DAY)
    assert told(FAILED, at=NOW + DAY + HOUR, memory=message.memory) is None


def test_a_clock_that_was_wrong_silences_nothing() -> None:
    memory = knowing(FAILED, at=NOW + 365 * DAY)
    message = told(FAILED, memory=memory)
    assert message is not None
    assert next(iter(message.memory.told.values())).told_at == NOW


def test_that_it_is_over_is_told_to_whoever_knew() -> None:
    message = told(memory=knowing(FAILED), after="drkit backup has just succeeded.")
    assert message is not None
    assert message.title == "drkit site: OK: backup works again"
    assert message.body == "Good again:\n- backup works again\n\ndrkit backup has just succeeded."
    assert message.memory.told == {}


def test_what_is_well_again_never_hides_what_is_red() -> None:
    message = told(NO_DRILL, memory=knowing(FAILED, NO_DRILL))
    assert message is not None
    assert message.title == "drkit site: still RED: no full drill has ever passed; backup works again"


def test_a_pager_hears_only_of_what_is_red() -> None:
    assert told(OLD, critical_only=True) is None
    message = told(OLD, NO_DRILL, critical_only=True)
    assert message is not None
    assert "point A" not in message.body
    over = told(OLD, memory=message.memory, critical_only=True)
    assert over is not None
    assert over.title == "drkit site: OK: the objective drill is met again"


def test_what_nobody_could_look_at_is_not_over() -> None:
    memory = knowing(NO_DRILL, FAILED)
    message = told(memory=memory, whole=False)
    assert message is not None, "runs are known without the repository"
    assert message.title == "drkit site: OK: backup works again"
    assert list(message.memory.told) == [NO_DRILL.key]
    assert told(memory=message.memory) is not None


@pytest.mark.parametrize("problem", [STALE, DRILLED])
def test_nor_is_what_is_in_a_repository_that_is_away(problem: Problem) -> None:
    message = told(AWAY, memory=knowing(problem))
    assert message is not None
    assert "Good again" not in message.body
    assert set(message.memory.told) == {AWAY.key, problem.key}
    back = told(problem, memory=message.memory)
    assert back is not None
    assert "the repository offsite can be read again" in back.body


def test_what_was_killed_and_made_good_since_is_told_all_the_same() -> None:
    killed = Problem(ProblemKind.LOST_RUN, "the backup never ended", subject="backup", cause="1")
    message = told(passed=(killed,))
    assert message is not None
    assert message.title == "drkit site: made good: the backup never ended"
    assert message.memory.told == {}
    known = told(memory=knowing(killed), passed=(killed,))
    assert known is not None
    assert known.title == "drkit site: OK: backup works again"


def test_a_message_that_did_not_arrive_is_told_with_the_next() -> None:
    first = told(FAILED)
    assert first is not None
    memory = missed(Memory(), first)
    message = told(memory=memory)
    assert message is not None, "though it is over"
    assert message.title == "drkit site: OK: messages arrive again"
    assert message.body == f"An earlier message did not arrive: {first.title}"
    assert told(memory=message.memory) is None
    again = told(FAILED, memory=memory)
    assert again is not None
    assert again.memory.missed == ""


def test_a_point_that_another_run_is_making_is_no_news() -> None:
    assert told(Problem(ProblemKind.INCOMPLETE_POINTS, "1 incomplete point", red=False)) is None


def test_titles_are_one_short_line() -> None:
    message = told(Problem(ProblemKind.LAST_RUN, "failed:\n" + "x y " * 200, subject="backup"))
    assert message is not None
    assert len(message.title) <= 140
    assert "\n" not in message.title


def test_a_body_has_an_end() -> None:
    many = [Problem(ProblemKind.BROKEN_SEAL, f"point {n} is broken", subject=str(n)) for n in range(300)]
    message = told(*many)
    assert message is not None
    assert message.title.endswith("(and 299 more)")
    assert message.body.count("\n") == 26
    assert message.body.endswith("- and 275 more: see `drkit status`")
    assert len(message.memory.told) == 300


def test_when_to_look_again() -> None:
    look, knows = Look(NOW, ()), knowing(FAILED)
    assert next_look(look, (), DAY, ()) == NOW + HOUR
    assert next_look(look, (), DAY, [NOW + HOUR / 2, NOW - HOUR]) == NOW + HOUR / 2
    assert next_look(look, (missed(Memory(), Message("x", "", Memory())),), DAY, ()) == NOW + HOUR / 6
    late = Look(NOW + DAY - HOUR / 2, (FAILED,))
    assert next_look(late, (knows,), DAY, ()) == NOW + DAY
    assert next_look(Look(NOW, (), whole=False), (), DAY, ()) == NOW + HOUR / 6
