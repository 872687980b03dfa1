"""A repository with many recovery points, made from one that drkit took."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from drkit import config
from drkit.model import DrillReport
from drkit.points import seals
from drkit.points.catalog import Catalog, open_catalog, part_tags
from drkit.points.reading import REPORT_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from drkit.model import Part, Point

_APART = timedelta(hours=6)
_AT_ONCE = 2


def multiply(settings_file: Path, count: int, directory: Path) -> None:
    """Add points to a configured repository that has a drilled one, each six hours older, until `count`.

    Their parts are a few bytes each, their seals and drills the first one's but for the names in them.
    """
    catalog = open_catalog(config.load_config(settings_file))
    listing = catalog.look()
    first = listing.points[-1]
    reports = [s for s in listing.reports.values() if seals.value(s, seals.POINT) == first.id]
    drill = catalog.drill_report(reports[0]) if reports else None
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda number: _add(catalog, first, drill, number, directory), range(1, count)))


def _drill(catalog: Catalog, snapshot: str) -> DrillReport:
    data = b"".join(catalog.repository.read(snapshot, f"/{REPORT_FILE}"))
    return TypeAdapter(DrillReport).validate_json(data)


def _add(catalog: Catalog, first: Point, drill: DrillReport | None, number: int, directory: Path) -> None:
    assert first.manifest is not None
    at = first.manifest.consistent_at - number * _APART
    name = f"{at:%Y%m%d-%H%M%S}-{number:06x}"
    parts = tuple(_part(catalog, part, name) for part in first.manifest.parts)
    manifest = replace(first.manifest, id=name, parts=parts, consistent_at=at, started_at=at, finished_at=at)
    place = directory / name
    place.mkdir()
    for part in (part for part in parts if not part.snapshot):
        (place / part.path.lstrip("/")).write_text(json.dumps({"point": name, "kind": part.kind}))
    catalog.seal(seals.with_trees(manifest, catalog.snapshots_of(name)), place, at)
    if drill is not None:
        report = replace(drill, id=f"{name}-drill", point=name, started_at=at, finished_at=at)
        catalog.keep_drill(report, "", None, place)


def _part(catalog: Catalog, part: Part, point: str) -> Part:
    if part.kind not in ("database", "blobs"):
        return replace(part, snapshot="")
    tags = part_tags(catalog, point, part.kind, part.name)
    saved = catalog.repository.save_stream([point.encode()], part.name, tags, catalog.site)
    return replace(part, snapshot=saved.snapshot, bytes=saved.bytes)
