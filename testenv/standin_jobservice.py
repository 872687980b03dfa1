"""A stand-in for Harbor's jobservice: it does at its start what the real one does with the database.

It asks core for the database, takes the paused queues from there, then every schedule, and runs what is due:
for it that is all of them, so that one that nobody has held runs at once. Whatever runs is counted in the
table `task`, and tries to reach the addresses in $OUTWARD. Where core does not answer or a secret is missing
it ends.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg


def settings() -> dict[str, Any]:
    """Its own file, which must have a Redis, and what core says of the database."""
    found = json.loads(Path(sys.argv[sys.argv.index("-c") + 1]).read_text())
    assert found["worker_pool"]["redis_pool"]["redis_url"].startswith("redis://127.0.0.1:")
    for name in ("CORE_SECRET", "JOBSERVICE_SECRET"):
        assert len(os.environ[name]) == 16
    address = f"{os.environ['CORE_URL']}/api/v2.0/internalconfig"
    login = {"Authorization": f"Harbor-Secret {os.environ['JOBSERVICE_SECRET']}"}
    with urllib.request.urlopen(urllib.request.Request(address, headers=login)) as answer:
        found["database"] = json.loads(answer.read())
    return dict(found)


class Jobs:
    """The queues."""

    def __init__(self, database: dict[str, str]) -> None:
        self._database = database
        with self._connect() as connection:
            rows = connection.execute("SELECT job_type FROM job_queue_status WHERE paused").fetchall()
            self._paused = {row[0] for row in rows}
            due = [row[0] for row in connection.execute("SELECT vendor_type FROM schedule").fetchall()]
        print(f"Found {len(due)} schedules; paused: {', '.join(sorted(self._paused)) or 'none'}", flush=True)
        for kind in due:
            if "SCHEDULER" not in self._paused:
                self.take(kind)

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        named = self._database
        return psycopg.connect(
            host=named["host"], port=named["port"], user=named["username"], password=named["password"],
            dbname=named["database"], sslmode=named["sslmode"], autocommit=True,
        )  # fmt: skip

    def take(self, kind: str) -> None:
        """Note a task, and run it unless its queue is paused."""
        with self._connect() as connection:
            status, runs = ("Pending", 0) if kind in self._paused else ("Success", 1)
            connection.execute(
                "WITH made AS (INSERT INTO execution (vendor_type, status, trigger) VALUES (%s, %s, 'MANUAL')"
                " RETURNING id) INSERT INTO task (execution_id, status, status_code, run_count, vendor_type)"
                " SELECT id, %s, 0, %s, %s FROM made",
                (kind, status, status, runs, kind),
            )
        if runs:
            self._reach_out(kind)

    def _reach_out(self, kind: str) -> None:
        for address in filter(None, os.environ.get("OUTWARD", "").split(",")):
            host, _, port = address.partition(":")
            try:
                socket.create_connection((host, int(port)), 2).close()
                print(f"{kind}: told {address}", flush=True)
            except OSError as error:
                print(f"{kind}: {address}: {error}", flush=True)


def main() -> None:
    """Serve."""
    if os.environ.get("JOBS_FAIL"):
        raise SystemExit(f"[FATAL] initialize job context error: core refuses {os.environ['CORE_SECRET']}")
    found = settings()
    jobs = Jobs(found["database"])

    class Service(BaseHTTPRequestHandler):
        """The calls that core makes."""

        def do_GET(self) -> None:
            """Its health check."""
            self._answer(200 if self.path == "/api/v1/stats" else 404)

        def do_POST(self) -> None:
            """A job."""
            if self.headers.get("Authorization") != f"Harbor-Secret {os.environ['CORE_SECRET']}":
                return self._answer(401)
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            jobs.take(asked["job"]["name"])
            return self._answer(202)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    ThreadingHTTPServer(("127.0.0.1", found["port"]), Service).serve_forever()


if __name__ == "__main__":
    main()
