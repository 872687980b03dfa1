"""The harbor.yml among the secrets against a whole configuration, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.drift import look
from drkit.actions.status.judge import judge
from drkit.model import utc_now
from drkit.secrets import capture
from tests.samples import proven

HARBOR = """
hostname: registry.example.com
https: {{certificate: {place}/tls/a.crt, private_key: {slashless}/tls/a.key}}
external_database: {{harbor: {{host: localhost, port: 1, db_name: registry}}}}
data_volume: {place}/data
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A Harbor without servers; `by-another-name` is a link to its data volume."""
    for file in ("data/registry/x", "data/secret/keys/secretkey", "tls/a.crt", "tls/a.key"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("x")
    (tmp_path / "by-another-name").symlink_to("data")
    write(tmp_path)
    return tmp_path


def write(place: Path, *changes: tuple[str, str], more: str = "", name: str = "harbor/harbor.yml") -> None:
    """Write harbor.yml, with words replaced and lines added."""
    text = HARBOR.format(place=place, slashless=str(place).lstrip("/")) + more
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text(text)


def settings(
    place: Path,
    *,
    paths: Sequence[str] = ("harbor/harbor.yml", "data/secret", "tls/*"),
    database: str = 'dsn = "host=127.0.0.1 port=1 dbname=registry"',
    blobs: str = "data/registry",
    dropped: Sequence[str] = (),
) -> config.Config:
    """As `init` would write it, but for what is given."""
    named = ", ".join(f'"{place}/{path}"' for path in paths)
    told = ", ".join(f'"{source}"' for source in dropped)
    return config.parse_config(
        f"""
        [site]
        name = "registry.example.com"
        state = "{place}/state"
        dropped = [{told}]
        {f'[[database]]{chr(10)}name = "registry"{chr(10)}{database}' if database else ""}
        {f'[blobs]{chr(10)}path = "{place}/{blobs}"' if blobs else ""}
        [secrets]
        paths = [{named}]
        recipients = ["age1..."]
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "/password"
        """,
        "drkit.toml",
    )


def sources(settings: config.Config) -> list[str]:
    """What is wrong, by its name in `dropped`; members are found as in a backup."""
    found = look.of_members(settings, capture.gather(settings.secrets).members)
    assert found.harbor_yml is not None
    assert all(f'dropped = ["{each.source}"] in [site]' in each.hint for each in found.drift)
    return [each.source for each in found.drift]


def test_as_init_writes_it_there_is_nothing_to_say(place: Path) -> None:
    found = look.of_site(settings(place))
    assert found == look.Look(harbor_yml=place / "harbor/harbor.yml")


@pytest.mark.parametrize(
    "change",
    [
        ("{place}/data", "../data"),
        ("{place}/data", "{place}/by-another-name"),
        ("{place}/data", "' {place}/data/ '"),
        ("localhost", "127.0.0.1"),
        ("{place}/tls/a.crt", "//{place}/tls/a.crt"),
    ],
)
def test_other_words_for_the_same(place: Path, change: tuple[str, str]) -> None:
    old, new = (word.format(place=place) for word in change)
    write(place, (old, new))
    assert sources(settings(place)) == []


@pytest.mark.parametrize(
    "more",
    [
        "internal_tls: {enabled: false, dir: /nowhere}",
        "internal_tls:",
        "storage_service: {ca_bundle: , filesystem: }",
        "uaa: {ca_file: }",
        "_version: 2.14.0",
    ],
)
def test_sections_that_name_nothing(place: Path, more: str) -> None:
    write(place, more=more)
    assert sources(settings(place)) == []


def test_everything_has_moved(place: Path) -> None:
    more = (
        "internal_tls: {enabled: true, dir: /etc/harbor/tls}\n"
        "storage_service: {ca_bundle: etc/ca.pem}\n"
        "external_redis: {tlsOptions: {rootCA: /etc/redis.pem}}\n"
        "uaa: {ca_file: /etc/uaa.pem}\n"
    )
    moved = (("localhost", "no-such-host.invalid"), (f"{place}/data", "/nowhere"), ("tls/a.key", "tls/b.key"))
    write(place, *moved, more=more)
    files = ["/nowhere/secret", f"{place}/tls/b.key", "/etc/harbor/tls"]
    files += ["/etc/ca.pem", "/etc/redis.pem", "/etc/uaa.pem"]
    gone = [
        "database:no-such-host.invalid:1/registry",
        "blobs:/nowhere/registry",
        *(f"secrets:{path}" for path in files),
    ]
    assert sources(settings(place)) == gone
    assert sources(settings(place, dropped=gone)) == []
    coarse = ["database:registry", "blobs", "secrets:/etc", "secrets:/nowhere", f"secrets:{place}/tls"]
    assert sources(settings(place, dropped=coarse)) == []
    assert len(look.of_site(settings(place, dropped=coarse)).confirmed) == len(gone)
    assert sources(settings(place, dropped=gone[1:])) == gone[:1]


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({"database": 'dsn = "host=127.0.0.1 port=2 dbname=registry"'}, "database:localhost:1/registry"),
        ({"database": ""}, "database:localhost:1/registry"),
        ({"blobs": "data"}, "blobs:{place}/data/registry"),
        ({"blobs": ""}, "blobs:{place}/data/registry"),
        ({"paths": ("harbor", "tls")}, "secrets:{place}/data/secret"),
        ({"paths": ("harbor", "data/secret", "tls/a.crt")}, "secrets:{place}/tls/a.key"),
    ],
)
def test_the_configuration_lacks_it(place: Path, change: dict[str, str], source: str) -> None:
    assert sources(settings(place, **change)) == [source.format(place=place)]


def test_harbor_s_own_database(place: Path) -> None:
    """It has an address in docker's network alone: what nobody can tell is no problem."""
    text = (place / "harbor/harbor.yml").read_text().splitlines()
    kept = [line for line in text if not line.startswith("external_database")]
    (place / "harbor/harbor.yml").write_text("\n".join(kept))
    assert sources(settings(place, database='container = "harbor-db"')) == []
    assert sources(settings(place, database="")) == ["database:harbor-db/registry"]
    with_dsn = look.of_site(settings(place))
    assert with_dsn.drift == ()
    assert [note.partition(":")[0] for note in with_dsn.notes] == [
        "whether a [[database]] leads to Harbor's own database cannot be told"
    ]


