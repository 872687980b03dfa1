"""The hash of a table's content, on a real server: any change of a row changes it, and nothing else does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from decimal import Decimal
from functools import partial
from typing import LiteralString

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drkit import config
from drkit.database import clients, evidence, locked
from drkit.database import load as database_restore
from drkit.model import SequenceEvidence, TableEvidence
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session, connect
from drkit.tools.postgres.sql import compose, identifier, literal
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster

COLUMNS: dict[str, st.SearchStrategy[object]] = {
    "int4": st.none() | st.integers(-(2**31), 2**31 - 1),
    "int8": st.none() | st.integers(-(2**63), 2**63 - 1),
    "bool": st.none() | st.booleans(),
    "text": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    "numeric": st.none() | st.decimals(allow_infinity=False, allow_nan=False, places=3),
    "float8": st.none() | st.floats(),
    "bytea": st.none() | st.binary(),
    "timestamptz": st.none() | st.datetimes(timezones=st.just(UTC)),
    "text[]": st.none() | st.lists(st.sampled_from(["", "a", "b,c", '"', "NULL"]), max_size=3),
}
Row = tuple[object, ...]
rows = st.lists(st.tuples(*COLUMNS.values()), min_size=1, max_size=6)

BY_PROPERTY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def session(cluster: Cluster) -> Iterator[Session]:
    """A session in a database with the table `public.t`, a column a type."""
    with connect(cluster.new_database()) as made:
        columns = [
            compose("{name} {type}", name=identifier(kind), type=sql.trusted(kind)) for kind in COLUMNS
        ]
        made.execute(compose("CREATE TABLE public.t ({columns})", columns=sql.joined(", ", columns)))
        yield made


def fill(session: Session, content: list[Row]) -> TableEvidence:
    session.execute("TRUNCATE public.t")
    for row in content:
        marks = sql.joined(", ", [sql.fragment("%s")] * len(row))
        session.execute(compose("INSERT INTO public.t VALUES ({marks})", marks=marks), row)
    return evidence.hash_table(session, "public", "t")


def same(one: object, other: object) -> bool:
    """Whether PostgreSQL stores the two alike: repr tells 0.0 from -0.0, and 1.0 from 1.00."""
    return repr(one) == repr(other)


@BY_PROPERTY
@given(content=rows, column=st.integers(0, len(COLUMNS) - 1), data=st.data())
def test_any_change_of_any_row_changes_it(
    session: Session, content: list[Row], column: int, data: st.DataObject
) -> None:
    before = fill(session, content)
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(list(COLUMNS.values())[column])
    if isinstance(value, Decimal) or same(value, content[place][column]):
        return
    changed = list(content)
    changed[place] = (*content[place][:column], value, *content[place][column + 1 :])
    after = fill(session, changed)
    assert after.rows == before.rows
    assert after.hash != before.hash


@BY_PROPERTY
@given(content=rows, seed=st.integers())
def test_order_is_no_change_and_a_missing_or_doubled_row_is(
    session: Session, content: list[Row], seed: int
) -> None:
    whole = fill(session, content)
    other_way = list(content)
    random.Random(seed).shuffle(other_way)
    assert fill(session, other_way) == whole
    assert fill(session, content[1:]).hash != whole.hash
    assert fill(session, [*content, content[0]]).hash != whole.hash
    # Two equal rows too many are not the same as none.
    assert fill(session, [*content, content[0], content[0]]).hash != whole.hash


@BY_PROPERTY
@given(content=st.lists(st.tuples(*COLUMNS.values()), min_size=2, max_size=4), data=st.data())
def test_rows_cannot_trade_values_unseen(session: Session, content: list[Row], data: st.DataObject) -> None:
    column = data.draw(st.integers(0, len(COLUMNS) - 1))
    one, other = content[0], content[1]
    swapped = [
        (*one[:column], other[column], *one[column + 1 :]),
        (*other[:column], one[column], *other[column + 1 :]),
        *content[2:],
    ]
    alike = sorted(map(repr, swapped)) == sorted(map(repr, content))
    assert (fill(session, swapped).hash == fill(session, content).hash) is alike


def test_scale_and_sign_of_numbers_count(session: Session) -> None:
    def hashed(numeric: LiteralString, floating: LiteralString) -> str | None:
        session.execute("TRUNCATE public.t")
        query = compose(
            "INSERT INTO public.t (numeric, float8) VALUES ({n}, {f})",
            n=literal(numeric),
            f=literal(floating),
        )
        session.execute(query)
        return evidence.hash_table(session, "public", "t").hash

    found = {hashed(n, f) for n in ("1.0", "1.00") for f in ("0", "-0", "NaN", "Infinity")}
    assert len(found) == 8


ODD_TABLES: dict[str, LiteralString] = {
    'we"ird; DROP': '("co l" int, "%s" text); INSERT INTO {t} VALUES (1, \'%d\'), (NULL, NULL)',
    "no columns": "(); INSERT INTO {t} DEFAULT VALUES; INSERT INTO {t} DEFAULT VALUES",
    "no rows": "(id int PRIMARY KEY)",
    "dropped column": "(a int, b int, c int); ALTER TABLE {t} DROP COLUMN b; INSERT INTO {t} VALUES (1, 2)",
    "json": "(a json, b jsonb, c xml);"
    " INSERT INTO {t} VALUES ('{{\"a\":  1}}', '{{\"b\": [1, null]}}', '<a/>')",
    "times": "(a timestamp, b timestamptz, c date, d time, e timetz, f interval); INSERT INTO {t} VALUES"
    " ('infinity', '-infinity', '0044-03-15 BC', '24:00', '12:00+05:45', '1 mon -2 days 03:00:00.000001')",
    "generated": "(a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS IDENTITY);"
    " INSERT INTO {t} (a) VALUES (21)",
    "arrays": "(a int[], b text[][], c public.mood[], d public.pair, e public.digest); INSERT INTO {t} VALUES"
    " ('[2:3]={{1,2}}', '{{{{a,\"b,c\"}},{{NULL,\"\"}}}}', '{{sad}}', '(1,\"x y\")', 'sha256:00')",
    "ranges": "(a int4range, b tstzrange, c inet, d macaddr, e uuid, f bit(3), g tsvector, h point, i money);"
    " INSERT INTO {t} VALUES ('[1,5)', '[2026-01-01,)', '10.0.0.0/8', '08:00:2b:01:02:03',"
    " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', B'101', 'a:1 b:2', '(1,2)', 12.34)",
    "blanks": "(a char(5), b name, c \"char\"); INSERT INTO {t} VALUES ('ab', 'n', 'x')",
    "parted": "(a int, b text) PARTITION BY RANGE (a);"
    " CREATE TABLE public.part_one PARTITION OF {t} FOR VALUES FROM (0) TO (10);"
    " CREATE TABLE public.part_two (b text, a int); ALTER TABLE {t} ATTACH PARTITION public.part_two DEFAULT;"
    " INSERT INTO {t} VALUES (1, 'one'), (11, 'two')",
    "parent": "(a int); INSERT INTO {t} VALUES (1);"
    " CREATE TABLE public.child (b int) INHERITS ({t}); INSERT INTO public.child VALUES (2, 3)",
}


@pytest.fixture(scope="module")
def odd(cluster: Cluster) -> Target:
    """A database with everything odd in it."""
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE TYPE public.mood AS ENUM ('sad', 'it''s ok')")
        session.execute("CREATE TYPE public.pair AS (a int, b text)")
        session.execute("CREATE DOMAIN public.digest AS text CHECK (value LIKE 'sha256:%')")
        session.execute('CREATE SCHEMA "odd ""schema"""')
        for name, text in ODD_TABLES.items():
            table = identifier('odd "schema"', name)
            session.execute(compose("CREATE TABLE {t} " + text, t=table))
        session.execute("CREATE SEQUENCE public.loose INCREMENT -2 MAXVALUE 100 START 100")
        session.execute("SELECT nextval('public.loose'), nextval('public.loose')")
        session.execute("SELECT lo_from_bytea(4242, decode(repeat('00ff10', 3000), 'hex'))")
    return where


