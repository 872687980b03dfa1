"""Whether a certificate ends, or has ended; pure."""

from __future__ import annotations

from datetime import datetime, timedelta


def expiry_fault(not_before: datetime, not_after: datetime, now: datetime, warning: timedelta) -> str | None:
    """What is wrong with a certificate's time at this moment, in words; None where nothing is."""
    if now < not_before:
        return f"is not valid before {not_before:%Y-%m-%d}"
    if not_after <= now:
        return f"expired on {not_after:%Y-%m-%d}"
    if not_after - now < warning:
        return f"expires on {not_after:%Y-%m-%d}"
    return None
