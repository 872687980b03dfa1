"""The status of a site on one screen: the verdict first, then what to do, then what is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views.layout import facts, outcome
from drkit.reports import sentences
from drkit.reports.units import duration, minute, moment, size

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.model import DrillNote, Problem, RepositoryStatus, Status

_COLOURS = {"good": "green", "bad": "red", "running": "yellow", "none": "dim"}


def status(paper: Output, found: Status) -> None:
    """One screen."""
    colour = "green" if found.green else "red"
    paper.print(Text(sentences.verdict(found), style=f"bold {colour}"))
    # Red ones first: whoever is woken reads no further.
    for problem in sorted(found.findings, key=lambda each: not each.red):
        _problem(paper, problem)
    paper.print()
    _objectives(paper, found)
    paper.print()
    _repositories(paper, found)
    paper.print()
    _runs(paper, found)
    paper.print()
    facts(paper, _rest(found))


def _problem(paper: Output, problem: Problem) -> None:
    word, colour = ("problem: ", "red") if problem.red else ("warning: ", "yellow")
    paper.print(Text(word, style=colour).append(problem.message, style="default"))
    if problem.hint:
        paper.print(f"  -> {problem.hint}")


def _objectives(paper: Output, found: Status) -> None:
    if not found.objectives:
        paper.print("no objectives are configured")
        return
    table = Table("objective", "", ">actual", ">target")
    for each in found.objectives:
        word = Text("met", style="green") if each.met else Text("missed", style="red")
        target = duration(each.target_seconds)
        actual = duration(each.actual_seconds) if found.readable else "unknown"
        table.add_row(f"{each.name}: {sentences.OBJECTIVES[each.name]}", word, actual, target)
    paper.print(table)


def _repositories(paper: Output, found: Status) -> None:
    """Newest point of each, and its drills; one that nobody drills is drilled never, not fine."""
    table = Table("repository", "newest point", "age", "rpo", ">points")
    for each in found.repositories:
        if not each.readable:
            table.add_row(each.name, Text("cannot be read", style="red"), "?", _rpo(each), "?")
            continue
        at, newest = each.newest_point_at, each.newest_point or Text("none", style="red")
        age = sentences.rough((found.at - at).total_seconds()) if at else "-"
        table.add_row(each.name, newest, age, _rpo(each), str(each.points))
    paper.print(table)
    paper.print()
    drills = Table("drill", "of", "", "when", ">recovery took", "point")
    for each in found.repositories:
        for level, note in (("full", each.last_full_drill), ("quick", each.last_quick_drill)):
            if note or level == "full":
                drills.add_row(level, each.name, *_drill(note, each))
    paper.print(drills)


def _rpo(each: RepositoryStatus) -> Text:
    if each.rpo is None:
        return Text("-")
    word = Text("met", style="green") if each.rpo.met else Text("missed", style="red")
    return word.append(f" ({sentences.rough(each.rpo.target_seconds)})", style="default")


def _drill(note: DrillNote | None, of: RepositoryStatus) -> tuple[str | Text, ...]:
    if note is None:
        return Text("never" if of.readable else "unknown", style="yellow"), "-", "-", "-"
    took = duration(note.recovery_time_seconds) if note.recovery_time_seconds is not None else "-"
    return outcome(note.outcome), minute(note.finished_at), took, note.point


def _runs(paper: Output, found: Status) -> None:
    table = Table("run", "last", "when", ">took", "next")
    for line in sentences.runs(found):
        took = duration(line.seconds) if line.seconds is not None else "-"
        word = Text(line.word, style=_COLOURS[line.state])
        table.add_row(line.name, word, minute(line.at), took, minute(line.next_at))
    paper.print(table)


def _rest(found: Status) -> Iterator[tuple[str, str | Text]]:
    lines = [sentences.reread(store, found.at) for each in found.repositories for store in each.reread]
    if lines:
        yield "read again", "\n".join(lines)
    if found.readable:
        yield "size", sentences.sizes(found.sizes)
    if found.readable and found.sources:
        named = (f"{each.name} {size(each.bytes) if each.point else 'in no point'}" for each in found.sources)
        yield "sources", ", ".join(named)
    if said := list(sentences.certificates(found.certificates, found.at)):
        yield "certificates", "\n".join(said)
    yield "looked at", moment(found.at)
