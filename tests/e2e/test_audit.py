"""`drkit audit`: what is wrong with a registry that runs, by name; and single blobs that come back."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import Connection

import testenv
from drkit.actions.audit.examine import Examination
from drkit.blobs.directory.live import LiveDirectory
from drkit.blobs.live import Stored
from drkit.blobs.units.sources import DirectorySource
from drkit.config import Cluster, load_config
from drkit.progress import silent
from drkit.registry import storage
from testenv import Site, damage
from tests.e2e import accounts, gates
from tests.e2e.commands import Drkit, exactly, fails, wait_for
from tests.e2e.repositories import locks
from tests.e2e.test_bad_input import only
from tests.e2e.test_killed import kill_at, nothing_survives
from tests.e2e.test_tree import forget, pushed

_HINT = exactly("`drkit audit --repair latest` brings blobs back from a recovery point")
_EVERYTHING = ("audit", "--read-data-subset", "100%")


def blobs_of(site: Site) -> dict[str, int]:
    """What a walk over all files finds, by digest."""
    top = site.blobs / storage.BLOBS
    return {f"sha256:{path.parent.name}": path.stat().st_size for path in top.rglob("data")}


def right(site: Site, digest: str) -> bool:
    return f"sha256:{hashlib.sha256(damage.blob_path(site, digest).read_bytes()).hexdigest()}" == digest


def kept_aside(site: Site) -> list[Path]:
    return sorted((site.blobs / storage.BLOBS).rglob("data.before-*"))


def nothing_stays(drkit: Drkit, site: Site) -> None:
    assert list((drkit.state / "runs").iterdir()) == []
    assert list(site.blobs.parent.glob(".drkit-*")) == []
    assert locks(drkit) == []
    nothing_survives(drkit)


def test_a_registry_that_is_whole(copy: Drkit, site: Site, server: Connection) -> None:
    before = accounts.files(site.blobs)
    result = copy.ask(*_EVERYTHING)
    stored = blobs_of(site)
    assert (result["stored"], result["stored_bytes"]) == (len(stored), sum(stored.values()))
    assert (result["counts"], result["faults"], result["repair"]) == ({}, [], None)
    assert result["read"] == result["referenced"] == len(stored) - result["unreferenced"]
    assert result["links"] == len(list((site.blobs / storage.REPOSITORIES).rglob("link")))
    with testenv.connect(site) as connection:
        sizes = connection.execute(
            b"SELECT p.name, sum(b.size) FROM project_blob pb JOIN blob b ON b.id = pb.blob_id"
            b" JOIN project p USING (project_id) WHERE content_type NOT LIKE '%foreign%' GROUP BY 1"
        ).fetchall()
    recorded = {project["name"]: project["recorded_bytes"] for project in result["projects"]}
    assert {name: recorded[name] for name, _ in sizes} == {name: int(size) for name, size in sizes}
    assert accounts.files(site.blobs) == before, "nothing is changed"
    wait_for(lambda: accounts.sessions(server) == 0, "the server has noticed")
    nothing_stays(copy, site)
    shown = copy.run("audit")
    assert shown.code == 0
    assert shown.stdout.splitlines()[-1] == "database and images belong together"


def test_blobs_that_are_missing_cut_or_flipped_come_back(fresh: Drkit, site: Site) -> None:
    fresh.change(only("database", "blobs"))
    with pushed(site) as (image, first, second):
        like = damage.blob_path(site, second).stat()
        point = fresh.ask("backup")["id"]
        damage.remove_blob(site, first)
        damage.truncate_blob(site, second)
        damage.flip_byte(site, image, at=10)
        # A manifest that no audit has read before is hashed in any case.
        message = (
            "production is damaged: 1 blob is missing, 1 blob has the wrong size,"
            " 1 blob does not hash to its name"
        )
        found = fails(fresh, ["audit"], 5, "not_green", message, _HINT).envelope["result"]
        assert found["counts"] == {"missing": 1, "wrong_size": 1, "wrong_bytes": 1}
        named = {fault["kind"]: fault for fault in found["faults"]}
        assert (named["missing"]["said"], named["missing"]["project"]) == (first, "library")
        size = damage.blob_path(site, second).stat().st_size
        assert named["wrong_size"]["said"] == f"{second} has {size:,} bytes and should have {like.st_size:,}"
        whole = {p["name"]: p["faults"] for p in found["projects"]}
        assert whole["library"] == {"missing": 1, "wrong_size": 1}
        assert found["projects"][0]["name"] == "library", "the worst first"

        planned = fresh.run(*_EVERYTHING, "--repair", "latest", "--dry-run", "--json")
        assert planned.code == 5
        plan = planned.envelope["result"]["repair"]
        assert (plan["done"], plan["put"], plan["plan"]["blobs"]) == (False, 0, 3)
        assert set(plan["plan"]["names"]) == {image, first, second}
        asked = fresh.run(*_EVERYTHING, "--repair", "latest")
        assert (asked.code, asked.complaint[0]) == (2, "there is no terminal to confirm the repair")
        assert not damage.blob_path(site, first).exists(), "nobody has agreed"

        result = fresh.ask(*_EVERYTHING, "--repair", "latest", "--yes")
        assert (result["repair"]["put"], result["repair"]["plan"]["point"]) == (3, point)
        assert all(right(site, digest) for digest in (image, first, second))
        for digest in (image, first, second):
            status = damage.blob_path(site, digest).stat()
            assert (status.st_uid, status.st_gid) == (like.st_uid, like.st_gid)
            assert stat.S_IMODE(status.st_mode) == stat.S_IMODE(like.st_mode)
            assert status.st_nlink == 1
            above = damage.blob_path(site, digest).parent
            beside = next(path for path in (site.blobs / storage.BLOBS / "sha256/").glob("*/*"))
            assert (above.stat().st_uid, above.stat().st_mode) == (
                beside.stat().st_uid,
                beside.stat().st_mode,
            )
        aside = kept_aside(site)
        assert sorted(result["repair"]["set_aside"]) == [str(path) for path in aside]
        assert {f"sha256:{path.parent.name}" for path in aside} == {image, second}
        assert fresh.ask(*_EVERYTHING)["counts"] == {}
    nothing_stays(fresh, site)


def test_links_rows_and_what_nothing_refers_to(fresh: Drkit, site: Site) -> None:
    with pushed(site) as (image, lost, kept):
        orphan = damage.orphan_blob(site, b"x" * 1000)
        damage.empty_link(site, "library/torn", kept)
        forget(site, lost)
        with testenv.connect(site) as connection:
            connection.execute(b"DELETE FROM blob WHERE digest = %s", (image,))
        found = fresh.run("audit", "--json")
        assert found.code == 5
        result = found.envelope["result"]
        said = {fault["kind"]: fault["said"] for fault in result["faults"]}
        assert said.keys() == {"missing", "bad_link", "dangling_row"}
        link = f"docker/registry/v2/repositories/library/torn/_layers/sha256/{kept[7:]}/link"
        assert said["bad_link"] == link
        assert said["missing"] == lost, "no table knows of it, but the manifest does"
        assert result["counts"]["dangling_row"] >= 1
        nowhere = next(project for project in result["projects"] if not project["name"])
        assert (nowhere["unreferenced"], nowhere["unreferenced_bytes"]) == (1, 1000)
        assert result["young"] == 1
        assert "(linked from nowhere)" in fresh.run("audit").stdout
        os.utime(damage.blob_path(site, orphan), (0, 0))
        again = fresh.run("audit", "--json").envelope["result"]
        assert (again["unreferenced"] - result["unreferenced"], again["young"]) == (0, 0)
    assert fresh.ask("audit")["counts"] == {}


def test_an_image_whose_repository_has_no_link_to_it(fresh: Drkit, site: Site) -> None:
    with pushed(site) as (image, _first, _second):
        base = site.blobs / storage.REPOSITORIES / "library/torn"
        (base / "_manifests/revisions/sha256" / image[7:] / "link").unlink()
        (base / "_layers/sha256" / image[7:] / "link").unlink(missing_ok=True)
        message = "production is damaged: 1 row leads nowhere"
        hint = exactly("what an audit cannot mend is explained in docs/audit.md")
        found = fails(fresh, ["audit"], 5, "not_green", message, hint).envelope["result"]
    (fault,) = found["faults"]
    expected = f"library/torn@{image} is in the database, and its repository has no link to it"
    assert (fault["said"], fault["project"]) == (expected, "library")


def test_a_layer_that_its_repository_has_no_link_to(fresh: Drkit, site: Site) -> None:
    """The blob is there, as other repositories need it, and yet a pull of the image fails."""
    with pushed(site) as (image, first, _second):
        base = site.blobs / storage.REPOSITORIES / "library/torn"
        (base / "_layers/sha256" / first[7:] / "link").unlink()
        message = "production is damaged: 1 link to a layer is missing"
        hint = exactly("what an audit cannot mend is explained in docs/audit.md")
        found = fails(fresh, ["audit"], 5, "not_green", message, hint).envelope["result"]
    (fault,) = found["faults"]
    expected = f"library/torn@{image} needs {first}, and its repository has no link to it"
    assert (fault["kind"], fault["said"], fault["project"]) == ("missing_link", expected, "library")


def test_a_point_that_lacks_a_blob(copy: Drkit, site: Site) -> None:
    """What was pushed after it is named; whatever else it has comes back all the same."""
    with pushed(site) as (_image, first, second):
        damage.remove_blob(site, first)
        damage.truncate_blob(site, second, keep=3)
        names = ", ".join(sorted((first, second)))
        ended = copy.run("audit", "--repair", "latest", "--yes", "--json")
        assert (ended.code, ended.error["kind"]) == (7, "restore_damaged")
        assert ended.error["message"].endswith(f"or has them wrongly: {names}")
        assert ended.envelope["result"]["repair"]["lacking_names"] == sorted((first, second))
        assert damage.blob_path(site, second).stat().st_size == 3, "left as it is"
        assert kept_aside(site) == []
    nothing_stays(copy, site)


def test_a_repair_that_is_killed_goes_on(fresh: Drkit, site: Site) -> None:
    fresh.change(only("database", "blobs"))
    with pushed(site) as (_image, first, second):
        fresh.ask("backup")
        damage.remove_blob(site, first)
        damage.flip_byte(site, second)
        words = (*_EVERYTHING, "--repair", "latest", "--yes")
        kill_at(gates.after(fresh, " restore --json * --target *.drkit-restoring-repair"), *words)
        assert not damage.blob_path(site, first).exists()
        assert not right(site, second)
        assert len(list(site.blobs.parent.glob(".drkit-restoring-repair"))) == 1
        result = fresh.ask(*words)
        assert (result["repair"]["put"], result["counts"]) == (2, {})
        assert any("removed what the killed run audit-" in line for line in result["swept"])
        assert all(right(site, digest) for digest in (first, second))
    nothing_stays(fresh, site)


@dataclass(frozen=True)
class LosesMeanwhile(LiveDirectory):
    """The registry's directory, of which somebody removes an image while it is looked at."""

    then: Callable[[], None] = lambda: None

    def blobs(self) -> Iterator[Stored]:
        self.then()
        return super().blobs()


