"""What follows every unattended verb: metrics, and a word to whoever wants to know."""

from __future__ import annotations

from drkit import config
from drkit.errors import DrkitError


def tell(settings: config.Config, command: str, error: DrkitError | None) -> None:
    """Write metrics and send messages as the configuration asks."""
