"""Runbooks of a site: what to do at 3 a.m., with this site's own paths; as Markdown, and as one page.

The templates stand in runbooks/, at the top of the project, and their commands are run by the tests. What a
fenced block marked `sh` has can be run as it is; one marked `console` shows what to type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta

from markdown_it import MarkdownIt
from markupsafe import Markup

from drkit.model import DrillNote
from drkit.reports.text import Finished, printable, shell_word, templates
from drkit.reports.units import duration, size

# In the order in which they are listed: what is worst first.
NAMES = (
    "total-loss",
    "database-lost",
    "images-lost",
    "image-deleted",
    "secrets-lost",
    "key-compromised",
    "ransomware",
    "bad-upgrade",
    "drill-failed",
    "quarterly-drill",
    "moving",
    "break-glass",
)


@dataclass(frozen=True)
class KnownDatabase:
    """A database of the site: its name in the configuration and on its server, and where that is."""

    name: str
    database: str
    where: str


@dataclass(frozen=True)
class KnownRepository:
    """A repository of the site, the file with its password, and that with what its storage asks for."""

    name: str
    url: str
    password: str
    credentials: str | None = None


@dataclass(frozen=True)
class NewestPoint:
    """The newest sealed recovery point, as a runbook tells of it."""

    id: str
    consistent_at: datetime
    bytes: int


@dataclass(frozen=True)
class Facts:
    """What the templates need; what is None or empty is not there, or not known.

    `default_config` is whether drkit finds the configuration by itself; `harbor` is the directory of Harbor's
    installation, `data` its data volume; `in_container` is whether it has its database in a container, which
    comes and goes with it; `major` is PostgreSQL's; `unreadable` says why no point is known;
    `practised` says when each runbook was last practised; `loose_password` is the file with the database's
    password, where no recovery point has it.
    """

    site: str
    config: str
    default_config: bool
    state: str
    host: str
    version: str
    rendered_at: datetime
    contacts: tuple[str, ...]
    rto: timedelta | None
    drill_objective: timedelta | None
    databases: tuple[KnownDatabase, ...]
    in_container: bool
    blobs: str | None
    in_bucket: bool
    vault: str | None
    loose_password: str | None
    secrets: tuple[str, ...]
    recipients: tuple[str, ...]
    identity: str | None
    repositories: tuple[KnownRepository, ...]
    stop: str | None
    start: str | None
    harbor: str | None
    data: str | None
    harbor_version: str | None
    major: int | None
    steps: tuple[str, ...]
    newest: NewestPoint | None
    unreadable: str
    drill: DrillNote | None
    practised: Mapping[str, datetime]


@dataclass(frozen=True)
class Runbook:
    """One runbook: its name, its title, and its text in Markdown."""

    name: str
    title: str
    text: str


def render(facts: Facts, name: str) -> Runbook:
    """The runbook of that name, one of NAMES, for a site."""
    environment = templates(
        printable,
        code=code,
        # A word of several lines could end the block that it stands in.
        sh=lambda value: shell_word(printable(str(value))),
        size=size,
        duration=_duration,
        utc=_utc,
        first_word=lambda text: str(text).split()[-1],
    )
    values = {field.name: getattr(facts, field.name) for field in fields(facts)}
    values |= {"name": name, "practised": facts.practised.get(name)}
    text = environment.get_template(f"runbooks/{name}.md").render(values)
    title = text.partition("\n")[0].removeprefix("# ")
    return Runbook(name, title, text)


def page(facts: Facts, runbooks: tuple[Runbook, ...]) -> str:
    """All of them as one page of HTML: no script, nothing fetched from elsewhere, fit to be printed."""
    markdown = MarkdownIt("commonmark", {"html": False})
    articles = [(each.name, each.title, Markup(markdown.render(each.text))) for each in runbooks]  # noqa: S704 - HTML in the text was escaped
    environment = templates(utc=_utc)
    return environment.get_template("runbooks.html").render(facts=facts, articles=articles)


def code(value: object) -> Finished:
    """A code span of Markdown, whatever is in it."""
    text = printable(str(value))
    ticks = "`"
    while ticks in text:
        ticks += "`"
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Finished(f"{ticks}{space}{text}{space}{ticks}")


def _duration(value: float | timedelta | None) -> str:
    return duration(value.total_seconds() if isinstance(value, timedelta) else value)


def _utc(when: datetime) -> str:
    """In one zone for all who read it."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
