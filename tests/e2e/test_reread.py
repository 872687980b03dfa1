"""Bytes that are read again: the longest unread first, written down in the repository for everybody."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, exactly, fails, finish
from tests.e2e.test_killed import kill_when


def reread(drkit: Drkit) -> dict[str, Any]:
    """Of each store what status says."""
    found = drkit.run("status", "--json").envelope["result"]
    return {each["kind"]: each for each in found["repositories"][0]["reread"]}


def objective(drkit: Drkit) -> dict[str, Any]:
    found = drkit.run("status", "--json").envelope["result"]["objectives"]
    return dict(next(each for each in found if each["name"] == "reread"))


def ledgers(drkit: Drkit) -> list[str]:
    every = json.loads(drkit.restic("snapshots", "--tag", "drkit:ledger", "--json"))
    return [each["id"] for each in every]


def test_read_in_parts_until_all_was_read_by_a_machine_that_is_gone(copy: Drkit) -> None:
    copy.change(lambda document: document["objectives"].update(reread="90d"))
    # The drill has restored blobs; of packs nothing was read whole.
    assert list(reread(copy)) == ["blobs"]
    assert (objective(copy)["met"], objective(copy)["actual_seconds"]) == (False, None)
    first = copy.ask("verify", "--bytes", "1K")
    assert 0 < first["packs"]["packs"] < first["packs"]["every_pack"]
    part = reread(copy)["packs"]
    assert 0 < part["never_bytes"] < part["bytes"]
    second = copy.ask("verify", "--for", "1h")
    assert second["packs"]["packs"] == second["packs"]["every_pack"]
    assert [each["kind"] for each in second["reread"]] == ["blobs", "packs"]
    assert len(ledgers(copy)) == 1
    # What was read is known to a machine that has nothing but the repository.
    shutil.rmtree(copy.state)
    assert reread(copy)["packs"]["never_bytes"] == 0
    assert objective(copy)["met"] is True
    assert "longest unread for" in copy.run("status").stdout
    assert "which stands in for no drill" in copy.run("show", "latest").stdout
    assert len(copy.sealed()) == 1, "a ledger is no point"


def test_a_share_that_is_known_counts_and_one_by_chance_does_not(copy: Drkit) -> None:
    copy.ask("verify", "--read-data-subset", "50%")
    assert "packs" not in reread(copy)
    copy.ask("verify", "--read-data-subset", "100%")
    assert reread(copy)["packs"]["never_bytes"] == 0


def test_a_verify_that_is_interrupted_keeps_what_it_has_read(copy: Drkit) -> None:
    # The first share is a small one. Which one is next depends on the names of the packs: it is never read.
    gate = gates.before_the_second(copy, "check --read-data-subset=")
    process = gate.drkit.start("verify", "--for", "1h", "--json")
    gate.wait(process)
    process.terminate()
    ended = finish(process)
    assert ended.code == 130
    found = reread(copy)["packs"]
    assert 0 < found["never_bytes"] < found["bytes"]
    assert list((copy.repository / "locks").iterdir()) == []
    assert processes.survivors(copy.home) == []


def test_doctor_warns_where_nothing_reads_again(copy: Drkit) -> None:
    copy.change(lambda document: document["objectives"].update(reread="90d"))
    copy.change(lambda document: document["schedule"].update(verify="17 1 * * *"))
    told = "there is a reread objective, and no verify on the schedule that reads anything"

    def warnings() -> list[str]:
        found = copy.run("doctor", "--json").envelope["result"]["findings"]
        return [each["detail"] for each in found if each["state"] == "warning"]

    assert told in warnings()
    copy.change(lambda document: document["schedule"].update(verify_for="2h"))
    assert told not in warnings()


def test_a_verify_that_is_killed_has_proved_nothing_and_is_in_nobodys_way(copy: Drkit) -> None:
    before = ledgers(copy)
    locked = lambda: bool(list((copy.repository / "locks").iterdir()))  # noqa: E731
    assert kill_when(copy, locked, "restic has locked the repository", "verify", "--for", "1h")
    assert ledgers(copy) == before
    assert "packs" not in reread(copy)
    copy.ask("verify", "--for", "1h")
    assert reread(copy)["packs"]["never_bytes"] == 0


def test_wrong_words(copy: Drkit) -> None:
    fails(
        copy,
        ("verify", "--for", "2"),
        2,
        "usage_error",
        exactly('a duration looks like "45s", "30m", "24h", "7d" or "2w"'),
        ".*--for 2h --bytes 500G.*",
    )
    fails(copy, ("verify", "--bytes", "0"), 2, "usage_error", "an amount of bytes looks like .*", ".*")
    fails(
        copy,
        ("verify", "--for", "2h", "--read-data-subset", "5%"),
        2,
        "usage_error",
        "--read-data-subset does not go together with --for or --bytes",
        ".*",
    )
