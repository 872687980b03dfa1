"""What somebody is told who got something wrong: one sentence, one hint, the right exit code."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from drkit.errors import ToolTooOld
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres.programs import Programs
from testenv import Site
from tests.e2e.commands import Drkit, assert_error, exactly, fails, finish
from tests.e2e.conftest import Drilled


def only(*kept: str) -> Any:
    """A change of the configuration: of the sources only these stay, which makes a backup quick.

    What harbor.yml names beside them is confirmed to be left out.
    """

    def change(document: dict[str, Any]) -> None:
        gone = {"database", "blobs", "secrets"} - set(kept)
        for source in gone:
            document.pop(source, None)
        if "secrets" in kept:
            names = {"database": "database:registry", "blobs": "blobs"}
            document["site"]["dropped"] = [names[source] for source in sorted(gone)]

    return change


def set_in(section: str, **values: object) -> Any:
    """A change of the configuration: these keys in that section, or in the first of that name."""

    def change(document: dict[str, Any]) -> None:
        found = document[section]
        (found[0] if isinstance(found, list) else found).update(values)

    return change


# The command line


def test_unknown_verb(drilled: Drilled) -> None:
    fails(
        drilled.drkit, ["frobnicate"], 2, "usage_error", "no such command 'frobnicate'", "see `drkit --help`"
    )


def test_unknown_option(drilled: Drilled) -> None:
    hint = "see `drkit points --help`"
    ended = fails(drilled.drkit, ["points", "--nope"], 2, "usage_error", "no such option: --nope", hint)
    assert ended.envelope["command"] == "points"


def test_missing_argument(drilled: Drilled) -> None:
    hint = "see `drkit restore --help`"
    fails(drilled.drkit, ["restore"], 2, "usage_error", "missing argument 'POINT'", hint)


def test_wrong_choice(drilled: Drilled) -> None:
    message = "invalid value for '--level': 'deep' is not one of 'quick', 'full'"
    words = ["drill", "--level", "deep"]
    fails(drilled.drkit, words, 2, "usage_error", message, "see `drkit drill --help`")


def test_a_report_that_has_no_place_is_told_before_the_drill(copy: Drkit, tmp_path: Path) -> None:
    kept = sorted((copy.state / "drills").iterdir())
    file = tmp_path / "file"
    file.touch()
    said = f"cannot write the report to {file}/a: Not a directory"
    fails(copy, ["drill", "--report", f"{file}/a"], 4, "config_error", said, "see --report")
    said = f"cannot write {file}/a.xml: Not a directory"
    fails(copy, ["drill", "--junit", f"{file}/a.xml"], 4, "config_error", said, "see --junit")
    assert sorted((copy.state / "drills").iterdir()) == kept


def test_nonsensical_subset(copy: Drkit) -> None:
    words = ["verify", "--read-data-subset", "7/5"]
    message = '"7/5" is not a share of the data'
    fails(copy, words, 2, "usage_error", message, "for example 5%, 1/7 or 2G; 100% reads everything")


def test_nobody_confirms_a_restore(drilled: Drilled, tmp_path: Path) -> None:
    words = ["restore", "latest", "--only", "secrets", "--root", str(tmp_path / "root")]
    message = "there is no terminal to confirm the restore"
    fails(drilled.drkit, words, 2, "usage_error", message, "give --yes, or look first with --dry-run")
    assert not (tmp_path / "root").exists()


# The configuration


def test_no_configuration(drilled: Drilled) -> None:
    nowhere = Path("/nowhere/drkit.toml")
    hint = "make one with `drkit init`, or name it with --config or DRKIT_CONFIG"
    message = "there is no configuration at /nowhere/drkit.toml"
    fails(drilled.drkit, ["points"], 4, "config_error", message, hint, config=nowhere)


def test_misspelt_key(fresh: Drkit) -> None:
    fresh.change(lambda document: document["database"][0].update(pasword_file="/x"))
    message = exactly(f'{fresh.config}: unknown key "pasword_file" in [[database]] number 1')
    fails(fresh, ["backup"], 4, "config_error", message, exactly('did you mean "password_file"?'))


def test_wrong_type(fresh: Drkit) -> None:
    fresh.change(set_in("retention", keep_last="three"))
    message = (
        exactly(f'{fresh.config}: "keep_last" in [retention] is wrong: ') + "input should be .*integer.*"
    )
    fails(
        fresh, ["expire"], 4, "config_error", message, "see docs/configuration.md for its type and an example"
    )


def test_wrong_duration(fresh: Drkit) -> None:
    fresh.change(set_in("objectives", rpo="a day"))
    message = exactly(f'{fresh.config}: "rpo" in [objectives] is wrong')
    fails(fresh, ["status"], 4, "config_error", message, "a duration looks like .*")


def test_not_toml(fresh: Drkit) -> None:
    fresh.config.write_text("[site\n")
    message = exactly(f"{fresh.config} is not TOML: ") + ".*line 1.*"
    fails(
        fresh,
        ["points"],
        4,
        "config_error",
        message,
        "a line is a .*section.*",
    )


def test_password_in_the_dsn_is_refused_and_not_repeated(fresh: Drkit) -> None:
    fresh.change(set_in("database", dsn="host=127.0.0.1 password=hunter2hunter2 dbname=registry"))
    message = exactly(f'{fresh.config}: "dsn" in [[database]] number 1 is wrong')
    hint = "put the password into a file, and name that as password_file"
    ended = fails(fresh, ["backup"], 4, "config_error", message, hint)
    assert "hunter2" not in ended.stdout + ended.stderr


def test_state_directory_that_cannot_be_one(fresh: Drkit) -> None:
    (fresh.home / "file").touch()
    fresh.change(set_in("site", state=str(fresh.home / "file/state")))
    message = exactly(f"cannot use the state directory {fresh.home}/file/state: Not a directory")
    hint = exactly("set state in [site] to a directory that drkit's user may write")
    fails(fresh, ["backup"], 4, "config_error", message, hint)


def test_unknown_repository_name(drilled: Drilled) -> None:
    message = 'there is no repository "offsite" in the configuration'
    fails(
        drilled.drkit, ["points", "--repository", "offsite"], 2, "usage_error", message, "there is: primary"
    )


def test_nothing_to_back_up(fresh: Drkit) -> None:
    fresh.change(only())
    message = exactly("there is nothing to back up: no [[database]], no [blobs], no paths in [secrets]")
    fails(fresh, ["backup"], 4, "config_error", message, "`drkit init --harbor harbor.yml` .*")


def test_init_writes_over_nothing(fresh: Drkit, site: Site) -> None:
    before = fresh.config.read_text()
    words = ["init", "--harbor", str(site.harbor_yml), "--repository", "/x", "--output", str(fresh.config)]
    message = exactly(f"{fresh.config} exists already")
    hint = "edit it, or name another file with --output; nothing was changed"
    fails(fresh, words, 4, "config_error", message, hint)
    assert fresh.config.read_text() == before


def test_init_needs_a_repository(fresh: Drkit, site: Site) -> None:
    words = ["init", "--harbor", str(site.harbor_yml), "--output", str(fresh.home / "new/drkit.toml")]
    hint = "--repository /backup/drkit, or sftp:..., s3:..., rest:..."
    fails(fresh, words, 2, "usage_error", "the repository for the backups is not named", exactly(hint))
    assert not (fresh.home / "new").exists()


def test_init_with_a_database_that_is_not_there_writes_nothing(fresh: Drkit, site: Site) -> None:
    places = ["--repository", str(fresh.home / "new/repo"), "--output", str(fresh.home / "new/drkit.toml")]
    words = ["init", "--harbor", str(site.harbor_yml), "--database-dsn", "host=127.0.0.1 port=1", *places]
    message = "cannot connect to PostgreSQL at 127.0.0.1:1: Connection refused"
    hint = "see that it runs and that dsn, user and password_file are right"
    fails(fresh, words, 7, "database_unreachable", message, hint)
    assert not (fresh.home / "new").exists()


# Keys


def test_recipient_that_is_none(fresh: Drkit) -> None:
    fresh.change(set_in("secrets", recipients=["age1nonsense"]))
    hint = "it starts with age1, ssh-ed25519 or ssh-rsa; `age-keygen -y KEYFILE` prints it"
    fails(fresh, ["backup"], 4, "config_error", "not an age recipient: 'age1nonsense'", hint)


def test_private_key_in_place_of_a_recipient_is_not_repeated(fresh: Drkit) -> None:
    (key,) = [line for line in fresh.identity.read_text().splitlines() if not line.startswith("#")]
    fresh.change(set_in("secrets", recipients=[key]))
    message = exactly("not an age recipient: this is an identity (a private key), and a public key is needed")
    ended = fails(fresh, ["backup"], 4, "config_error", message, "it starts with age1, .*")
    assert key not in ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def stranger(place: Path) -> Path:
    """An age identity, made by age's own program, that opens nothing here."""
    path = place / "stranger.agekey"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path


