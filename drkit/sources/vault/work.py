"""A backup's presence in the vault, from its first look there until its point is sealed."""

from __future__ import annotations

import contextlib
import logging
from types import TracebackType

from drkit import config
from drkit.errors import DrkitError
from drkit.model import utc_now
from drkit.sources.bucket.ends import place_of_vault
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.vault import marks as vault_marks
from drkit.sources.vault.marks import Held
from drkit.state import State, new_id

log = logging.getLogger(__name__)


class VaultWork:
    """The mark of one backup in its site's vault, put when it is first needed; a context manager.

    When all went well it removes what killed runs left there: `swept` says how many things.
    """

    def __init__(self, settings: config.Config) -> None:
        self.swept = 0
        self._settings = settings
        self._mark: Held | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> VaultWork:
        return self

    def begin(self) -> None:
        """Be seen in the vault, and wait until no expire works there; once is enough.

        Raises NotOurs for another site's vault, SiteLocked where an expire does not end, the bucket's errors.
        """
        settings = self._settings
        if self._mark is not None or settings.vault is None:
            return
        vault = self._stack.enter_context(open_bucket(settings.vault))
        working = vault_marks.backing_up(
            vault,
            place_of_vault(settings.vault),
            new_id(utc_now()),
            site=settings.site.name,
            machine=State(settings.site.state).machine,
            wait=settings.site.lock_wait,
        )
        self._mark = self._stack.enter_context(working)

    def check(self) -> None:
        """Raise ToolFailed if an expire may have passed the mark over, so that nothing may be sealed."""
        if self._mark is not None:
            self._mark.check()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            # What a backup that failed has begun, the next one goes on with.
            if self._mark is not None and error is None:
                self._sweep(self._mark)

    def _sweep(self, mark: Held) -> None:
        try:
            self.swept = vault_marks.sweep(mark)
        except DrkitError as error:
            # The point is what counts; the next backup tries again.
            log.warning("cannot remove what a killed run left in the vault: %s", error.message)
