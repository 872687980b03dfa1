-- Values whose text or hash could be another on another major, or on another day.
CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE TYPE public.pair AS (a int, b text);
CREATE DOMAIN public.digest AS text CHECK (VALUE LIKE 'sha256:%');
CREATE TABLE public.odd (
    id bigserial PRIMARY KEY, gone int,
    i2 smallint, r real, f double precision, n numeric, n2 numeric(20, 4), m money,
    t text, v varchar(40), c char(8), c1 "char", na name, by bytea, b boolean, u uuid,
    d date, ti time, tz timetz, ts timestamp, tstz timestamptz(3), iv interval,
    j json, jb jsonb, x xml,
    ai int[], at text[], am public.mood[], mo public.mood, pa public.pair, di public.digest,
    ra int4range, tr tstzrange, nr numrange, bi bit(5), vb bit varying,
    ip inet, ci cidr, ma macaddr, po point, pg polygon, tv tsvector, tq tsquery,
    twice int GENERATED ALWAYS AS (i2 * 2) STORED
);
ALTER TABLE public.odd DROP COLUMN gone;
INSERT INTO public.odd (
    i2, r, f, n, n2, m,
    t, v, c, c1, na, by, b, u,
    d, ti, tz, ts, tstz, iv,
    j, jb, x,
    ai, at, am, mo, pa, di,
    ra, tr, nr, bi, vb,
    ip, ci, ma, po, pg, tv, tq
)
SELECT
    g, g / 3.0,
    CASE g % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN '-0' ELSE exp(g::float8) END,
    CASE g % 3 WHEN 0 THEN 'NaN' WHEN 1 THEN 1.000 ELSE g / 7.0 END, g * 1.5, g::numeric::money,
    'zeile ' || chr(228 + g) || E'\n\t\\', 'x' || g, 'ab', 'z', 'n' || g, decode(md5(g::text), 'hex'), g % 2 = 0,
    md5(g::text)::uuid,
    CASE g % 3 WHEN 0 THEN 'infinity' ELSE date '2026-02-28' + g END, '24:00', '12:00:00.123+14',
    CASE g % 4 WHEN 0 THEN '-infinity' WHEN 1 THEN '0044-03-15 BC'
        ELSE timestamp '2026-03-29 02:30' + g * interval '1 second' END,
    '2026-10-25 02:30:00.123456+02', '1 year -2 mons 3 days -04:05:06.789',
    '{"a" : 1,  "a": 2}', jsonb_build_object('k', g, 'n', NULL, 'f', 1.10), '<a b="c">&amp;</a>',
    ARRAY[1, NULL, g], ARRAY['a,b', NULL, '', chr(8364)], '{sad,"it''s \"fine\""}', 'ok', '(1,"a,""b")',
    'sha256:' || g,
    int4range(g, g * 2, '[]'), tstzrange('2026-01-01Z', NULL, '(]'), numrange(NULL, 1.50), B'10101', B'1',
    '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', point(g / 3.0, -0.0), '((0,0),(1,1.5),(2,0))',
    to_tsvector('simple', 'fat cats ate'), 'fat & (rat | !cat:*)'
FROM generate_series(1, 60) AS g;
INSERT INTO public.odd DEFAULT VALUES;

CREATE TABLE public.parted (k int, v text) PARTITION BY HASH (k);
CREATE TABLE public.parted_0 PARTITION OF public.parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO public.parted SELECT g, md5(g::text) FROM generate_series(1, 100) AS g;
CREATE TABLE public.nothing ();
INSERT INTO public.nothing DEFAULT VALUES;
SELECT lo_from_bytea(0, decode(repeat('00ff10', 3000), 'hex'));
