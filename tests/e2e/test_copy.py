"""Recovery points in a second repository: whole there or not offered, and enough without the first."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import testenv
from testenv import Site, witness
from tests import rest_server
from tests.e2e import accounts, copies, gates
from tests.e2e.commands import Drkit, clone, exactly, fails
from tests.e2e.conftest import Drilled
from tests.e2e.repositories import locks
from tests.e2e.test_killed import kill_at, nothing_survives


@pytest.fixture(scope="module")
def paired(drilled: Drilled, new_home: Callable[[], Path]) -> Drkit:
    """The drilled point, and an empty second repository; to be copied."""
    return copies.add(clone(drilled.drkit, new_home()))


@pytest.fixture
def pair(paired: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """The same, of the test's own."""
    made = clone(paired, new_home())
    yield made
    shutil.rmtree(made.home)


def of_point(drkit: Drkit, tag: str) -> str:
    """The id of the one snapshot in the first repository that bears a tag."""
    (found,) = json.loads(drkit.restic("snapshots", "--json", "--tag", tag))
    return str(found["id"])


def test_the_first_repository_is_lost_and_everything_comes_back(
    pair: Drkit, drilled: Drilled, site: Site, name: str, new_home: Callable[[], Path]
) -> None:
    assert pair.ask("copy", "--dry-run")["copies"][0]["points"] == [drilled.point]
    assert copies.points(pair) == [], "a dry run copies nothing"
    (result,) = pair.ask("copy")["copies"]
    assert (result["points"], result["there"]) == ([drilled.point], 0)
    (again,) = pair.ask("copy")["copies"]
    assert (again["points"], again["there"]) == ([], 1)
    (copied,) = copies.points(pair)
    assert copied["last_drill"] is None, "what was proven there is not proven here"
    pair.ask("verify", "--repository", copies.OFFSITE, "--read-data-subset", "100%")
    shown = [pair.ask("show", "latest"), pair.ask("show", "latest", "--repository", copies.OFFSITE)]
    assert shown[0]["closure"] == shown[1]["closure"]
    assert {part["snapshot"] for part in shown[0]["parts"]}.isdisjoint(
        part["snapshot"] for part in shown[1]["parts"]
    )

    shutil.rmtree(pair.repository)
    shutil.rmtree(pair.state)
    elsewhere = ("--repository", copies.OFFSITE)
    assert pair.ask("drill", *elsewhere)["outcome"] == "passed"
    assert copies.points(pair)[0]["last_drill"]["outcome"] == "passed"
    root = new_home()
    login = pair.home / "pgpass"
    password = site.planted["database password"].replace("\\", "\\\\").replace(":", "\\:")
    login.touch(mode=0o600)
    login.write_text(f"*:*:*:*:{password}\n")
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={name}"
    words = ("--root", str(root), "--database-dsn", where, *elsewhere)
    pair.in_environment(PGPASSFILE=str(login)).ask("restore", "latest", "--yes", *words)
    tops = [Path(f"{root}{path}") for path in (site.blobs, *accounts.protected(drilled.drkit))]
    found = accounts.files(*tops)
    assert {path.removeprefix(str(root)): about for path, about in found.items()} == drilled.files
    with testenv.connect(site, name) as connection:
        tables = witness.tables(connection)
    assert tables == {what: about for what, about in drilled.database.items() if what.startswith("table ")}


def test_one_is_lost_after_the_other_and_made_again_from_what_is_left(pair: Drkit, drilled: Drilled) -> None:
    pair.ask("copy")
    shutil.rmtree(copies.directory(pair))
    copies.make(pair)
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == [drilled.point]
    assert result["warnings"][0].startswith("the repository offsite is another one than before: ")

    # Of the first, which is lost then, the second is the source.
    shutil.rmtree(pair.repository)
    words = ("init", "--copy-chunker-params", "--from-repo", str(copies.directory(pair)))
    pair.restic(*words, "--from-password-file", str(copies.password(pair)))
    pair.change(lambda document: document["repository"].reverse())
    (result,) = pair.ask("copy")["copies"]
    assert (result["repository"], result["points"]) == ("primary", [drilled.point])
    pair.change(lambda document: document["repository"].reverse())
    shutil.rmtree(copies.directory(pair))
    assert pair.sealed() == [drilled.point]
    assert pair.ask("drill")["outcome"] == "passed"

    copies.make(pair)
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == [drilled.point]
    assert pair.ask("drill", "--repository", copies.OFFSITE, "--level", "quick")["outcome"] == "passed"


