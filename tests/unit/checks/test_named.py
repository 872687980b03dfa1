"""A bundle has what its harbor.yml names; and what plants that it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.checks import named
from drkit.checks.finding import Control, Finding, Unplanted
from drkit.model import CheckKind, Drift, Outcome, PointManifest, Reason
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from tests.samples import manifest

HARBOR = b"""
hostname: registry.example.com
https: {certificate: /etc/tls/a.crt, private_key: etc/tls/a.key}
internal_tls: {enabled: true, dir: /etc/harbor/tls}
storage_service: {ca_bundle: /etc/ca.pem}
data_volume: /srv/harbor
"""
FILES = ("/etc/tls/a.crt", "/etc/tls/a.key", "/etc/harbor/tls/core.key", "/etc/ca.pem")
KEY = "/srv/harbor/secret/keys/secretkey"
POINT = manifest("p", datetime(2026, 11, 24, tzinfo=UTC))


def file(path: str, data: bytes = b"x") -> Member:
    return Member(path, "file", 0o600, 0, 0, 0, data)


def link(path: str, target: str) -> Member:
    return Member(path, "link", 0o777, 0, 0, 0, link=target)


YML = file("/opt/harbor/harbor.yml", HARBOR)
WHOLE = (YML, file(KEY), *map(file, FILES))


def look(members: Sequence[Member], point: PointManifest = POINT) -> Finding:
    (check,) = named.checks(capture.described(members), point)
    assert check.kind is CheckKind.NAMED_FILES
    return check.look()


def test_everything_is_there() -> None:
    assert look(WHOLE) == Finding(Outcome.PASSED, "6 files and directories are there")


@pytest.mark.parametrize("gone", [KEY, *FILES])
def test_something_is_missing(gone: str) -> None:
    found = look([member for member in WHOLE if member.path != gone])
    assert (found.outcome, found.reason) == (Outcome.FAILED, Reason.NOT_BACKED_UP)
    path = {KEY: "/srv/harbor/secret", FILES[2]: "/etc/harbor/tls"}.get(gone, gone)
    assert found.detail.startswith(f"{path}, which harbor.yml names, is not in the bundle (")


@pytest.mark.parametrize(
    "excused",
    ["secrets:/etc/ca.pem", "secrets:/etc", "secrets:/", "secrets:/etc/tls", "blobs"],
)
def test_what_need_not_be_there(excused: str) -> None:
    found = look(
        [member for member in WHOLE if member.path != "/etc/ca.pem"], replace(POINT, excused=(excused,))
    )
    expected = excused in ("secrets:/etc/ca.pem", "secrets:/etc", "secrets:/")
    assert found.outcome == ("passed" if expected else "failed")
    assert ("but for 1 that need not be there" in found.detail) is expected


def test_what_the_backup_found_of_database_and_images_fails_too() -> None:
    drift = (
        Drift("database:db:5432/registry", "harbor.yml names another", ""),
        Drift("secrets:/x", "no", ""),
    )
    found = look(WHOLE, replace(POINT, drift=drift))
    assert (found.outcome, found.detail) == ("failed", "harbor.yml names another")


def test_by_way_of_links_that_are_in_the_bundle() -> None:
    behind = [
        link("/opt/harbor/harbor.yml", "../conf/registry.yml"),
        file("/opt/conf/registry.yml", HARBOR),
        link("/etc/tls", "/srv/tls"),
        *map(file, ("/srv/tls/a.crt", "/srv/tls/a.key", *FILES[2:], KEY)),
    ]
    assert look(behind).outcome == "passed"
    assert look([member for member in behind if member.path != "/srv/tls/a.key"]).outcome == "failed"


@pytest.mark.parametrize("data", [b"- hosts: all", b"hostname: [", b""])
def test_without_a_harbor_yml_there_is_no_check(data: bytes) -> None:
    assert list(named.checks(capture.described([file("/opt/harbor.yml", data)]), POINT)) == []
    assert list(named.checks(capture.described([file("/opt/a.yml", HARBOR)]), POINT)) == []


def planted(members: Sequence[Member], point: PointManifest, outcome: Outcome) -> Control | Unplanted:
    (found,) = named.controls(capture.described(members), point, outcome)
    return found


@pytest.mark.parametrize(
    "members",
    [WHOLE, (YML, file(KEY), link("/etc/tls", "/srv/tls"), *map(file, ("/srv/tls/a.crt", "/srv/tls/a.key")))],
)
def test_the_control_is_caught(members: Sequence[Member]) -> None:
    point = replace(POINT, excused=("secrets:/etc/harbor", "secrets:/etc/ca.pem", "secrets:/srv"))
    assert look(members, point).outcome == "passed"
    control = planted(members, point, Outcome.PASSED)
    assert isinstance(control, Control)
    assert control.planted == "/srv/harbor/secret taken away"
    assert control.run().caught


def test_a_control_that_takes_a_link_away() -> None:
    members = (YML, link("/etc/tls", "/srv/tls"), *map(file, ("/srv/tls/a.crt", "/srv/tls/a.key")))
    point = replace(POINT, excused=("secrets:/etc/harbor", "secrets:/etc/ca.pem", "secrets:/srv"))
    control = planted(members, point, Outcome.PASSED)
    assert isinstance(control, Control)
    assert control.planted == "/etc/tls/a.crt taken away"
    assert control.run().caught


def test_where_nothing_can_be_planted() -> None:
    assert isinstance(planted((*WHOLE[1:], YML), POINT, Outcome.FAILED), Unplanted)
    everything = replace(POINT, excused=("secrets:/",))
    assert look([YML], everything).outcome == "passed"
    assert isinstance(planted([YML], everything, Outcome.PASSED), Unplanted)