def account(where: Target) -> tuple[object, ...]:
    with connect(where) as session:
        names = locked.list_tables(session)
        large, sequences = evidence.read_large_objects(session), locked.read_sequences(session)
    return evidence.of_tables(names, lambda: connect(where)), large, sequences


def test_odd_tables_come_back_from_a_dump_the_same(cluster: Cluster, odd: Target) -> None:
    copy = cluster.copy(odd)
    tables, large, sequences = account(odd)
    assert account(copy) == (tables, large, sequences)
    assert isinstance(tables, tuple)
    counts = {table.table: table.rows for table in tables}
    assert counts["no columns"] == 2
    assert counts["no rows"] == 0
    assert (counts["part_one"], counts["part_two"], counts["parent"], counts["child"]) == (1, 1, 1, 1)
    assert "parted" not in counts


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("TimeZone", "Asia/Kathmandu"),
        ("DateStyle", "SQL, DMY"),
        ("IntervalStyle", "iso_8601"),
        ("extra_float_digits", "-15"),
        ("bytea_output", "escape"),
        ("xmlbinary", "hex"),
        ("search_path", "public"),
        ("max_parallel_workers_per_gather", "4"),
        ("jit_above_cost", "0"),
        ("client_encoding", "LATIN1"),
        ("quote_all_identifiers", "on"),
        ("array_nulls", "off"),
        ("standard_conforming_strings", "off"),
        ("default_transaction_isolation", "serializable"),
        ("enable_seqscan", "off"),
    ],
)
def test_no_setting_of_database_or_session_changes_it(odd: Target, setting: str, value: str) -> None:
    before = account(odd)
    where = {"name": identifier(odd.database), "setting": identifier(setting)}
    with connect(odd) as session:
        text = compose("ALTER DATABASE {name} SET {setting} TO {value}", **where, value=literal(value))
        session.execute(text)
    try:
        assert account(odd) == before
    finally:
        with connect(odd) as session:
            session.execute(compose("ALTER DATABASE {name} RESET {setting}", **where))