@dataclass(frozen=True)
class LosesWhatIsRead(LiveDirectory):
    """The registry's directory, in which a blob is lost just when blobs are to be hashed."""

    lost: str = ""

    def source(self, cluster: Cluster) -> DirectorySource:
        storage.blob_path(self.root, self.lost).unlink(missing_ok=True)
        return super().source(cluster)


def test_what_is_lost_meanwhile_and_still_needed_is_missing(fresh: Drkit, site: Site, tmp_path: Path) -> None:
    settings = load_config(fresh.config)
    with pushed(site) as (_image, first, _second):
        tree = LosesWhatIsRead(site.blobs, lost=first)
        looked = Examination(settings, tree, tmp_path, tmp_path / "memory.db", silent)
        account = looked.run("100%")
        assert [(fault.kind, fault.said) for fault in account.faults] == [("missing", first)]
        assert looked.read == account.referenced - 1, "it was not read"
        assert [digest for digest, _size in looked.faulty] == [first]


def test_a_row_that_says_another_size_is_not_mended_by_a_repair(fresh: Drkit, site: Site) -> None:
    fresh.change(only("database", "blobs"))
    with pushed(site) as (_image, first, _second):
        fresh.ask("backup")
        with testenv.connect(site) as connection:
            connection.execute(b"UPDATE blob SET size = size + 1 WHERE digest = %s", (first,))
        message = "production is damaged: 1 blob has the wrong size"
        fails(fresh, ["audit"], 5, "not_green", message, _HINT)
        words = ["audit", "--repair", "latest", "--yes"]
        hint = exactly("what an audit cannot mend is explained in docs/audit.md")
        found = fails(fresh, words, 5, "not_green", message, hint).envelope["result"]
        assert (found["repair"]["put"], found["repair"]["already"]) == (0, 1)
        assert kept_aside(site) == []


