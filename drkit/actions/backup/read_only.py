"""Harbor's read-only mode for the time of a backup, where the configuration asks for it.

That it was set is written down before it is, and forgotten after it was unset again: whatever ends a run,
the next one knows. A Harbor that somebody else made read-only stays so.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from drkit import config
from drkit.actions.backup.gc_watch import api_of
from drkit.errors import DrkitError, Interrupted, ToolFailed
from drkit.files import replace_file
from drkit.model import utc_now
from drkit.state.directory import State

if TYPE_CHECKING:
    from drkit.tools.harbor_api import HarborApi

log = logging.getLogger(__name__)

# Its mode stands in Harbor's own database, and so in the dump.
WARNING = "Harbor was read-only while this point was taken, and will be after a restore: unset it then"


@dataclass(frozen=True)
class Left:
    """What a run wrote down before it made Harbor read-only."""

    url: str
    since: str


@contextlib.contextmanager
def held(settings: config.Config, state: State) -> Iterator[tuple[str, ...]]:
    """Keep Harbor read-only until the block ends, if the configuration asks for it; yields warnings.

    Raises ToolFailed where it cannot be set, or cannot be unset again: then pushes go on failing.
    """
    api = api_of(settings) if settings.harbor and settings.harbor.read_only else None
    if api is None:
        yield ()
        return
    if api.read_only():
        log.info("Harbor is read-only already, and stays so")
        yield (WARNING,)
        return
    _write_down(state.read_only, api.url)
    try:
        api.set_read_only(True)
        yield (WARNING,)
    finally:
        _unset(api, state.read_only)


def left(state: State) -> Left | None:
    """What a killed run left, if anything; raises ToolFailed where it cannot be read."""
    try:
        document = json.loads(state.read_only.read_text(encoding="utf-8"))
        return Left(str(document["url"]), str(document["since"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ToolFailed(
            f"cannot read {state.read_only}: {error}",
            hint="a killed run made Harbor read-only: unset that in Harbor, and remove the file",
        ) from None


def unset_left(settings: config.Config, state: State) -> tuple[str, ...]:
    """Unset what a killed run left; returns what was done. The caller holds the site's lock.

    Raises ToolFailed where that is not possible.
    """
    found = left(state)
    if found is None:
        return ()
    api = api_of(settings)
    if api is None or api.url != found.url:
        raise ToolFailed(
            f"a killed run left Harbor at {found.url} read-only, and [harbor] does not name that one",
            hint=f"unset it in Harbor (Configuration, System Settings), and remove {state.read_only}",
        )
    _unset(api, state.read_only)
    return (f"unset Harbor's read-only mode, which a killed run had set at {found.since}",)


def _write_down(path: Path, url: str) -> None:
    try:
        replace_file(path, json.dumps({"url": url, "since": utc_now().isoformat(timespec="seconds")}))
    except OSError as error:
        raise ToolFailed(f"cannot write {path}: {error.strerror}", hint="see state in [site]") from None


def _unset(api: HarborApi, path: Path) -> None:
    """Unset it, whatever else is going on, and forget that it was set; raises ToolFailed."""
    try:
        api.set_read_only(False)
    except Interrupted:
        # That was the only signal which interrupts; what it interrupted has to be done all the same.
        _unset(api, path)
        raise
    except DrkitError as error:
        log.error("Harbor at %s is still read-only: %s", api.url, error.message)
        raise ToolFailed(
            f"Harbor at {api.url} is still read-only, and takes no pushes: {error.message}",
            hint="unset it in Harbor (Configuration, System Settings); the next backup tries it as well",
        ) from None
    path.unlink(missing_ok=True)
