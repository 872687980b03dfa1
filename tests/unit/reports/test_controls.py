"""The table from checks to controls."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.model import CheckKind
from drkit.reports import controls
from tests.samples import drill_report


@pytest.mark.parametrize("kind", CheckKind)
def test_every_check_is_evidence_for_something(kind: CheckKind) -> None:
    assert controls.of_check(kind).controls


def test_no_check_stands_twice() -> None:
    count = Counter(kind for line in controls.TABLE for kind in line.kinds)
    assert count.most_common(1)[0][1] == 1


def test_every_line_says_what_it_does_not_show() -> None:
    assert all(line.shows and line.not_shown for line in controls.TABLE)


def test_each_control_that_auditors_ask_for_has_a_line() -> None:
    numbers = {control.number for line in controls.TABLE for control in line.controls}
    assert numbers == {"A.8.13", "A.5.30", "A1.2", "A1.3", "CP-4", "CP-9", "Art. 11", "Art. 12"}


def test_a_drill_without_a_disk_for_the_images_is_no_trial_of_the_recovery_time() -> None:
    timed = drill_report("a", datetime(2026, 11, 1, tzinfo=UTC))
    streamed = replace(timed, streamed=True, recovery_time_seconds=None)
    (line,) = (
        each for each in controls.evidence([timed, streamed]) if each.subject == controls.RECOVERY.subject
    )
    assert (line.tried, line.held) == (1, 1)
