"""Faults in rows, planted on a real server: whatever the types and the constraints are, and with no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg
import pytest

from drkit.checks import rows
from drkit.checks.finding import Control, Unplanted
from drkit.database import evidence, locked
from drkit.model import DatabaseEvidence, DatabaseShape, TableEvidence
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster

SHAPE = DatabaseShape("odd", "postgres", "UTF8", "libc", "C", "C")

# Constraints, a trigger and a generated column that would keep a fault out of the table itself.
ODD = """
CREATE TYPE public.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN public.word AS text NOT NULL CHECK (VALUE <> '');
CREATE TABLE public.odd (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, small int2 NOT NULL, big int8 UNIQUE,
    money numeric, price numeric(10, 2), ratio float8, half float4, flag bool NOT NULL, name varchar(3),
    letter char(1), note text, raw bytea, at timestamp, at_zone timestamptz,
    at_second timestamp(0), day date, span interval, doc json, docs jsonb, list text[],
    feeling public.mood, key uuid, net inet, reach int4range,
    said public.word, twice int GENERATED ALWAYS AS (small * 2) STORED,
    CHECK (flag), EXCLUDE USING gist (reach WITH &&)
);
CREATE FUNCTION public.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
INSERT INTO public.odd (small, big, money, price, ratio, half, flag, name, letter, note, raw, at, at_zone,
    at_second, day, span, doc, docs, list, feeling, key, net, reach, said)
VALUES (32767, 9223372036854775807, 1.00, 9.99, 'infinity', 0, true, 'xyx', 'x', '', '', 'infinity',
    '2026-11-24 02:00:00.000001+01', now(), 'infinity', '1 mon -1 day', '{"a":  1}', '{"a": null}',
    '{a,NULL}', 'sad', '00000000-0000-0000-0000-000000000000', '::1', '[1,5)', 'said'),
    (1, 2, -0.5, 0, 'NaN', 1.5, true, '', 'y', E'tab\\t', '\\x00', '2026-01-01', NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, 'more');
CREATE TRIGGER no BEFORE INSERT OR UPDATE OR DELETE ON public.odd FOR EACH ROW EXECUTE FUNCTION public.no();
"""


@pytest.fixture
def target(cluster: Cluster) -> Target:
    """An empty database of the test's own."""
    return cluster.new_database()


def run(target: Target, script: str) -> None:
    # Several statements, some with semicolons in them, go by the simple protocol.
    with psycopg.connect(target.dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def described(target: Target) -> DatabaseEvidence:
    with connect(target) as session:
        names = locked.list_tables(session)
    tables = evidence.of_tables(names, lambda: connect(target))
    return DatabaseEvidence("odd", SHAPE, 150_000, {}, tables)


def planted(target: Target, found: DatabaseEvidence) -> Sequence[Control | Unplanted]:
    return list(rows.controls(target, found))


def test_every_fault_is_caught_over_every_type_and_nothing_stays(target: Target) -> None:
    run(target, ODD)
    before = described(target)
    controls = [control for control in planted(target, before) if isinstance(control, Control)]
    assert [control.name for control in controls] == [
        "dropped row in odd",
        "row added to odd",
        "changed row in odd",
    ]
    types = (
        "_text, bool, bpchar, bytea, date, float4, float8, inet, int2, int4, int4range, int8, interval, "
        "json, jsonb, mood, numeric, text, timestamp, timestamptz, uuid, varchar"
    )
    assert controls[2].planted.endswith(f": {types}")
    for control in controls:
        result = control.run()
        assert result.caught, result.detail
    assert described(target) == before


def test_a_change_that_is_not_seen_is_told(target: Target) -> None:
    """Of a table that is only counted nothing else can be seen: the control must not say that it was."""
    run(target, "CREATE TABLE public.t (note text); INSERT INTO public.t VALUES ('a')")
    (table,) = described(target).tables
    finding = rows.all_seen(target, [rows.Column(replace(table, hash=None), "note", "text", exact=True)])
    assert (finding.outcome, finding.detail) == ("passed", "a changed text in t.note was not seen")


def test_a_large_table_is_not_read_whole(target: Target) -> None:
    run(target, "CREATE TABLE public.t AS SELECT n FROM generate_series(1, 5000) AS n")
    for control in planted(target, described(target)):
        assert isinstance(control, Control)
        assert control.run().caught


def test_where_there_are_no_rows_nothing_is_called_caught(target: Target) -> None:
    run(target, "CREATE TABLE public.t (n int)")
    found = planted(target, described(target))
    assert [(type(c), c.name) for c in found] == [
        (Unplanted, "dropped row in odd"),
        (Unplanted, "row added to odd"),
        (Unplanted, "changed row in odd"),
    ]


def test_tables_that_are_counted_only_have_no_changed_row(target: Target) -> None:
    run(target, "CREATE TABLE public.t AS SELECT 1 AS n")
    counted = DatabaseEvidence("odd", SHAPE, 150_000, {}, (TableEvidence("public", "t", 1, None),))
    dropped, added, changed = planted(target, counted)
    assert isinstance(dropped, Control)
    assert isinstance(added, Control)
    assert dropped.run().caught
    assert added.run().caught
    assert isinstance(changed, Unplanted)
