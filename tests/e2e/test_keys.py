"""Custody of keys: made, tried, changed without a moment without a whole point, and put on paper."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testenv import Site
from tests.e2e import accounts, gates, processes
from tests.e2e.commands import Drkit, exactly, fails
from tests.e2e.conftest import Drilled
from tests.e2e.test_killed import kill_at
from tests.e2e.test_secrets import all_secrets, fingerprint_key
from tests.e2e.watching import Watcher


def generate(drkit: Drkit, name: str) -> tuple[Path, str]:
    """A new identity: its file, and the line for `recipients`."""
    path = drkit.home / f"{name}.agekey"
    made = drkit.ask("keys", "generate", name, "--output", str(path))
    return path, made["recipient"]


def names(recipients: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in recipients]


def age_opens(drkit: Drkit, identity: Path, point: str) -> bool:
    """Whether the program `age` opens the bundle in the point's newest seal, with this identity."""
    seal = drkit.home / "seal"
    tags = f"drkit:point:{point},drkit:manifest"
    drkit.restic("restore", "latest", "--tag", tags, "--target", str(seal))
    done = subprocess.run(
        ["age", "-d", "-i", str(identity), str(seal / "secrets.tar.age")], capture_output=True, check=False
    )
    shutil.rmtree(seal)
    return done.returncode == 0


