"""Images that go back into a registry: the plan, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drkit.cli.output import Table
from drkit.cli.views import layout
from drkit.reports.units import counted, duration, moment, size

if TYPE_CHECKING:
    from drkit.actions.restore_images.plan import ImagesPlan
    from drkit.actions.restore_images.run import ImagesRestored
    from drkit.cli.output import Output

_TAGS = 20


def plan(paper: Output, found: ImagesPlan) -> None:
    """What will be pushed, what is there, and what is left out."""
    layout.facts(
        paper,
        [
            ("point", f"{found.point}, as of {moment(found.consistent_at)}"),
            ("images", found.pattern),
            ("to", found.target),
        ],
    )
    table = Table("repository", ">images", ">layers", ">size", ">new tags", ">moved tags")
    for each in found.repositories:
        name = each.source if each.source == each.target else f"{each.source} -> {each.target}"
        table.add_row(
            name,
            f"{each.manifests:,}",
            f"{each.blobs:,}",
            size(each.bytes),
            f"{each.new_tags:,}",
            f"{each.moved_tags:,}",
        )
    paper.print(table)
    for change in found.moved[:_TAGS]:
        paper.print(f"  {change.repository}:{change.tag} is {change.now} there now")
    if len(found.moved) > _TAGS:
        paper.print(f"  and {len(found.moved) - _TAGS:,} more tags mean something else there now")
    paper.print(
        f"To push: {counted(found.manifests, 'manifest')}, {found.blobs:,} layers and configurations of"
        f" {size(found.bytes)} at most, {counted(found.tag_count, 'tag')}. There already:"
        f" {found.present_manifests:,}, {found.present_blobs:,} and {found.present_tags:,}."
    )
    if found.lists:
        paper.print(
            f"To complete: {counted(found.lists, 'list')} of what refers to an image (signatures, SBOMs),"
            " which this registry does not keep itself."
        )
    layout.warn(paper, [f"left out: {said}" for said in found.lacking])


def restored(paper: Output, found: ImagesRestored | ImagesPlan) -> None:
    """What was pushed, or what would have been had nothing been in the way."""
    from drkit.actions.restore_images.plan import ImagesPlan

    if isinstance(found, ImagesPlan):
        plan(paper, found)
        return
    done = (
        found.manifests,
        found.blobs,
        found.mounted,
        found.tags,
        found.lists,
        found.lacking,
        found.refused,
    )
    if not any(done):
        paper.print(f"Nothing to do: {found.target} has all of it.")
        return
    taken = f", {found.mounted:,} taken over from other repositories" if found.mounted else ""
    lists = f"; {counted(found.lists, 'list')} of what refers to an image completed" if found.lists else ""
    paper.print(
        f"Pushed {counted(found.manifests, 'manifest')}, {found.blobs:,} layers and configurations of"
        f" {size(found.bytes)}{taken}, and {counted(found.tags, 'tag')} to {found.target}"
        f" in {duration(found.seconds)}{lists}."
    )
    layout.warn(paper, [f"left out: {said}" for said in found.lacking])
    layout.warn(paper, [f"refused: {said}" for said in found.refused])
