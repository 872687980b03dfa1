"""The registry that runs, and what drills, restores and runbooks need to know of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drkit.config.fields import AbsolutePath, Duration, command_line, web_address
from drkit.config.section import Section


class Harbor(Section):
    """`[harbor]`: how to keep out of the way of garbage collection, and Harbor's API where it is needed."""

    url: Annotated[str, AfterValidator(web_address)] | None = None
    user: str | None = None
    password_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    wait_for_collection: Duration = timedelta(minutes=30)
    read_only: bool = False


class Registry(Section):
    """`[registry]`: the registry that runs, where images are pushed to, and as whom."""

    url: Annotated[str, AfterValidator(web_address)]
    credentials_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None


class Drill(Section):
    """`[drill]`: where sandboxes stand, and as whom their PostgreSQL runs when drkit is root.

    `database_image` names an image, for a PostgreSQL major that this machine does not have; `signing_key` is
    the key that reports are signed with. `registry_program` is the program that serves restored
    images, where it is not the first one that is found. `harbor` says whether Harbor's own images are started
    on what was restored, where they are here (`auto`), or a drill without that is none (`required`);
    `harbor_version` is the tag of those images, where it shall not be found out. `core` is Harbor's core as a
    program of this machine, to be started in the place of an image, and `jobservice` its jobservice. Core has
    `harbor_timeout` to come up, its migration included.
    """

    directory: AbsolutePath | None = None
    user: str = "postgres"
    database_image: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:@-]*$")] | None = None
    signing_key: AbsolutePath | None = None
    registry_program: AbsolutePath | None = None
    harbor: Literal["auto", "required", "off"] = "auto"
    harbor_version: Annotated[str, Field(pattern=r"^v?\d+\.\d+\.\d+[A-Za-z0-9_.-]*$")] | None = None
    core: AbsolutePath | None = None
    jobservice: AbsolutePath | None = None
    harbor_timeout: Duration = timedelta(minutes=10)


class Restore(Section):
    """`[restore]`: commands that stop and start the service around a restore, run without a shell."""

    stop: Annotated[str, AfterValidator(command_line)] | None = None
    start: Annotated[str, AfterValidator(command_line)] | None = None


class Runbook(Section):
    """`[runbook]`: where runbooks are written, and whom they tell to call, one line each."""

    directory: AbsolutePath | None = None
    contacts: tuple[str, ...] = ()
