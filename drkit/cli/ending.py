"""How a command ends: what came of it is shown, written down and told, whatever one of these meets."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drkit import logs
from drkit.cli import crash, recording, streams
from drkit.cli.recording import Recorded, Trail
from drkit.errors import Bug, DrkitError, Interrupted, ToolFailed

if TYPE_CHECKING:
    from drkit.cli.output import Output

log = logging.getLogger(__name__)

Show = Callable[["Output", Any], None]


@dataclass(frozen=True)
class Ending:
    """The end of one command; `state` is where crashes are written to, if that is known."""

    command: str
    as_json: bool
    quiet: bool
    state: Path | None

    def show(
        self, failed: DrkitError | None, result: object, show: Show
    ) -> tuple[DrkitError | None, DrkitError | None]:
        """Show the result or the error.

        Returns how the command failed, for what crashes here is a failure too; and what to say where the
        result of a command that went well could not be written.
        """
        try:
            if failed is not None:
                show_error(self.command, self.as_json, failed, show)
                return failed, None
            wanted = self.as_json or not self.quiet
            return None, _show_result(self.command, self.as_json, result, show) if wanted else None
        except BaseException as error:  # noqa: BLE001 - nor does it end while it says what came of it
            broken = crash.known(error, self.command, self.state)
        show_error(self.command, self.as_json, failed or broken, None)
        if failed is not None:
            complain(broken)
        return failed or broken, None

    def record(self, trail: Trail, failed: DrkitError | None, result: object) -> DrkitError | None:
        """Write down how it ended and tell of it; returns how it failed, which may be in just that."""
        try:
            trail.end(failed, result)
            return failed
        except BaseException as error:  # noqa: BLE001 - a crash there must not be a silent one either
            broken = crash.known(error, self.command, self.state)
        if not isinstance(broken, Bug | Interrupted):
            log.warning("%s", broken.message)
            return failed
        complain(broken)
        if failed is None and isinstance(broken, Bug):
            self._record_again(trail, broken, result)
        return failed or broken

    def tell_without_settings(self, config_path: Path, recorded: Recorded, failed: DrkitError) -> None:
        """Tell that it could not begin, without a configuration that says whom; nothing is raised."""
        try:
            recording.tell_without_settings(config_path, recorded, failed)
        except BaseException as error:  # noqa: BLE001 - it has failed anyhow, and says so
            log.warning("%s", crash.known(error, self.command, self.state).message)

    def _record_again(self, trail: Trail, broken: Bug, result: object) -> None:
        """Replace the record of a success by that of the crash that followed it."""
        try:
            trail.end(broken, result)
        except Exception as error:  # noqa: BLE001 - it has met the same once more
            log.warning("%s", crash.known(error, self.command, self.state).message)


def _show_result(command: str, as_json: bool, result: object, show: Show) -> DrkitError | None:
    """Print a result; returns what to say where it could not be written."""

    def write() -> None:
        if as_json:
            _print_json(command, result, None)
        else:
            show(_paper(), result)

    return _written(write)


def _written(write: Callable[[], None]) -> DrkitError | None:
    """Write to stdout. Where its reader has gone (`| head`), nobody wants the rest: that is no error."""
    try:
        write()
        sys.stdout.flush()
    except OSError as error:
        streams.hush(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return None
        said = f"the result could not be written: {error.strerror}"
        return ToolFailed(said, hint="what was asked for is done; see where standard output goes")
    return None


def show_error(command: str, as_json: bool, error: DrkitError, show: Show | None) -> None:
    """Print an error, and by `show` the result that there is all the same."""
    result = error.result if show else None

    def write() -> None:
        if as_json:
            _print_json(command, result, error)
        elif show and result is not None:
            show(_paper(succeeded=False), result)

    lost = _written(write)
    if lost or not as_json:
        complain(error)


def complain(error: DrkitError) -> None:
    """Print the two lines for a person, if standard error can still be written; as one line of JSON there."""
    if logs.as_json():
        fields = {"error.type": error.kind, "error.code": error.exit_code, "drkit.hint": error.hint or None}
        log.error("%s", error.message, extra={logs.FIELDS: {"error.message": error.message, **fields}})
        return
    try:
        print(f"error: {_one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {_one_line(error.hint)}", file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        streams.hush(sys.stderr)


def _one_line(words: str) -> str:
    """Without secrets, and without anything that moves the cursor: a file's name may hold it."""
    return "".join(letter if letter.isprintable() else " " for letter in logs.redact(words))


def _print_json(command: str, result: object, error: DrkitError | None) -> None:
    from drkit.reports.jsonable import envelope

    print(json.dumps(envelope(command, result, error)))


def _paper(*, succeeded: bool = True) -> Output:
    from drkit.cli.output import Output

    return Output(sys.stdout, succeeded=succeeded)
