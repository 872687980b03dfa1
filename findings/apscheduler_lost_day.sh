#!/usr/bin/env bash
# APScheduler 3.11.3: a daily CronTrigger leaves out a whole day where the clock is set forward at midnight, and gives
# a time that does not exist where it is set forward at another hour. cronsim 2.7 gives each day one real time.
#
# Seen for a daily time of day that the day lacks (tzdata 2026.1 or later, rules of 2026):
#   Africa/Cairo, 00:30, 24 April     APScheduler: 23 and 25 April, nothing between    cronsim: 24 April 01:00+03:00
#   Australia/Lord_Howe, 02:15, 4 Oct APScheduler: 02:15+10:30, which is no clock's    cronsim: 4 October 02:30+11:00
#   Antarctica/Troll, 01:30, 29 March APScheduler: 01:30+00:00, likewise               cronsim: 29 March 03:00+02:00
# The half hour of Lord Howe and the two hours of Troll come out right with cronsim as well.
#
# Needs Python; takes a few seconds.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install APScheduler==3.11.3 cronsim==2.7 tzdata==2026.1
PYTHONTZPATH='' "$work/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from cronsim import CronSim

CASES = [
    ("Africa/Cairo", "30 0 * * *", datetime(2026, 4, 23),
     ["2026-04-23T00:30:00+02:00", "2026-04-25T00:30:00+03:00"],
     ["2026-04-23T00:30:00+02:00", "2026-04-24T01:00:00+03:00"]),
    ("Australia/Lord_Howe", "15 2 * * *", datetime(2026, 10, 3),
     ["2026-10-03T02:15:00+10:30", "2026-10-04T02:15:00+10:30"],
     ["2026-10-03T02:15:00+10:30", "2026-10-04T02:30:00+11:00"]),
    ("Antarctica/Troll", "30 1 * * *", datetime(2026, 3, 28),
     ["2026-03-28T01:30:00+00:00", "2026-03-29T01:30:00+00:00"],
     ["2026-03-28T01:30:00+00:00", "2026-03-29T03:00:00+02:00"]),
]
for name, expression, start, trigger_gives, cronsim_gives in CASES:
    zone = ZoneInfo(name)
    trigger = CronTrigger.from_crontab(expression, zone)
    first = trigger.get_next_fire_time(None, start.replace(tzinfo=zone))
    second = trigger.get_next_fire_time(first, first + timedelta(hours=1))
    seen = [first.isoformat(), second.isoformat()]
    assert seen == trigger_gives, (name, seen)
    seen = [at.isoformat() for at in islice(CronSim(expression, start.replace(tzinfo=zone)), 2)]
    assert seen == cronsim_gives, (name, seen)
PYTHON
echo "as recorded: a day is lost in Cairo, and two times are given that no clock shows"
