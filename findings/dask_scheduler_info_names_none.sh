#!/usr/bin/env bash
# distributed 2026.8.0: `Client.scheduler_info(n_workers=-1)`, which is to name all workers, now and then names none
# although all are there and nothing has happened to them.
#
# The client asks the scheduler by itself every two seconds, for no workers (n_workers=0), and keeps that answer in
# the same place. `scheduler_info` asks for all in the thread of the event loop, and reads that place afterwards, in
# the caller's thread: what the client has asked by itself meanwhile is returned. Whoever takes a worker that is not
# named for one that is lost loses all of them at once. `client.sync(client.scheduler.identity, n_workers=-1)` has
# its answer for itself.
#
# Seen on a machine under load once in about a minute; here the client asks by itself every 5 ms, so that it is seen
# within seconds. Needs Python with venv, and PyPI; takes a minute.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install distributed==2026.8.0
cd "$work"
cat >look.py <<'PYTHON'
import time

import dask
from distributed import Client, LocalCluster

if __name__ == "__main__":
    dask.config.set({"distributed.client.scheduler-info-interval": "5ms"})
    with LocalCluster(n_workers=3, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster:
        with Client(cluster) as client:
            client.wait_for_workers(3)
            asked = {"scheduler_info": [], "identity": []}
            until = time.monotonic() + 10
            while time.monotonic() < until:
                asked["scheduler_info"].append(len(client.scheduler_info(n_workers=-1)["workers"]))
                asked["identity"].append(len(client.sync(client.scheduler.identity, n_workers=-1)["workers"]))
    for name, counts in asked.items():
        print(f"{name}: {len(counts)} answers, {counts.count(0)} of them without any worker")
    assert asked["scheduler_info"].count(0) > 0
    assert set(asked["identity"]) == {3}
PYTHON
"$work/venv/bin/python" look.py
