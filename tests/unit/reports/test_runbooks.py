"""Runbooks of sites of every kind: all are rendered, every command in them is one, and nothing breaks out."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.model import DrillNote, Outcome
from drkit.reports import runbooks
from drkit.reports.runbooks import NAMES, Facts, KnownDatabase, KnownRepository, NewestPoint
from tests.unit.manual import command_line

_NOW = datetime(2026, 11, 29, 3, 0, tzinfo=UTC)
_BLOCK = re.compile(r"^( *)```(?:sh|console)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)

HARBOR = Facts(
    site="registry.example.test",
    config="/etc/drkit/drkit.toml",
    default_config=True,
    state="/var/lib/drkit",
    host="host",
    version="1.0",
    rendered_at=_NOW,
    contacts=("on-call: +49 30 0",),
    rto=timedelta(hours=4),
    drill_objective=timedelta(days=90),
    databases=(KnownDatabase("registry", "registry", "registry at db:5432"),),
    in_container=False,
    blobs="/data/registry",
    in_bucket=False,
    vault=None,
    loose_password="/etc/drkit/database.password",
    secrets=("/opt/harbor/harbor.yml", "/data/secret"),
    recipients=("operator", "drill"),
    identity="/etc/drkit/drill.agekey",
    repositories=(KnownRepository("primary", "/backup/drkit", "/etc/drkit/restic.password"),),
    stop=None,
    start=None,
    harbor="/opt/harbor",
    data="/data",
    harbor_version="Harbor 2.14.0 (schema 170)",
    major=15,
    steps=("empty Redis",),
    newest=NewestPoint("20261129-020000-4f2a9c", _NOW, 1 << 30),
    unreadable="",
    drill=DrillNote("20261128-020000-000000", "p", "full", Outcome.PASSED, _NOW, 754.0),
    practised={"total-loss": _NOW},
)
PLAIN = replace(
    HARBOR,
    config="/home/me/my drkit.toml", default_config=False, contacts=(), rto=None, drill_objective=None,
    databases=(), loose_password=None, secrets=(), recipients=(), identity=None, harbor=None, data=None,
    harbor_version=None, major=None, steps=(), newest=None,
    unreadable="the repository is locked", drill=None, practised={},
)  # fmt: skip
BUCKET = replace(
    HARBOR, in_bucket=True, blobs="s3://images", vault="s3://vault/drkit", stop="stop", start="start"
)
OWN = replace(
    HARBOR,
    databases=(KnownDatabase("registry", "registry", "the container harbor-db"),), in_container=True,
    repositories=(KnownRepository("off", "s3:https://s3/off", "/etc/drkit/off", "/etc/drkit/off.keys"),),
)  # fmt: skip
SITES = {"Harbor": HARBOR, "a plain registry": PLAIN, "a bucket": BUCKET, "its own database": OWN}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("name", NAMES)
def test_how_it_begins_and_ends_and_that_its_commands_exist(site: str, name: str) -> None:
    found = runbooks.render(SITES[site], name)
    assert found.text.startswith(f"# {found.title}\n")
    headings = re.findall(r"^## (.*)$", found.text, re.MULTILINE)
    assert headings[0] == "You need this when"
    assert "You are done when" in headings
    assert not re.search(r"\n{4,}|[ \t]+$", found.text, re.MULTILINE), "laid out to be read as it is"
    commands = [words for words in _commands(found.text) if words[0] == "drkit"]
    for words in commands:
        command_line.parse(words[1:])


def _commands(text: str) -> list[list[str]]:
    lines = [line for found in _BLOCK.finditer(text) for line in found[2].replace("\\\n", "").splitlines()]
    words = [shlex.split(line.strip().removeprefix("# "), comments=True) for line in lines]
    ends = ("||", ">")
    return [line[: next((i for i, word in enumerate(line) if word in ends), None)] for line in words if line]


def test_a_command_that_does_not_exist_is_noticed() -> None:
    (words,) = _commands("```sh\ndrkit backup --quickly || true\n```\n")
    with pytest.raises(Exception, match="--quickly"):
        command_line.parse(words[1:])


def test_what_is_not_known_is_said() -> None:
    text = runbooks.render(PLAIN, "total-loss").text
    assert "there was no recovery point that could be read: `the repository is locked`" in text
    assert "No full drill has passed yet" in text
    assert "Nobody has practised this here yet" in text
    assert "Whom to call is not known" in text
    assert "export DRKIT_CONFIG='/home/me/my drkit.toml'" in text
    known = runbooks.render(HARBOR, "total-loss").text
    assert "had everything back in 12 min 34 s; the objective is 4 h." in known
    assert "Last practised here on 2026-11-29 03:00 UTC." in known
    assert "DRKIT_CONFIG" not in known


def in_order(text: str, *parts: str) -> bool:
    """Whether these stand in a text, each behind the one before."""
    return re.search(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None


def test_harbors_own_database_is_there_before_it_is_restored() -> None:
    """It comes with the files of the secrets, and is that of Harbor's version."""
    start = "up -d postgresql"
    lost = runbooks.render(OWN, "total-loss").text
    assert in_order(lost, "--only secrets", "run `prepare`", start, "--replace --root / --dry-run")
    back = runbooks.render(OWN, "bad-upgrade").text
    assert in_order(back, "--only secrets", "`prepare` of the old version", start, "--only database")
    assert start not in "".join(runbooks.render(HARBOR, name).text for name in NAMES)


def test_what_the_storage_asks_for() -> None:
    lost = runbooks.render(OWN, "total-loss").text
    assert lost.count('--repository-credentials "$CREDENTIALS"') == 3
    assert 'install -D -m 600 "$CREDENTIALS" /etc/drkit/off.keys' in lost
    assert "`/etc/drkit/off.keys`" in runbooks.render(OWN, "break-glass").text
    assert "CREDENTIALS" not in runbooks.render(HARBOR, "total-loss").text


def test_nothing_of_a_site_breaks_out() -> None:
    """Neither of a code span, nor of a block, nor into the page as HTML, nor of a word of a shell."""
    evil = "/b`ack`up/<script>alert(1)</script>\n```\n# rm"
    facts = replace(
        HARBOR,
        repositories=(KnownRepository("primary", evil, "/p $(reboot)"),),
        contacts=("<img src=x>",),
        secrets=("/a``b`",),
    )
    written = tuple(runbooks.render(facts, name) for name in NAMES)
    page = runbooks.page(facts, written)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    text = next(each.text for each in written if each.name == "break-glass")
    exported = re.search(r"RESTIC_REPOSITORY=(.*)", text)
    assert exported
    assert len(shlex.split(exported[1])) == 1
    assert "RESTIC_PASSWORD_FILE='/p $(reboot)'" in text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    written = tuple(runbooks.render(HARBOR, name) for name in NAMES)
    page = runbooks.page(HARBOR, written)
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(|<script|@import", page)
    assert re.findall(r'<article id="(.*)">', page) == list(NAMES)
    assert "&lt;strong&gt;" not in page, "Markdown became HTML once"


def test_every_template_is_a_runbook_or_a_part() -> None:
    top = Path(__file__).parents[3] / "runbooks"
    assert {path.stem for path in top.glob("*.md")} == set(NAMES)
    used = set(
        re.findall(r'include "runbooks/parts/(\w+)\.md"', "".join(p.read_text() for p in top.glob("*.md")))
    )
    assert {path.stem for path in (top / "parts").glob("*.md")} == used
