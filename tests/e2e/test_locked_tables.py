"""Tables that somebody else holds: a backup says so by a name that scripts can read."""

from __future__ import annotations

import testenv
from testenv import Site
from tests.e2e.commands import Drkit
from tests.e2e.test_bad_input import only


def test_locked_tables_are_told_as_what_was_in_the_way(fresh: Drkit, site: Site) -> None:
    quick = fresh.change(only("database")).change(
        lambda document: document["database"][0].update(lock_wait="1s")
    )
    with testenv.connect(site) as connection, connection.transaction():
        connection.execute(b"LOCK TABLE public.tag IN ACCESS EXCLUSIVE MODE")
        ended = quick.run("backup", "--json")
    assert ended.code == 3
    assert ended.error["disturbance"] == "tables_in_use"
    assert quick.points() == []
