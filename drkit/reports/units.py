"""Sizes, durations and times as a person reads them."""

from __future__ import annotations

from datetime import datetime


def size(count: float) -> str:
    """`1.4 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def counted(count: int, one: str, many: str = "") -> str:
    """`1 tag`, `1,204 tags`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def amount(count: float, unit: str) -> str:
    """A count in its unit."""
    if unit == "seconds":
        return duration(count)
    return size(count) if unit == "bytes" else f"{count:,.0f}"


def how_far(done: float, total: float | None, unit: str) -> str:
    """`1.2 GiB of 1.4 GiB`; `under way` where there is nothing to count."""
    if total:
        return f"{amount(done, unit)} of {amount(total, unit)}"
    return amount(done, unit) if done else "under way"


def duration(seconds: float | None) -> str:
    """`3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`; `never` where there is nothing to measure."""
    if seconds is None:
        return "never"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for big, small, names in ((86_400, 3600, "d h"), (3600, 60, "h min"), (60, 1, "min s")):
        if whole >= big:
            first, second = names.split()
            rest = whole % big // small
            return f"{whole // big} {first} {rest} {second}" if rest else f"{whole // big} {first}"
    return f"{whole} s"


def moment(when: datetime | None) -> str:
    """A time in the reader's own zone."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z") if when else "-"


def minute(when: datetime | None) -> str:
    """The same for a list, where its zone would stand in every line."""
    return when.astimezone().strftime("%Y-%m-%d %H:%M") if when else "-"
