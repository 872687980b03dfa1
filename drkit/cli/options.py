"""Options that several verbs have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, but do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
RepositoryName = Annotated[
    str | None,
    typer.Option("--repository", metavar="NAME", help="Use this repository instead of the primary one."),
]
RepositoryAddress = Annotated[
    str | None,
    typer.Option(
        "--repository",
        metavar="NAME|URL",
        help="Another repository than the primary one; by its address, where there is no configuration.",
    ),
]
RepositoryPassword = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="The password of the repository at that address."),
]
RepositoryCredentials = Annotated[
    Path | None,
    typer.Option(
        "--repository-credentials", metavar="FILE", help="What its storage asks for, as KEY=value lines."
    ),
]
SiteName = Annotated[
    str | None,
    typer.Option("--site", metavar="NAME", help="Whose points, where it has those of several sites."),
]
ClusterAddress = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Let the workers of this scheduler do it; `local`: none."
    ),
]
PointArgument = Annotated[str, typer.Argument(metavar="POINT", help="An id, a prefix of one, or `latest`.")]
Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write the report as JUnit's XML, for CI servers."),
]
Identity = Annotated[
    Path | None,
    typer.Option("--identity", metavar="FILE", help="The age identity that decrypts the secrets."),
]