def snapshots(drkit: Drkit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(drkit.restic("snapshots", "--json"))
    return found


# Making and looking


def test_a_new_identity_is_private_and_never_written_over(copy: Drkit) -> None:
    path, recipient = generate(copy, "operator")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = subprocess.run(["age-keygen", "-y", str(path)], capture_output=True, text=True, check=True)
    assert recipient == f"{shown.stdout.strip()} operator"
    before = path.read_bytes()
    words = ["keys", "generate", "operator", "--output", str(path)]
    fails(copy, words, 4, "config_error", exactly(f"{path} exists already"), "a key is never overwritten.*")
    assert path.read_bytes() == before


def test_list_and_check_tell_what_was_tried(copy: Drkit, drilled: Drilled) -> None:
    path, recipient = generate(copy, "offline")
    copy.change(lambda document: document["secrets"]["recipients"].append(recipient))
    listed = copy.ask("keys", "list")
    assert names(listed["recipients"]) == ["", "offline"]
    assert [each["opened_by"] for each in listed["recipients"]] == [[str(copy.identity)], []]
    assert listed["identities"][0]["recipients"] == [listed["recipients"][0]["key"]]

    checked = copy.ask("keys", "check")
    assert (checked["point"], checked["opened"]) == (drilled.point, True)
    assert checked["files"] == len(copy.ask("show", "latest")["secret_files"])
    assert [(each["name"], each["in_bundle"]) for each in checked["recipients"]] == [
        ("", True),
        ("offline", False),
    ]
    assert checked["warnings"] == ["offline does not open this bundle: see `drkit keys rotate --points`"]

    strange = ["keys", "check"]
    copy.change(lambda document: document["secrets"].update(identity_file=str(path)))
    message = exactly(f"no age identity at hand opens the secrets of {drilled.point}")
    program = fails(
        copy, strange, 4, "identity_refused", message, "it takes the identity of one of these: .*"
    )
    assert program.envelope["result"]["identities"][0]["opens_bundle"] is False
    copy.change(lambda document: document["secrets"].pop("identity_file"))
    fails(copy, strange, 4, "config_error", "there is no age identity at hand", "give --identity FILE.*")
    assert copy.ask("keys", "check", "--identity", str(copy.identity))["opened"] is True


# Rotation


@pytest.fixture
def light(fresh: Drkit, site: Site) -> Drkit:
    """A drkit that protects secrets alone, with one point: what rotation has to do with."""

    def change(document: dict[str, Any]) -> None:
        del document["database"], document["blobs"]
        document["secrets"]["paths"] = [str(site.cosign)]

    fresh.change(change).ask("backup")
    return fresh


def test_the_secrets_of_every_point_pass_to_other_keys(light: Drkit) -> None:
    points = [light.ask("backup")["id"], light.sealed()[-1]]
    path, recipient = generate(light, "operator")
    (old_recipient,) = (
        line.split(": ")[1] for line in light.identity.read_text().splitlines() if ": " in line
    )
    old = [s["id"] for s in snapshots(light) if "drkit:manifest" in s["tags"]]
    blobs = [bundle_blob(light, snapshot) for snapshot in old]
    assert all(blob in light.restic("list", "blobs") for blob in blobs)
    words = ["keys", "rotate", "--add", recipient, "--remove", old_recipient, "--points", "--prune"]
    message = "no age identity at hand decrypts what is encrypted to the new recipients"
    fails(light, words, 4, "identity_refused", message, "give the identity of one of them with --identity.*")
    words += ["--identity", str(path)]
    before = light.config.read_text()
    planned = light.ask(*words, "--dry-run")
    assert (planned["done"], [line["point"] for line in planned["points"]]) == (False, points)
    assert light.config.read_text() == before

    done = light.ask(*words, "--yes")
    assert (done["done"], [line["point"] for line in done["points"]]) == (True, points)
    assert light.sealed() == points
    assert all(age_opens(light, path, point) for point in points)
    assert not any(age_opens(light, light.identity, point) for point in points)
    assert light.ask("show", "latest")["recipients"] == [recipient]
    assert len(snapshots(light)) == 2, "a seal for each"
    latest = json.loads(light.restic("dump", "--tag", "drkit:manifest", "latest", "/manifest.json"))
    assert latest["id"] == points[0], "restic alone finds the newest point, not the one sealed last"
    left = light.restic("list", "blobs")
    assert not any(blob in left for blob in blobs), "not even its bytes are left"

    assert age_opens(light, path, light.ask("backup")["id"])
    assert light.ask("keys", "rotate", "--points", "--yes", "--identity", str(path))["points"] == []


def test_a_proof_with_the_old_keys_is_none(copy: Drkit) -> None:
    """The very bundle that was drilled is gone; the point stays all the same, for it is the best there is."""
    assert copy.run("status").code == 0
    path, recipient = generate(copy, "operator")
    words = ("keys", "rotate", "--add", recipient, "--points", "--identity", str(path), "--yes")
    assert "run `drkit drill`" in " ".join(copy.ask(*words)["warnings"])
    (line,) = copy.ask("points")["points"]
    assert (line["proven"], line["keys_unproven"], line["last_drill"]["outcome"]) == (False, True, "passed")
    assert "not proven with the new keys" in copy.run("show", "latest").stdout
    ended = copy.run("status", "--json")
    assert (ended.code, ended.error["kind"]) == (5, "not_green")
    assert [found["kind"] for found in ended.envelope["result"]["findings"]] == ["unproven_keys"]
    (decision,) = copy.ask("expire", "--dry-run")["decisions"]
    assert "had proven before its secrets were encrypted again" in " ".join(decision["reasons"])


def test_recipients_that_were_changed_by_hand_are_red_until_a_drill(copy: Drkit) -> None:
    """The identity of the new key was never shown; production has changed nothing else."""
    _, recipient = generate(copy, "colleague")
    copy.change(lambda document: document["secrets"].update(recipients=[recipient]))
    assert f"{copy.identity} opens none of the recipients" in " ".join(copy.ask("backup")["warnings"])
    ended = copy.run("status", "--json")
    assert ended.code == 5
    assert [found["kind"] for found in ended.envelope["result"]["findings"]] == ["unproven_keys"]


def bundle_blob(drkit: Drkit, snapshot: str) -> str:
    """restic's name for the bytes of a bundle, which are too few to be cut into several pieces."""
    where = drkit.home / "old"
    drkit.restic("restore", snapshot, "--target", str(where))
    found = hashlib.sha256((where / "secrets.tar.age").read_bytes()).hexdigest()
    shutil.rmtree(where)
    return found


@pytest.mark.parametrize("moment", ["old seal read", "new seal stored"])
def test_killed_at_any_moment_there_is_one_whole_point(light: Drkit, moment: str) -> None:
    (point,) = light.sealed()
    path, recipient = generate(light, "operator")
    words = ["keys", "rotate", "--add", recipient, "--points", "--identity", str(path), "--yes"]
    kill_at(gates.seal_stored(light) if moment == "new seal stored" else gates.parts_stored(light), *words)
    assert processes.survivors(light.home) == []
    processes.bury()
    assert light.sealed() == [point]
    assert age_opens(light, light.identity, point)
    assert age_opens(light, path, point) == (moment == "new seal stored")
    if moment == "new seal stored":
        made = light.ask("backup")
        assert f"removed what an earlier run replaced in point {point}" in made["swept"]
        assert len(snapshots(light)) == 2
    else:
        # The configuration has been changed already: the points are what is left to do.
        assert len(light.ask("keys", "rotate", "--points", "--yes")["points"]) == 1
        assert age_opens(light, path, point)
        assert len(snapshots(light)) == 1, "nothing that was replaced is left"


# On paper


def test_the_page_without_secrets(copy: Drkit) -> None:
    page = copy.run("keys", "escrow").stdout
    for needed in (str(copy.repository), str(copy.restic_password), str(copy.identity), "sh recover.sh"):
        assert needed in page
    assert copy.restic_password.read_text().strip() not in page
    assert "AGE-SECRET-KEY" not in page
    hint = exactly("name a directory: --output DIR")
    message = "secrets are never printed to a terminal or a pipe"
    fails(copy, ["keys", "escrow", "--with-secrets"], 2, "usage_error", message, hint)
    fails(copy, ["keys", "escrow", "--split", "2-of-3"], 2, "usage_error", message, hint)


def test_pages_for_holders_bring_the_secrets_back(copy: Drkit) -> None:
    pages, back = copy.home / "pages", copy.home / "back"
    said = copy.ask("keys", "escrow", "--split", "2-of-3", "--output", str(pages))
    assert sorted(map(str, pages.iterdir())) == sorted(said["written"])
    assert stat.S_IMODE(pages.stat().st_mode) == 0o700
    password = copy.restic_password.read_text()
    identity = copy.identity.read_text().splitlines()[-1]
    for page in pages.iterdir():
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        text = page.read_text()
        assert password.strip() not in text
        assert identity not in text
        assert "<script" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert (pages / "holder-1.html").read_text().count("<svg") == 3, "the public parts, and a share of each"

    fails(
        copy, ["keys", "combine", str(pages / "holder-3.txt"), "--output", str(back)], 4, "shares_refused",
        "1 of the 2 shares that are needed are there", "ask another holder",
    )  # fmt: skip
    assert not back.exists()
    combined = copy.ask(
        "keys", "combine", *(str(pages / f"holder-{n}.txt") for n in (3, 1)), "--output", str(back)
    )
    assert [Path(path).read_text() for path in combined["written"]] == [password, f"{identity}\n"]
    assert {stat.S_IMODE(Path(path).stat().st_mode) for path in combined["written"]} == {0o600}


def test_a_page_with_secrets_holds_them_whole(copy: Drkit) -> None:
    pages = copy.home / "pages"
    copy.ask("keys", "escrow", "--with-secrets", "--output", str(pages))
    for name in ("escrow.txt", "escrow.html"):
        text = (pages / name).read_text()
        assert copy.restic_password.read_text().strip() in text
        assert copy.identity.read_text().splitlines()[-1] in text
        assert stat.S_IMODE((pages / name).stat().st_mode) == 0o600
    message = exactly(f"{pages}/escrow.html exists already")
    words = ["keys", "escrow", "--with-secrets", "--output", str(pages)]
    fails(copy, words, 4, "config_error", message, "a key is never overwritten.*")


# What others could see


def test_no_secret_is_seen_of_all_this(copy: Drkit, site: Site, new_home: Callable[[], Path]) -> None:
    watcher = Watcher(copy, new_home())
    path, pages, back = copy.home / "new.agekey", copy.home / "pages", copy.home / "back"
    old = copy.ask("keys", "list")["recipients"][0]["key"]
    watches = {"generate": watcher.run("keys", "generate", "new", "--output", str(path))}
    recipient = watcher.drkit.ask("keys", "list", "--identity", str(path))["identities"][0]["recipients"][0]
    words = ("--add", f"{recipient} new", "--remove", old, "--points", "--identity", str(path), "--yes")
    watches["rotate"] = watcher.run("keys", "rotate", *words)
    watches["check"] = watcher.run("keys", "check", "--identity", str(path))
    watches["escrow"] = watcher.run("keys", "escrow", "--split", "2-of-2", "--output", str(pages), "--json")
    sources = [str(pages / f"holder-{number}.txt") for number in (1, 2)]
    watches["combine"] = watcher.run("keys", "combine", *sources, "--output", str(back))
    watches["doctor"] = watcher.run("doctor", "--json")
    assert [watch.ended.code for watch in watches.values()] == [0, 0, 0, 0, 0, 4], watches["doctor"].ended

    secrets = all_secrets(copy, site)
    secrets.values["new identity"] = path.read_text().splitlines()[-1]
    for verb, watch in watches.items():
        for words_seen in watch.words:
            assert secrets.within(words_seen) == [], verb
        assert secrets.within((watch.ended.stdout + watch.ended.stderr).encode()) == [], verb
        for seen in (watch.open_files, watch.private_files):
            assert [file for file, data in seen.items() if secrets.within(data)] == [], verb
    meant = [copy.home / "database.password", copy.restic_password, copy.identity, path, *back.iterdir()]
    meant.append(fingerprint_key(copy))
    assert secrets.in_files([copy.home, watcher.scratch], except_for=meant) == {}
    point = f"drkit:point:{copy.sealed()[0]},drkit:manifest"
    for name in ("RECOVERY.txt", "recover.sh", "manifest.json"):
        assert secrets.within(copy.restic("dump", "--tag", point, "latest", f"/{name}").encode()) == []


# Doctor


def test_doctor_looks_after_keys(copy: Drkit, new_home: Callable[[], Path]) -> None:
    def warned() -> list[str]:
        found = [f for f in copy.ask("doctor")["findings"] if f["state"] == "warning"]
        return [f["detail"] for f in found if f["name"] != "all copies"]

    assert warned() == ["every identity that opens the bundle is on this machine, and is lost with it"]
    _, recipient = generate(copy, "offline")
    copy.change(lambda document: document["secrets"]["recipients"].append(recipient))
    assert warned() == []
    before = accounts.protected(copy)
    copy.change(lambda document: document["secrets"]["paths"].append(str(copy.identity)))
    inside = "the identity that opens the bundle is in the bundle too"
    assert warned() == [f"{inside} ({copy.identity}): a key that is encrypted to itself is of no use"]

    other = copy.home / "settings.yml"
    other.write_text(f"password: {copy.restic_password.read_text()}")
    copy.change(lambda document: document["secrets"].update(paths=[str(other)]))
    copy.change(lambda document: document["site"].update(dropped=[f"secrets:{path}" for path in before]))
    message = exactly(f"1 problem; the first: the password of the repository primary is also in {other}")
    fails(copy, ["doctor"], 4, "config_error", message, "give the repository its own .*")
    other.write_text("nothing\n")
    shutil.copy(copy.restic_password, copy.home / "database.password")
    ended = copy.run("doctor", "--json")
    assert ended.code != 0
    found = {f["name"]: f for f in ended.envelope["result"]["findings"] if f["state"] == "problem"}
    assert found["passwords"]["detail"].endswith("is also the password of a database")
    assert accounts.protected(copy) == [other]


def test_without_a_command_there_is_help(fresh: Drkit) -> None:
    ended = fresh.run("keys")
    assert ended.code == 2
    assert ended.stderr == ""
    for word in ("generate", "list", "check", "rotate", "escrow", "combine"):
        assert f"  {word} " in ended.stdout