def test_what_is_deleted_and_pushed_meanwhile_is_no_damage(fresh: Drkit, site: Site, tmp_path: Path) -> None:
    """After the database's moment an image is deleted, garbage collection sweeps it, another is pushed."""
    with deleted(site) as (image, first, second, sweep):
        tree = LosesMeanwhile(site.blobs, sweep)
        settings = load_config(fresh.config)
        account = Examination(settings, tree, tmp_path, tmp_path / "memory.db", silent).run("100%")
        assert not any(damage.blob_path(site, digest).exists() for digest in (image, first, second))
    assert account.total.faults == {}
    assert account.young == account.total.unreferenced > 0


@contextmanager
def deleted(site: Site) -> Iterator[tuple[str, str, str, Callable[[], None]]]:
    """An image and what deletes it: rows, links and bytes, as Harbor and its garbage collection do."""
    with pushed(site) as (image, first, second):

        def sweep() -> None:
            with testenv.connect(site) as connection:
                connection.execute(b"DELETE FROM artifact WHERE digest = %s", (image,))
                connection.execute(b"DELETE FROM artifact_blob WHERE digest_af = %s", (image,))
                for digest in (image, first, second):
                    connection.execute(
                        b"DELETE FROM project_blob WHERE blob_id IN (SELECT id FROM blob WHERE digest = %s)",
                        (digest,),
                    )
                    connection.execute(b"DELETE FROM blob WHERE digest = %s", (digest,))
            revision = site.blobs / storage.REPOSITORIES / "library/torn/_manifests/revisions/sha256"
            (revision / image[7:] / "link").unlink()
            for digest in (image, first, second):
                damage.remove_blob(site, digest)
            damage.orphan_blob(site, b"a layer of the next push")

        yield image, first, second, sweep