def test_notary_s_databases_may_be_gone(place: Path) -> None:
    old = "external_database: {harbor"
    new = "external_database: {notary_signer: {host: localhost, port: 1, db_name: signer}, harbor"
    write(place, (old, new))
    found = look.of_site(settings(place))
    assert found.drift == ()
    assert [note.partition(" cannot")[0] for note in found.notes] == [
        "whether Notary's database signer is backed up"
    ]


def test_a_secret_under_another_name_is_there_and_told(place: Path) -> None:
    write(place, (f"{place}/data", f"{place}/by-another-name"))
    found = look.of_site(settings(place))
    assert found.drift == ()
    (note,) = found.notes
    assert f"is in the backup as {place}/data/secret" in note
    assert found.excused == (f"secrets:{place}/by-another-name/secret",)


def test_of_several_the_one_that_paths_name(place: Path) -> None:
    write(place, ("localhost", "elsewhere"), name="harbor/harbor.yml")
    (place / "harbor/kept").mkdir()
    write(place, name="harbor/kept/harbor.yml")
    paths = ["data/secret", "tls", "harbor", "harbor/kept/harbor.yml"]
    assert sources(settings(place, paths=paths)) == []
    assert sources(settings(place, paths=paths[:3])) == ["database:elsewhere:1/registry"]


def test_what_is_no_harbor_yml_is_told(place: Path) -> None:
    (place / "harbor/harbor.yml").write_text("- hosts: all\n")
    found = look.of_site(settings(place))
    assert (found.harbor_yml, found.drift) == (None, ())
    assert "it has no hostname" in found.notes[0]


def test_status_is_red_until_a_backup_or_a_word(place: Path) -> None:
    write(place, ("localhost", "no-such-host.invalid"))
    found = look.of_site(settings(place))
    point = proven("a", utc_now())
    assert point.manifest is not None
    point = replace(point, manifest=replace(point.manifest, drift=found.drift))
    said = judge(settings(place, paths=["harbor"], database="", blobs=""), [point], utc_now())
    assert [(str(each.kind), each.red) for each in said.findings if each.kind == "harbor_drift"] == [
        ("harbor_drift", True)
    ]
    told = settings(place, dropped=["database:no-such-host.invalid:1/registry"])
    assert not [each for each in judge(told, [point], utc_now()).findings if each.kind == "harbor_drift"]
