"""Where recovery points are looked for: by the configuration, or by an address on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from drkit.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from drkit.actions.restore.bare import Origin


def origin(
    repository: str | None, password: Path | None, credentials: Path | None, site: str | None
) -> Origin | None:
    """The repository at an address, or None where the configuration says it.

    Raises UsageError, and ConfigError for a password file that cannot be read.
    """
    if password is not None and repository is not None:
        if not os.access(password, os.R_OK):
            raise ConfigError(
                f"cannot read the repository's password file {password}", hint="see --password-file"
            )
        # Here: whoever has a configuration need not wait until what restores databases is imported.
        from drkit.actions.restore.bare import Origin

        return Origin(repository, password, credentials, site)
    if repository is not None and ("/" in repository or ":" in repository):
        raise UsageError(
            f"{repository} is an address, and nothing says its password",
            hint="give --password-file FILE; a repository of the configuration is meant by its name",
        )
    lone = {"--password-file": password, "--repository-credentials": credentials, "--site": site}
    given = next((option for option, value in lone.items() if value is not None), None)
    if given:
        raise UsageError(
            f"{given} is for a repository at an address",
            hint="give --repository URL and --password-file FILE as well",
        )
    return None