def by_restic(drkit: Drkit, *tags: str) -> None:
    """Copy as a restic that was killed has done it: some of the parts."""
    words = ("copy", "--from-repo", str(drkit.repository), "--from-password-file", str(drkit.restic_password))
    copies.restic(drkit, copies.OFFSITE, *words, *(of_point(drkit, tag) for tag in tags))


@pytest.mark.parametrize("parts_alone", [True, False])
def test_what_is_cut_off_is_gone_on_with(pair: Drkit, drilled: Drilled, *, parts_alone: bool) -> None:
    if parts_alone:
        by_restic(pair, "drkit:part:database:registry")
        kill_at(gates.before(pair, " copy "), "copy")
    else:
        # It is whole there, and drkit does not know it yet.
        kill_at(gates.after(pair, " copy "), "copy")
    nothing_survives(pair)
    assert copies.sealed(pair) == ([] if parts_alone else [drilled.point])
    if parts_alone:
        ended = pair.run("restore", "latest", "--repository", copies.OFFSITE, "--yes", "--json")
        assert ended.error["kind"] == "no_such_point"
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == ([drilled.point] if parts_alone else [])
    assert copies.sealed(pair) == [drilled.point]
    assert locks(pair) == [], "the killed restic's lock on the first repository is gone"
    assert list((copies.directory(pair) / "locks").iterdir()) == []
    for tag in ("drkit:part:database:registry", "drkit:part:blobs:blobs", "drkit:manifest"):
        assert len(copies.snapshots(pair, tag)) == 1, "nothing is copied twice"
    pair.ask("verify", "--repository", copies.OFFSITE)


def test_no_seal_stays_where_a_part_did_not_arrive(pair: Drkit, drilled: Drilled) -> None:
    """restic goes on without a snapshot that it cannot read, and ends with 0."""
    part = pair.repository / "snapshots" / of_point(pair, "drkit:part:blobs:blobs")
    aside = pair.home / part.name
    gate = gates.before(pair, " copy ")
    process = gate.drkit.start("copy", "--json")
    gate.wait(process)
    part.rename(aside)
    gate.open()
    said = json.loads(process.communicate()[0])
    aside.rename(part)
    assert process.returncode == 7
    assert said["error"]["message"].endswith(
        "parts have not arrived in offsite, so their points were not sealed there:"
        f" blobs blobs of {drilled.point}"
    )
    assert copies.snapshots(pair, "drkit:manifest") == []
    pair.ask("copy")
    assert copies.sealed(pair) == [drilled.point]


def test_what_lacks_a_part_is_not_offered_and_copied_again(pair: Drkit, drilled: Drilled) -> None:
    pair.ask("copy")
    (part,) = copies.snapshots(pair, "drkit:part:blobs:blobs")
    copies.restic(pair, copies.OFFSITE, "forget", part["id"])
    assert copies.sealed(pair) == []
    words = ["restore", "latest", "--repository", copies.OFFSITE, "--yes"]
    message = (
        f"there is no sealed recovery point; point {drilled.point} was sealed, but a part of it is not in the"
        " repository any more: blobs blobs"
    )
    fails(pair, words, 4, "no_such_point", exactly(message), "run `drkit verify`")
    assert pair.ask("copy")["copies"][0]["points"] == [drilled.point]
    assert copies.sealed(pair) == [drilled.point]
    # What was rewritten there is no copy any more.
    words = ["rewrite", "--forget", "--exclude", "data", "--tag", "drkit:part:blobs:blobs"]
    copies.restic(pair, copies.OFFSITE, *words)
    assert copies.sealed(pair) == []
    pair.ask("copy")
    assert copies.sealed(pair) == [drilled.point]
    assert pair.ask("drill", "--repository", copies.OFFSITE)["outcome"] == "passed"


def test_what_was_copied_in_part_goes_when_its_point_has_gone(pair: Drkit, drilled: Drilled) -> None:
    by_restic(pair, "drkit:part:database:registry", "drkit:part:blobs:blobs")
    made = pair.ask("backup")["id"]
    every = json.loads(pair.restic("snapshots", "--json", "--tag", f"drkit:point:{drilled.point}"))
    pair.restic("forget", *(snapshot["id"] for snapshot in every))
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == [made]
    assert result["swept"] == [f"removed the incomplete point {drilled.point} of an earlier run"]
    assert [point["id"] for point in copies.points(pair)] == [made]


