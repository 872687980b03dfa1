"""Where recovery points go: `[[repository]]` and `[retention]`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from drkit.config.fields import AbsolutePath, Duration, Name, Rate, no_password_in_url
from drkit.config.section import Section
from drkit.config.sources import Vault


class Retention(Section):
    """`[retention]`: how many recovery points to keep, newest first, by period; all zero keeps everything.

    In a `[[repository]]` it holds there, instead of the common one. Reports of drills are kept for
    `keep_drill_reports`, and as long as their points.
    """

    keep_last: int = Field(0, ge=0)
    keep_hourly: int = Field(0, ge=0)
    keep_daily: int = Field(0, ge=0)
    keep_weekly: int = Field(0, ge=0)
    keep_monthly: int = Field(0, ge=0)
    keep_yearly: int = Field(0, ge=0)
    # Three years, and the quarter that is being closed.
    keep_drill_reports: Duration = timedelta(days=1190)

    @property
    def keeps_all(self) -> bool:
        """Whether no rule says which points to keep: then all of them are kept."""
        counts = (self.keep_last, self.keep_hourly, self.keep_daily)
        return not any((*counts, self.keep_weekly, self.keep_monthly, self.keep_yearly))


class Repository(Section):
    """`[[repository]]`: a restic repository.

    `stall_limit` is how long restic may move nothing before it is ended; `rpo` how old the newest point may
    be in a repository that points are copied to, `vault` where `copy` puts the blobs that its points need.
    """

    name: Name
    url: Annotated[str, AfterValidator(no_password_in_url), Field(min_length=1)]
    password_file: AbsolutePath
    credentials_file: AbsolutePath | None = None
    lock_wait: Duration = timedelta(minutes=5)
    stall_limit: Duration = timedelta(minutes=20)
    rpo: Duration | None = None
    retention: Retention | None = None
    vault: Vault | None = None
    upload_limit: Rate | None = None
    download_limit: Rate | None = None