def test_parallel_workers_change_nothing(cluster: Cluster) -> None:
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE TABLE public.big AS SELECT n, md5(n::text) FROM generate_series(1, 60000) n")
        alone = evidence.hash_table(session, "public", "big")
        for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            session.execute(compose("SET {name} = 0", name=identifier(setting)))
        session.execute("SET max_parallel_workers_per_gather = 4")
        plan = session.rows("EXPLAIN SELECT count(*) FROM public.big")
        assert any("Parallel" in line for (line,) in plan)
        assert evidence.hash_table(session, "public", "big") == alone


def test_an_index_may_be_there_or_not(session: Session) -> None:
    content: list[Row] = [(n, *[None] * (len(COLUMNS) - 1)) for n in range(5)]
    before = fill(session, content)
    session.execute("CREATE INDEX made ON public.t (int4)")
    assert evidence.hash_table(session, "public", "t") == before
    session.execute("DROP INDEX public.made")


# Large objects and sequences


def test_large_objects_are_told_apart(cluster: Cluster) -> None:
    where = cluster.new_database()
    found = set()
    with connect(where) as session:
        found.add(evidence.read_large_objects(session))
        for oid, content in ((1, "ff"), (2, "ff")):
            session.execute("SELECT lo_from_bytea(%s, decode(%s, 'hex'))", (oid, content))
            found.add(evidence.read_large_objects(session))
        session.execute("SELECT lo_put(2, 5000, '\\x01')")
        found.add(evidence.read_large_objects(session))
        session.execute("SELECT lo_put(2, 5000, '\\x10')")
        found.add(evidence.read_large_objects(session))
    assert len(found) == 5
    assert account(cluster.copy(where)) == account(where)


def test_who_may_not_read_large_objects_counts_them(cluster: Cluster, odd: Target) -> None:
    with connect(odd) as session:
        session.execute("CREATE ROLE nobody_special LOGIN")
    with connect(Target({**odd.settings, "user": "nobody_special"})) as session:
        large = evidence.read_large_objects(session)
    assert (large.objects, large.hash) == (1, None)


def test_tables_that_are_counted_alone(odd: Target) -> None:
    with connect(odd) as session:
        names = locked.list_tables(session)
    patterns = ['odd "schema".arr*', "part_one", "nothing"]
    found = evidence.of_tables(
        names, lambda: connect(odd), lambda name: evidence.counted_alone(name, patterns)
    )
    assert {t.table: t.rows for t in found if t.hash is None} == {"arrays": 1, "part_one": 1}
    assert evidence.idle_patterns(names, patterns) == ("nothing",)