def test_over_a_server_that_refuses_removals(pair: Drkit, drilled: Drilled) -> None:
    with rest_server.serving(copies.directory(pair), "--append-only") as url:
        pair.change(lambda document: document["repository"][1].update(url=url))
        pair.ask("copy")
        assert copies.sealed(pair) == [drilled.point]
        assert pair.ask("drill", "--repository", copies.OFFSITE, "--level", "quick")["outcome"] == "passed"


def test_one_repository_that_fails_stops_no_other(pair: Drkit, drilled: Drilled) -> None:
    copies.add(pair, "vanished")
    copies.add(pair, "third")
    shutil.rmtree(copies.directory(pair, "vanished"))
    ended = pair.run("copy", "--json")
    assert ended.code == 10
    offsite, vanished, third = ended.envelope["result"]["copies"]
    assert (offsite["failed"], third["failed"]) == ("", "")
    assert vanished["failed"] == f"there is no restic repository at {copies.directory(pair, 'vanished')}"
    assert copies.sealed(pair, "third") == copies.sealed(pair) == [drilled.point]
    pair.ask("copy", "--to", "third")
    problems = pair.run("status", "--json").envelope["result"]["problems"]
    assert any(problem.startswith("the last copy (") for problem in problems), (
        "the success of one is not that of all"
    )


def test_wrong_words(pair: Drkit, drilled: Drilled) -> None:
    message = "primary is the primary repository, which points are copied from"
    fails(pair, ["copy", "--to", "primary"], 2, "usage_error", message, "name another: offsite")
    message = 'there is no repository "nowhere" in the configuration'
    fails(pair, ["copy", "--to", "nowhere"], 2, "usage_error", message, "there is: primary, offsite")
    message = "there is no repository to copy to: the configuration has one [[repository]]"
    fails(drilled.drkit, ["copy"], 2, "usage_error", exactly(message), ".*")
    assert pair.ask("status")["green"], "what was only misspelt is no failure"


def test_a_site_is_green_only_with_young_copies(pair: Drkit, drilled: Drilled) -> None:
    pair.change(lambda document: document["repository"][1].update(rpo="9d"))
    ended = pair.run("status", "--json")
    assert ended.code == 5
    (finding,) = [each for each in ended.envelope["result"]["findings"] if each["red"]]
    assert (finding["kind"], finding["hint"]) == (
        "not_copied",
        "run `drkit copy --to offsite`; if it fails, it says why",
    )
    pair.ask("copy")
    _, there = pair.ask("status")["repositories"]
    assert (there["newest_point"], there["rpo"]["met"]) == (drilled.point, True)
    assert "offsite" in pair.run("status").stdout
    pair.change(lambda document: document["repository"][1].update(rpo="1s"))
    ended = pair.run("status", "--json")
    assert ended.envelope["result"]["green"] is False
    # One that is out of reach is not taken for one that is as it should be.
    copies.directory(pair).rename(pair.home / "unplugged")
    result = pair.run("status", "--json").envelope["result"]
    assert [each["kind"] for each in result["findings"] if each["red"]] == ["repository"]


def test_retention_of_each(pair: Drkit, drilled: Drilled) -> None:
    """The copy keeps its newest and what a drill has proven there, the first what was proven here."""
    pair.ask("copy")
    for _ in range(2):
        pair.ask("backup")
    newest, middle, _ = pair.sealed()
    pair.change(lambda document: document.update(retention={"keep_last": 3}))
    own = "\n[repository.retention]\nkeep_last = 2\n"
    text = pair.config.read_text()
    entry = text.index('name = "offsite"')
    end = text.find("\n[", entry)
    pair.config.write_text(text[:end] + own + text[end:])
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == [newest, middle]
    result = pair.ask("expire")
    assert [(line["repository"], line["point"]) for line in result["decisions"] if not line["keep"]] == [
        ("offsite", drilled.point)
    ]
    assert copies.sealed(pair) == [newest, middle]
    assert len(pair.sealed()) == 3
    # What was removed there is not copied there again.
    (result,) = pair.ask("copy")["copies"]
    assert [left["point"] for left in result["left_out"]] == [drilled.point]
    assert result["points"] == []
    with rest_server.serving(copies.directory(pair), "--append-only") as url:
        pair.config.write_text(pair.config.read_text().replace(f'"{copies.directory(pair)}"', f'"{url}"'))
        (said,) = pair.ask("expire")["left_alone"]
        assert said.startswith("offsite: nothing is removed, since this host may not (")


