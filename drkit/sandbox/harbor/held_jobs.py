"""jobservice in a sandbox: it starts on what was restored, is well, and runs nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from drkit.checks import harbor as harbor_checks
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, passed
from drkit.errors import Failure, ToolFailed
from drkit.harbor import jobs
from drkit.model import CheckKind, CheckResult, Outcome
from drkit.sandbox.harbor.box import Box
from drkit.tools.harbor_core import Core
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

# Core looks at each of its components every ten seconds.
_HEALTH_SECONDS = 60.0
_PAUSE_SECONDS = 0.2
_NAME = "jobservice"


@dataclass(frozen=True)
class HeldJobs:
    """A jobservice that was started; `before` is how often jobs had been run by then, `schedules` how many
    were forgotten; `fault` is why it was not started.
    """

    box: Box
    database: Target
    schedules: int = 0
    before: int = 0
    fault: str = ""

    def check(self, core: Core) -> CheckResult:
        """Whether it is well and has run nothing."""
        return Check(CheckKind.HARBOR_JOBS, partial(harbor_checks.judged, partial(self._look, core))).run()

    def control(self, core: Core, results: Sequence[CheckResult]) -> Control | Unplanted:
        """One that has gone must not be taken for well."""
        name = "Harbor: a jobservice that has gone"
        good = any(r.kind is CheckKind.HARBOR_JOBS and r.outcome is Outcome.PASSED for r in results)
        if not good:
            return Unplanted(name, "its check did not pass")

        def look() -> Finding:
            self.box.stop_jobs()
            return self._state(core, wanted=False)

        return Control(name, "jobservice ended", partial(harbor_checks.judged, look))

    def _look(self, core: Core) -> Finding:
        if self.fault:
            raise ToolFailed(self.fault)
        found = self._state(core, wanted=True)
        with sessions.connect(self.database) as session:
            ran = jobs.runs(session) - self.before
        if ran:
            raise ToolFailed(f"jobs have run in the sandbox ({ran}): nothing that they did has left it")
        if found.outcome is not Outcome.PASSED:
            return found
        said = f"{self.schedules} schedules forgotten, every queue paused, and no job has run"
        return passed(f"{found.detail}; {said}")

    def _state(self, core: Core, *, wanted: bool) -> Finding:
        """What core says of it, at the latest when it has had the time to look."""
        end = time.monotonic() + _HEALTH_SECONDS
        while True:
            # Where it has ended by itself, its last words say more.
            self.box.look()
            state = harbor_checks.components(core).get(_NAME, "not known to core")
            well = state == "healthy"
            if well is wanted or time.monotonic() > end:
                return passed(f"{_NAME} is healthy") if well else failed(f"{_NAME} is {state}")
            time.sleep(_PAUSE_SECONDS)


def start(box: Box, database: Target) -> HeldJobs:
    """Hold all jobs in the sandbox's copy of the database, which core has migrated, and start jobservice."""
    try:
        with sessions.connect(database) as session:
            schedules, before = jobs.hold(session), jobs.runs(session)
        box.start_jobs()
    except Failure as error:
        return HeldJobs(box, database, fault=error.message)
    return HeldJobs(box, database, schedules, before)