def test_restore_with_an_identity_that_does_not_fit_writes_nothing(
    drilled: Drilled, stranger: Path, tmp_path: Path
) -> None:
    target = tmp_path / "root"
    options = ["--root", str(target), "--only", "secrets", "--yes", "--identity", str(stranger)]
    message = "no age identity at hand opens the secrets bundle, which is for age1[a-z0-9]{58}"
    hint = exactly("give the identity of one of its recipients (see `drkit show`) with --identity")
    fails(drilled.drkit, ["restore", "latest", *options], 4, "identity_refused", message, hint)
    assert not target.exists()


def test_drill_with_an_identity_that_does_not_fit_comes_to_no_verdict(fresh: Drkit, stranger: Path) -> None:
    fresh.change(only("secrets"))
    fresh.ask("backup")
    refused = "no age identity at hand opens the secrets bundle, which is for age1[a-z0-9]{58}"
    message = f"the drill came to no verdict: restore of secrets: {refused}"
    ended = fails(
        fresh, ["drill", "--identity", str(stranger)], 6, "drill_error", message, "see .*/report.html"
    )
    assert ended.envelope["result"]["outcome"] == "error"


def test_drill_without_any_identity_cannot_begin(fresh: Drkit) -> None:
    fresh.change(only("secrets"))
    fresh.ask("backup")
    fresh.change(lambda document: document["secrets"].pop("identity_file"))
    message = "this point has a secrets bundle, and there is no age identity to open it with"
    hint = exactly("set identity_file in [secrets], or give --identity FILE")
    fails(fresh, ["drill"], 6, "drill_error", message, hint)


