"""Where results are printed: lines that a terminal's width wraps between words, and never within one.

What people copy (ids, paths, addresses, digests) has no spaces, and so stays in one piece; a piece that is
wider than the terminal sticks out, and the terminal shows the rest of it on its next line. Where no terminal
is, nothing is wrapped at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from drkit.cli.views import columns

_ENDLESS = 1 << 20
_WORD = re.compile(r"\S+\s*")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise where rich would end the program: the caller decides what follows when the reader is gone."""
        raise BrokenPipeError


class Output:
    """An output stream and how wide it is; colours only where somebody sees them.

    `succeeded` is whether the command ends with exit code 0: where it does not, the result is that of a
    failure, and nothing on the paper may say that all is done.
    """

    def __init__(self, stream: TextIO, *, succeeded: bool = True) -> None:
        self.succeeded = succeeded
        # Of a line that is wider than the terminal nothing may be cut off.
        self._console = _Console(file=stream, highlight=False, markup=False, soft_wrap=True)
        self.width = self._console.width if stream.isatty() else _ENDLESS

    def clear(self) -> None:
        """Empty the screen, where there is one."""
        self._console.clear()

    def print(self, what: str | Text | Table = "") -> None:
        """Sentences, wrapped between words; or a table."""
        lines = what.lines(self.width) if isinstance(what, Table) else wrapped(what, self.width)
        for line in lines:
            self._console.print(line)

    def line(self, words: str | Text, end: str = "\n") -> None:
        """A line that somebody copies as a whole, such as a command, or lines that are laid out already."""
        self._console.print(_text(words), end=end)


class Table:
    """Rows of cells without any lines between them; each row as a list of its own where it is too wide.

    `>` before a heading puts its column to the right, where nothing is wrapped: these are numbers. The last
    column is for what is long. Without any heading it is a list of facts, each with its name before it.
    """

    def __init__(self, *headings: str) -> None:
        self._right = [heading.startswith(">") for heading in headings] or [False, False]
        self._headings = [Text(heading.lstrip(">"), style="bold") for heading in headings]
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: str | Text) -> None:
        """One row; nothing in a cell is taken for markup."""
        self._rows.append([_text(cell) for cell in cells])

    def lines(self, width: int) -> Iterator[Text]:
        """The table as lines for that width."""
        rows = [self._headings, *self._rows] if self._headings else self._rows
        if not rows:
            return
        natural = [max(map(_widest, column)) for column in zip(*rows, strict=True)]
        words = [max(map(_longest_word, column)) for column in zip(*rows, strict=True)]
        # Numbers are not wrapped, and neither are the names of facts.
        rigid = self._right if self._headings else [True, False]
        least = [full if fixed else word for full, word, fixed in zip(natural, words, rigid, strict=True)]
        widths = columns.widths(natural, least, width)
        if widths is None:
            yield from self._as_lists(width) if self._headings else self._as_paragraphs(width)
            return
        for row in rows:
            yield from self._row(row, widths)

    def _row(self, row: Sequence[Text], widths: Sequence[int]) -> Iterator[Text]:
        cells = [wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            line = Text()
            for lines, width, right in zip(cells, widths, self._right, strict=True):
                piece = lines[number] if number < len(lines) else Text()
                space = max(0, width - piece.cell_len)
                line.append(" " * space if right else "").append_text(piece)
                line.append(" " * (columns.GAP + (0 if right else space)))
            line.rstrip()
            yield line

    def _as_lists(self, width: int) -> Iterator[Text]:
        """Each row as a list of facts, named by the headings."""
        for number, row in enumerate(self._rows):
            if number:
                yield Text()
            listed = Table()
            for name, cell in zip(self._headings, row, strict=True):
                listed.add_row(name, cell)
            yield from listed.lines(width)

    def _as_paragraphs(self, width: int) -> Iterator[Text]:
        """Each fact below its name."""
        for name, said in self._rows:
            yield name
            indent = " " * (len(name.plain) - len(name.plain.lstrip(" ")) + 4)
            for line in wrapped(said, width - len(indent)):
                yield Text(indent).append_text(line)


def wrapped(words: str | Text, width: int) -> list[Text]:
    """The lines of a text, broken between words where they are wider than `width`; indents are kept."""
    found: list[Text] = []
    for line in _text(words).split("\n", allow_blank=True):
        indent = len(line.plain) - len(line.plain.lstrip(" "))
        first, *rest = line.divide(_breaks(line.plain, indent, width))
        found += [first, *(Text(" " * indent).append_text(piece) for piece in rest)]
    for piece in found:
        piece.rstrip()
    return found


def _breaks(line: str, indent: int, width: int) -> Iterator[int]:
    """Where to break a line: before each word that does not fit any more."""
    used = indent
    for match in _WORD.finditer(line):
        if used > indent and used + cell_len(match[0].rstrip()) > width:
            yield match.start()
            used = indent
        used += cell_len(match[0])


def _text(words: str | Text) -> Text:
    """The words as text in which nothing moves the cursor, wherever they come from."""
    text = words.copy() if isinstance(words, Text) else Text(words)
    text.plain = "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text.plain)
    return text


def _widest(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split("\n")))


def _longest_word(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split()), default=0)
