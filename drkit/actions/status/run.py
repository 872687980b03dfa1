"""The status of a site, and the error that it ends in."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.actions.status.look import Look, look
from drkit.actions.status.of_points import what_to_do
from drkit.errors import NotGreen, ObjectiveMissed, UsageError
from drkit.model import Status


def status(settings: config.Config, *, html: Path | None = None, write: bool = False) -> Status:
    """The status; raises, with it, the primary repository's error, ObjectiveMissed or NotGreen.

    `html` is a file for the status page; `write` asks for the page and the metrics that the configuration
    names as well. Raises ConfigError where these cannot be written.
    """
    if not (html or write):
        return verdict(look(settings))
    # Loaded here: who only looks needs no templates.
    from drkit.actions.status import publish
    from drkit.reports import status_page

    if write and not settings.publishes:
        raise UsageError(
            "the configuration names nothing to write",
            hint="set page or listen in [status], or textfile in [metrics]",
        )
    seen = look(settings)
    if html:
        status_page.write(html, publish.page(settings, seen))
    if write:
        publish.publish(settings, seen)
    return verdict(seen)


def verdict(seen: Look) -> Status:
    """The status that was seen; raises, with it, what keeps it from being green."""
    found = seen.status
    if seen.error:
        seen.error.result = found
        raise seen.error
    if found.missed:
        # What else is wrong stands among the problems.
        first = next(objective for objective in found.objectives if not objective.met)
        said = f"missed: {', '.join(found.missed)}"
        raise ObjectiveMissed(said, hint=what_to_do(first), result=found)
    if red := found.red:
        more = f" (and {len(red) - 1} more)" if len(red) > 1 else ""
        raise NotGreen(f"not green: {red[0].message}{more}", hint=red[0].hint, result=found)
    return found