def test_init_makes_one_and_doctor_compares_them(drilled: Drilled, new_home: Callable[[], Path]) -> None:
    drkit = clone(drilled.drkit, new_home())
    before = drkit.config.read_text()
    made = drkit.ask("init", "--copy-to", str(copies.directory(drkit)))
    assert (made["name"], made["url"]) == (copies.OFFSITE, str(copies.directory(drkit)))
    assert made["password_file"] == str(copies.password(drkit))
    assert copies.password(drkit).stat().st_mode & 0o777 == 0o600
    lines = drkit.config.read_text().splitlines()
    assert [line for line in before.splitlines() if line not in lines] == [], "the rest is as it was"
    drkit.ask("copy")
    assert copies.sealed(drkit) == [drilled.point]
    chunkers = [drkit.restic("cat", "config"), copies.restic(drkit, copies.OFFSITE, "cat", "config")]
    first, second = (json.loads(text)["chunker_polynomial"] for text in chunkers)
    assert first == second
    assert warned(drkit, "chunker") == []
    assert warned(drkit, "destroyed") == ["both repositories can be destroyed from this host"]
    with rest_server.serving(copies.directory(drkit), "--append-only") as url:
        drkit.change(lambda document: document["repository"][1].update(url=url))
        assert warned(drkit, "destroyed") == []
    drkit.change(lambda document: document["repository"][1].update(url=str(copies.directory(drkit))))

    changed = drkit.config.read_text()
    words = ["init", "--copy-to", str(copies.directory(drkit))]
    message = exactly(f"{copies.directory(drkit)} is the repository offsite already")
    fails(drkit, words, 2, "usage_error", message, "name another place")
    ended = drkit.run("init", "--copy-to", "/proc/nothing", "--json")
    assert ended.code == 7
    assert not (drkit.home / "offsite-2.password").exists(), "what was begun is taken back"
    assert drkit.config.read_text() == changed

    shutil.rmtree(copies.directory(drkit))
    copies.restic(drkit, copies.OFFSITE, "init")
    (said,) = warned(drkit, "chunker")
    assert said.startswith("has other chunker parameters than primary: ")
    shutil.rmtree(drkit.home)


def warned(drkit: Drkit, of: str) -> list[str]:
    """What doctor warns of, as far as the word is in it."""
    found = drkit.run("doctor", "--json").envelope["result"]["findings"]
    return [each["detail"] for each in found if each["state"] == "warning" and of in each["detail"]]


def test_secrets_that_were_encrypted_again_are_so_in_the_copies(pair: Drkit, drilled: Drilled) -> None:
    pair.ask("copy")
    new = pair.ask("keys", "generate", "operator", "--output", str(pair.home / "operator.agekey"))[
        "recipient"
    ]
    text = pair.config.read_text()
    # With the second repository out of reach: only the first gets new seals.
    pair.change(lambda document: document["repository"].pop())
    pair.ask("keys", "rotate", "--add", new, "--points", "--yes")
    recipients = tomllib.loads(pair.config.read_text())["secrets"]["recipients"]
    pair.config.write_text(text)
    pair.change(lambda document: document["secrets"].update(recipients=recipients))
    (result,) = pair.ask("copy")["copies"]
    assert result["points"] == [drilled.point]
    assert result["swept"] == [f"removed what an earlier run replaced in point {drilled.point}"]
    shown = pair.ask("show", "latest", "--repository", copies.OFFSITE)
    assert shown["recipients"] == recipients
    # Both have it, each with a seal of its own: nothing is to be copied.
    pair.ask("keys", "rotate", "--remove", "operator", "--points", "--yes")
    (result,) = pair.ask("copy")["copies"]
    assert (result["points"], result["there"]) == ([], 1)
    assert pair.ask("drill", "--repository", copies.OFFSITE, "--level", "quick")["outcome"] == "passed"