def test_a_table_in_a_tablespace_comes_back_where_there_is_none(cluster: Cluster) -> None:
    where = cluster.new_database()
    space = cluster.new_directory("space")
    with connect(where) as session:
        session.execute(compose("CREATE TABLESPACE fast LOCATION {path}", path=literal(str(space))))
        session.execute("CREATE TABLE public.t TABLESPACE fast AS SELECT 1 AS id")
    with locked.hold(config.Database(name="registry", dsn=where.dsn)) as held:
        taken = evidence.gather(held)
        archive = cluster.dump(where, held.snapshot)
    assert taken.tablespaces == ("fast",)
    lost = replace(taken, tablespaces=("gone",))
    load = clients.here(cluster.programs, {})
    bring_back = partial(database_restore.bring_back, cluster.target, load=load)
    with connect(where) as session:
        assert database_restore.missing_tablespaces(session, taken) == ()
        assert database_restore.missing_tablespaces(session, lost) == ("gone",)
    bring_back("there", taken, archive, "")
    bring_back("elsewhere", lost, archive, "")
    for name in ("there", "elsewhere"):
        assert evidence.differences(where.with_database(name), taken) == ()
    query = "SELECT reltablespace <> 0 FROM pg_class WHERE relname = 't'"
    with connect(where.with_database("there")) as one, connect(where.with_database("elsewhere")) as other:
        assert (one.value(query), other.value(query)) == (True, False)


def test_what_differs_is_said(cluster: Cluster) -> None:
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE TABLE public.users (id serial PRIMARY KEY, name text)")
        session.execute("INSERT INTO public.users (name) VALUES ('jane'), ('joe')")
        session.execute("CREATE TABLE public.log AS SELECT 1 AS id")
        session.execute("SELECT lo_from_bytea(1, '\\x01')")
    with locked.hold(config.Database(name="registry", dsn=where.dsn)) as held:
        taken = evidence.gather(held, ["log"])
    assert evidence.differences(where, taken) == ()
    with connect(where) as session:
        session.execute("UPDATE public.users SET name = 'jim' WHERE id = 1")
        session.execute("UPDATE public.log SET id = 2")  # counted alone, so nobody sees it
        session.execute("CREATE TABLE public.more ()")
        session.execute("SELECT setval('public.users_id_seq', 1)")
        session.execute("SELECT lo_put(1, 0, '\\x02')")
    assert evidence.differences(where, taken) == (
        "table public.more was not in the backup",
        "public.users has the right number of rows (2) but other content",
        "sequence public.users_id_seq stands at 1, short of 2",
        "the 1 large objects have other content",
    )
    with connect(where) as session:
        session.execute("DELETE FROM public.log; DROP TABLE public.more, public.users; SELECT lo_unlink(1)")
    assert evidence.differences(where, taken) == (
        "table public.users is missing",
        "public.log has 0 rows instead of 1",
        "sequence public.users_id_seq is missing",
        "0 large objects instead of 1",
    )


def test_a_sequence_that_goes_on_while_it_is_dumped_is_no_fault(cluster: Cluster) -> None:
    """The dump may read it before the evidence does: what counts is where it stood before both."""
    where = cluster.new_database()
    with connect(where) as session:
        session.execute("CREATE SEQUENCE public.numbers")
        session.value("SELECT nextval('public.numbers')")
        with locked.hold(config.Database(name="registry", dsn=where.dsn)) as held:
            archive = cluster.dump(where, held.snapshot)
            session.value("SELECT nextval('public.numbers')")
            taken = evidence.gather(held)
    assert evidence.differences(cluster.restored(archive), taken) == ()


def test_a_sequence_may_have_gone_on_but_not_back() -> None:
    def at(value: int | None, increment: int = 1, *, cycle: bool = False) -> SequenceEvidence:
        return SequenceEvidence("public", "s", value, increment, cycle)

    good = [(at(5), at(5)), (at(6), at(5)), (at(1), at(None)), (at(4, -1), at(5, -1))]
    bad = [(at(4), at(5)), (at(None), at(5)), (at(6, -1), at(5, -1))]
    round_again = (at(1, cycle=True), at(9, cycle=True))
    assert [list(evidence.sequence_faults([f], [e])) for f, e in [*good, round_again]] == [[]] * 5
    assert all(list(evidence.sequence_faults([f], [e])) for f, e in bad)