def test_key_that_others_may_read(fresh: Drkit) -> None:
    fresh.identity.chmod(0o644)
    message = exactly(f"1 problem; the first: others may read {fresh.identity}")
    ended = fails(fresh, ["doctor"], 4, "config_error", message, exactly(f"chmod 600 {fresh.identity}"))
    states = {finding["name"]: finding["state"] for finding in ended.envelope["result"]["findings"]}
    assert states["private files"] == "problem"
    assert states["database registry"] == "ok", "one problem does not hide the rest"


# Points


def test_unknown_point(drilled: Drilled, copy: Drkit) -> None:
    hint = exactly(f"the newest is {drilled.point}")
    message = 'there is no recovery point "1999"'
    fails(copy, ["show", "1999"], 4, "no_such_point", message, hint)
    for verb in ("restore", "drill"):
        assert_error(copy.run(verb, "1999", "--json"), "no_such_point", message, hint)


def test_no_point_at_all(fresh: Drkit) -> None:
    message = "there is no sealed recovery point"
    fails(fresh, ["show", "latest"], 4, "no_such_point", message, "take one with `drkit backup`")


def test_the_points_are_another_sites(copy: Drkit) -> None:
    """At 3 a.m. the configuration is written anew, and the site has another name there."""
    site = tomllib.loads(copy.config.read_text())["site"]["name"]
    copy.change(lambda document: document["site"].update(name="harbor2"))
    message = exactly(f"the repository has no recovery point of harbor2, but some of {site}")
    hint = exactly("set name in [site] to the site whose points are wanted")
    fails(copy, ["restore", "latest", "--dry-run"], 4, "no_such_point", message, hint)
    listed = copy.run("points")
    assert f"no recovery point of harbor2, but some of {site}" in listed.stderr
    assert "are gone" not in listed.stdout + listed.stderr, "they are there, under the site's other name"


# Programs


@pytest.fixture(scope="session")
def old_restic(place: Path) -> Path:
    """A directory with a restic that is too old."""
    directory = place / "old"
    directory.mkdir()
    program = directory / "restic"
    program.write_text("#!/bin/sh\necho 'restic 0.16.4 compiled with go1.21.6 on linux/amd64'\n")
    program.chmod(0o755)
    return directory


def test_restic_that_is_too_old(copy: Drkit, old_restic: Path) -> None:
    drkit = copy.in_environment(PATH=f"{old_restic}:/usr/sbin:/usr/bin:/sbin:/bin")
    message = exactly("restic 0.16.4 is too old: drkit needs 0.17 or later")
    hint = "older ones store a failed dump .*"
    fails(drkit, ["backup"], 7, "tool_too_old", message, hint)
    verbs = ("drill", "restore latest --dry-run", "expire", "verify", "doctor")
    for process in [drkit.start(*verb.split(), "--json") for verb in verbs]:
        ended = finish(process)
        assert ended.code == 7
        assert_error(ended, "tool_too_old", f"([23] problems; the first: )?{message}", hint)


def test_no_restic(copy: Drkit, place: Path) -> None:
    drkit = copy.in_environment(PATH=str(place / "nothing"))
    hint = "restic 0.17 or later is needed; .*"
    fails(drkit, ["backup"], 7, "tool_missing", "restic is not installed", hint)


def test_pg_dump_older_than_the_server() -> None:
    """Two majors side by side are not to be had everywhere: this tells of programs that are not there."""
    programs = {13: Programs(13, Path("/13")), 14: Programs(14, Path("/14"))}
    with pytest.raises(ToolTooOld) as caught:
        postgres_programs.dump_programs(15, programs)
    assert caught.value.message == "pg_dump 14 is older than the server, which is PostgreSQL 15"
    assert caught.value.hint == "install postgresql-client-15"
    assert caught.value.exit_code == 7
    assert postgres_programs.dump_programs(13, programs).major == 13
    assert postgres_programs.dump_programs(12, programs).major == 13
