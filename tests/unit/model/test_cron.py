"""Cron expressions, as cron reads them."""

from __future__ import annotations

import pytest

from drkit.errors import ConfigError
from drkit.model.cron import Cron, parse, read

ALL = {
    "minutes": tuple(range(60)),
    "hours": tuple(range(24)),
    "days": tuple(range(1, 32)),
    "months": tuple(range(1, 13)),
    "weekdays": tuple(range(7)),
}


def cron(*, either_day: bool = False, **fields: tuple[int, ...]) -> Cron:
    return Cron(**{**ALL, **fields}, either_day=either_day)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("* * * * *", cron()),
        ("0 2 * * *", cron(minutes=(0,), hours=(2,))),
        ("  0   2 * *\t* ", cron(minutes=(0,), hours=(2,))),
        ("0 5 * * 0", cron(minutes=(0,), hours=(5,), weekdays=(0,))),
        ("0 5 * * 7", cron(minutes=(0,), hours=(5,), weekdays=(0,))),
        ("0 5 * * SUN", cron(minutes=(0,), hours=(5,), weekdays=(0,))),
        ("0 5 * * 1-5", cron(minutes=(0,), hours=(5,), weekdays=(1, 2, 3, 4, 5))),
        ("0 5 * * mon-fri", cron(minutes=(0,), hours=(5,), weekdays=(1, 2, 3, 4, 5))),
        ("0 5 * * 5-7", cron(minutes=(0,), hours=(5,), weekdays=(0, 5, 6))),
        ("0 5 * * fri-sun", cron(minutes=(0,), hours=(5,), weekdays=(0, 5, 6))),
        ("0 5 * * 0-7", cron(minutes=(0,), hours=(5,))),
        ("0 5 * * */2", cron(minutes=(0,), hours=(5,), weekdays=(0, 2, 4, 6))),
        ("*/20 9-17/4 * * *", cron(minutes=(0, 20, 40), hours=(9, 13, 17))),
        ("5,7-9,7 * * * *", cron(minutes=(5, 7, 8, 9))),
        ("0 0 1 jan,JUL *", cron(minutes=(0,), hours=(0,), days=(1,), months=(1, 7))),
        ("0 0 29 2 *", cron(minutes=(0,), hours=(0,), days=(29,), months=(2,))),
        ("0 0 13 * 5", cron(minutes=(0,), hours=(0,), days=(13,), weekdays=(5,), either_day=True)),
        ("0 0 1 * 0-7", cron(minutes=(0,), hours=(0,), days=(1,), either_day=True)),
        # Vixie's rule: a field that begins with a star restricts nothing by itself, so both must fit.
        (
            "0 0 */2 * 5",
            cron(minutes=(0,), hours=(0,), days=tuple(range(1, 32, 2)), weekdays=(5,)),
        ),
        (
            "0 0 31 2 1",
            cron(minutes=(0,), hours=(0,), days=(31,), months=(2,), weekdays=(1,), either_day=True),
        ),
    ],
)
def test_what_an_expression_means(text: str, meaning: Cron) -> None:
    assert parse(text) == meaning


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it needs 5 fields and has 0"),
        ("0 2 * *", "it needs 5 fields and has 4"),
        ("0 0 2 * * *", "it needs 5 fields and has 6"),
        ("@daily", "it needs 5 fields and has 1"),
        ("60 2 * * *", '"60" is no minute (0-59)'),
        ("0 24 * * *", '"24" is no hour (0-23)'),
        ("0 2 0 * *", '"0" is no day of the month (1-31)'),
        ("0 2 * 13 *", '"13" is no month (1-12 or jan-dec)'),
        ("0 2 * * 8", '"8" is no day of the week (0-7 or sun-sat)'),
        ("0 2 * * sunday", '"sunday" is no day of the week (0-7 or sun-sat)'),
        ("0 2 * sun *", '"sun" is no month (1-12 or jan-dec)'),
        ("x 2 * * *", '"x" is no minute (0-59)'),
        ("² 2 * * *", '"²" is no minute (0-59)'),
        ("-1 2 * * *", '"-1" is no minute'),
        ("1, 2 * * *", '"" is no minute'),
        ("1- 2 * * *", '"1-" is no minute'),
        ("*/ 2 * * *", '"*/" is no minute'),
        ("0 2 * * 5#2", '"5#2" is no day of the week'),
        ("0 2 L * *", '"L" is no day of the month (1-31)'),
        ("*/0 2 * * *", '"*/0" has a step of zero'),
        ("9-5 2 * * *", '"9-5" runs backwards'),
        ("5/15 2 * * *", '"5/15" has a step but no range: write 5-59/15'),
        ("0 0 30 2 *", "no such day exists"),
        ("0 0 31 4,6,9,11 *", "no such day exists"),
    ],
)
def test_what_is_no_expression(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse(text)
    assert str(caught.value) == sentence


def test_the_error_names_verb_and_expression() -> None:
    with pytest.raises(ConfigError) as caught:
        read("backup", "0 2 * *")
    assert caught.value.message == (
        'the schedule of backup, "0 2 * *", is not a cron expression: it needs 5 fields and has 4'
    )
    assert caught.value.hint == 'it is "minute hour day month weekday", such as "0 2 * * *" or "30 5 * * sun"'


def test_a_good_schedule_is_read() -> None:
    assert read("backup", "0 2 * * *") == parse("0 2 * * *")
