"""The command line as drkit's own parser has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from drkit.cli.main import app

ROOT = typer.main.get_command(app)
# Click's own parameters are typed by a private module of typer's.
Command = Any


def _leaves(command: Command, words: tuple[str, ...]) -> Iterator[tuple[str, Command]]:
    if isinstance(command, TyperGroup):
        context = typer.Context(command)
        for name in command.list_commands(context):
            yield from _leaves(command.get_command(context, name), (*words, name))
    else:
        yield " ".join(words), command


# `keys rotate` -> its parser.
COMMANDS: dict[str, Command] = dict(_leaves(ROOT, ()))


def options(command: Command) -> set[str]:
    """The names of its options, short ones too."""
    return {name for param in command.params if param.param_type_name == "option" for name in param.opts}


def usage(command: Command) -> set[str]:
    """Its options with their placeholders, and its arguments: `--only database|blobs`, `-y`, `POINT`."""
    context = command.make_context("drkit", [], resilient_parsing=True)
    found = set[str]()
    for param in command.params:
        if param.param_type_name == "argument":
            found.add((param.metavar or param.name.upper()).strip("[]."))
        else:
            # As --help has it: `-y, --yes` or `--level <quick|full>`.
            found.update(param.get_help_record(context)[0].replace("<", "").replace(">", "").split(", "))
    return found


def find(words: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """The options before the command, the command, and what follows it; KeyError where there is none."""
    rest, before = list(words), list[str]()
    while rest and rest[0].startswith("-"):
        before.append(rest.pop(0))
        if before[-1] == "--config":
            before.append(rest.pop(0))
    for length in (2, 1):
        name = " ".join(rest[:length])
        if len(rest) >= length and name in COMMANDS:
            return before, name, rest[length:]
    raise KeyError(" ".join(words))


def parse(words: Sequence[str]) -> None:
    """Parse a whole command line as drkit does, and run nothing; raises what the parser raises."""
    before, name, rest = find(words)
    ROOT.make_context("drkit", before)
    COMMANDS[name].make_context(name, rest)
