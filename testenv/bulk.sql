-- The tables that grow, made by the server itself: millions of rows take seconds.
--
-- Settings of the session: fill.rows (about so many rows altogether), fill.salt (keeps the unique values apart
-- from those of an earlier run). Texts differ, times have microseconds, some columns are null.

CREATE OR REPLACE FUNCTION pg_temp.share(part float8) RETURNS int LANGUAGE sql AS $$
    SELECT (current_setting('fill.rows')::float8 * part)::int
$$;

-- Text that a careless dump, restore or comparison trips over.
CREATE OR REPLACE FUNCTION pg_temp.awkward(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT (ARRAY['plain text', 'Zoë O''Brien', 'say "hello"; --', '李雷 と 花子', E'tab\there\nnewline \\N \\',
                  '100 % {braces}', 'שלום 👋🏽', E'e\u0301'])[1 + n % 8]
$$;

CREATE TEMPORARY VIEW repositories AS
SELECT array_agg(name ORDER BY repository_id) AS names,
    array_agg(project_id ORDER BY repository_id) AS project_ids, count(*)::int AS n
FROM repository;

INSERT INTO audit_log (project_id, operation, resource_type, resource, username, op_time)
SELECT r.project_ids[1 + g % r.n], (ARRAY['create', 'delete', 'pull', 'pull', 'pull', 'update'])[1 + g % 6],
    (ARRAY['artifact', 'tag', 'artifact', 'repository', 'project'])[1 + g % 5],
    r.names[1 + g % r.n] || '@sha256:' || substr(md5(g::text), 1, 12),
    CASE g % 9 WHEN 0 THEN pg_temp.awkward(g) ELSE 'user' || lpad((g % 40)::text, 3, '0') END,
    localtimestamp - random() * interval '700 days'
FROM generate_series(1, pg_temp.share(0.40)) g, repositories r;

INSERT INTO audit_log_ext (project_id, operation, resource_type, resource, username, op_desc, op_result,
    payload, source_ip, op_time)
SELECT CASE WHEN g % 11 > 0 THEN r.project_ids[1 + g % r.n] END,
    (ARRAY['create', 'delete', 'login', 'update'])[1 + g % 4],
    (ARRAY['robot', 'user', 'project', 'configuration'])[1 + g % 4], r.names[1 + g % r.n], 'admin',
    pg_temp.awkward(g), g % 17 > 0, CASE g % 5 WHEN 0 THEN '{"a": ' || g || ', "b": null}' END,
    '10.' || g % 256 || '.' || g / 256 % 256 || '.7', localtimestamp - random() * interval '700 days'
FROM generate_series(1, pg_temp.share(0.18)) g, repositories r;

INSERT INTO execution (vendor_type, vendor_id, status, status_message, trigger, extra_attrs, start_time,
    end_time, revision, update_time)
SELECT vendor, CASE vendor WHEN 'GARBAGE_COLLECTION' THEN -1 ELSE 1 + g % 5 END,
    CASE g % 13 WHEN 0 THEN 'Error' WHEN 1 THEN 'Stopped' ELSE 'Success' END,
    CASE g % 13 WHEN 0 THEN pg_temp.awkward(g) ELSE '' END, CASE g % 3 WHEN 0 THEN 'MANUAL' ELSE 'SCHEDULE' END,
    json_build_object('number', g, 'note', pg_temp.awkward(g)), started, started + random() * interval '1 hour',
    g % 4, started
FROM (SELECT g, localtimestamp - random() * interval '700 days' - interval '2 hours' AS started,
        (ARRAY['GARBAGE_COLLECTION', 'REPLICATION', 'RETENTION', 'IMAGE_SCAN', 'WEBHOOK',
               'IMAGE_SCAN', 'SCAN_ALL'])[1 + g % 7] AS vendor
      FROM generate_series(1, pg_temp.share(0.04)) g) made;

INSERT INTO task (execution_id, job_id, status, status_code, status_revision, status_message, run_count,
    extra_attrs, creation_time, start_time, update_time, end_time, vendor_type)
SELECT e.id, substr(md5('job' || g), 1, 24), e.status, 3, extract(epoch FROM e.start_time)::int, NULL, 1,
    CASE e.vendor_type
        WHEN 'IMAGE_SCAN' THEN json_build_object('report_uuids', json_build_array(md5('report' || g)))
        WHEN 'GARBAGE_COLLECTION' THEN json_build_object('freed_space', g, 'purged_blobs', g % 100)
    END,
    e.start_time, e.start_time, e.end_time, e.end_time, e.vendor_type
FROM generate_series(1, pg_temp.share(0.10)) g
    CROSS JOIN (SELECT min(id) AS first, count(*)::int AS n FROM execution) x
    JOIN execution e ON e.id = x.first + g % x.n;

INSERT INTO job_log (job_uuid, creation_time, content)
SELECT md5('log' || g) || '-' || current_setting('fill.salt'), localtimestamp - random() * interval '700 days',
    'line of job ' || g || ': ' || pg_temp.awkward(g) || E'\n' ||
    (SELECT string_agg(md5(g::text || n), E'\n') FROM generate_series(1, 20 + g % 100) n)
FROM generate_series(1, pg_temp.share(0.01)) g;

INSERT INTO scan_report (uuid, digest, registration_uuid, mime_type, report, critical_cnt, high_cnt,
    medium_cnt, low_cnt, none_cnt, unknown_cnt, fixable_cnt)
SELECT DISTINCT ON (digest) md5('report' || digest), digest, s.uuid,
    'application/vnd.security.vulnerability.report; version=1.1',
    json_build_object('generated_at', push_time, 'scanner', json_build_object('name', s.name)),
    a.id % 3, a.id % 7, a.id % 20, a.id % 50, 0, NULL, a.id % 11
FROM artifact a, scanner_registration s
WHERE s.is_default AND a.type = 'IMAGE' AND a.manifest_media_type NOT LIKE '%index%'
ORDER BY digest, a.id
ON CONFLICT DO NOTHING;

INSERT INTO vulnerability_record (cve_id, registration_uuid, package, package_version, package_type,
    severity, fixed_version, urls, cvss_score_v3, cvss_score_v2, cvss_vector_v3, description, cwe_ids,
    vendor_attributes, status)
SELECT 'CVE-' || 2015 + g % 12 || '-' || lpad(g::text, 5, '0') || current_setting('fill.salt'), s.uuid,
    'lib' || substr(md5((g % 500)::text), 1, 6), g % 9 || '.' || g % 31 || '.' || g / 100000 || '-r1', 'os-pkgs',
    (ARRAY['Critical', 'High', 'Medium', 'Low', 'Negligible', 'Unknown'])[1 + g % 6],
    CASE WHEN g % 3 > 0 THEN g % 9 || '.' || g % 31 || '.1' END, 'https://cve.example.test/' || g,
    CASE WHEN g % 4 > 0 THEN round((random() * 10)::numeric, 1)::float8 END, random() * 10,
    'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H', pg_temp.awkward(g) || ' ' || md5(g::text), 'CWE-' || g % 900,
    json_build_object('CVSS', json_build_object('nvd', json_build_object('V3Score', g % 100 / 10.0))),
    CASE WHEN g % 10 > 0 THEN 'affected' END
FROM generate_series(1, pg_temp.share(0.06)) g, scanner_registration s WHERE s.is_default;

INSERT INTO report_vulnerability_record (report_uuid, vuln_record_id)
SELECT r.uuid, v.first + g / n.reports
FROM generate_series(0, pg_temp.share(0.21) - 1) g
    CROSS JOIN (SELECT count(*)::int AS reports FROM scan_report) n
    CROSS JOIN (SELECT min(id) AS first, max(id) AS last FROM vulnerability_record) v
    JOIN (SELECT uuid, row_number() OVER (ORDER BY id) - 1 AS place FROM scan_report) r
        ON r.place = g % n.reports
WHERE v.first + g / n.reports <= v.last
ON CONFLICT DO NOTHING;

DROP VIEW repositories;
