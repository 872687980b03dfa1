"""The table from checks to controls."""

from __future__ import annotations

from collections import Counter

import pytest

from drkit.model import CheckKind
from drkit.reports import controls


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