def test_a_backup_may_run_at_the_same_time_and_another_audit_may_not(fresh: Drkit) -> None:
    fresh.change(only("database", "blobs"))
    fresh.change(lambda document: document["site"].update(lock_wait="1s"))
    gate = gates.before(fresh, " -c 3 -p ")
    process = gate.drkit.start("audit", "--json")
    try:
        gate.wait(process)
        fails(
            fresh,
            ["audit"],
            7,
            "site_locked",
            "another audit of this site is under way",
            "wait for it to end",
        )
        assert fresh.ask("backup")["status"] == "sealed"
    finally:
        gate.open()
        process.communicate()
    assert process.returncode == 0
    wait_for(lambda: list((fresh.state / "runs").iterdir()) == [], "the audit has tidied up")


@pytest.mark.parametrize(
    ("words", "code", "kind", "message", "hint"),
    [
        (
            ("--read-data-subset", "7/3"),
            2,
            "usage_error",
            '"7/3" is not a share of the data',
            "for example 5%, 1/7 or 2G; 100% reads everything",
        ),
        (
            ("--dry-run",),
            2,
            "usage_error",
            "--dry-run goes with --repair",
            "without --repair an audit changes nothing",
        ),
    ],
)
def test_bad_options(
    empty: Drkit, words: tuple[str, ...], code: int, kind: str, message: str, hint: str
) -> None:
    fails(empty, ["audit", *words], code, kind, exactly(message), exactly(hint))


def test_a_repair_of_what_is_whole(copy: Drkit) -> None:
    """Whoever names a point that is not there is told so, whether or not it is needed."""
    result = copy.ask("audit", "--repair", "latest")
    assert result["repair"] is None
    assert "there was nothing to put back: no blob is missing or damaged" in result["notes"]
    message = exactly('there is no recovery point "nonsense"')
    fails(copy, ["audit", "--repair", "nonsense"], 4, "no_such_point", message, r"the newest is 20[-\da-f]+")


def test_surroundings_that_cannot_be(fresh: Drkit, tmp_path: Path) -> None:
    fails(
        fresh.change(lambda document: document["blobs"].update(path=str(tmp_path))),
        ["audit"],
        7,
        "tool_failed",
        exactly(f"there is no registry in {tmp_path}: it has no docker/registry/v2"),
        exactly("is the right volume mounted there? see path in [blobs]"),
    )
    (tmp_path / storage.BLOBS).mkdir(parents=True)
    fails(
        fresh,
        ["audit"],
        7,
        "tool_failed",
        rf"none of the \d+ blobs that are referred to is in {tmp_path}",
        exactly("is the right volume mounted there? see [blobs]"),
    )
    fails(
        fresh.change(only("database")),
        ["audit"],
        4,
        "config_error",
        exactly("there are no images to look at: the configuration has no [blobs]"),
        exactly("an audit runs on the registry's host, with the configuration that backups have"),
    )
