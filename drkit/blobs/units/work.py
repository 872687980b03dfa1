"""What is done with each blob of a unit: reading it, or copying it; the same here and on a worker."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from drkit.blobs.inventory import Entry
from drkit.blobs.units.sources import BucketSource, Source, Stop, Tell
from drkit.blobs.units.targets import Target
from drkit.blobs.units.unit import DONE, Done, Outcome
from drkit.blobs.vault.reading import Copy
from drkit.errors import BucketFailed, ObjectMissing, SourceChanged, WrongBytes
from drkit.tools.process import stopping

# So many bytes of what a worker has stored are read again by this machine.
_HEAD = 64 << 10
_AGAIN = 2


class Work(Protocol):
    """Something to be done with blobs; doing it twice does no harm. Every method may raise ToolFailed."""

    @property
    def at_once(self) -> int:
        """How many blobs of one unit a worker has under way: over a network most of the time is waiting."""

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """How a worker does the same: JSON, and nothing secret in it.

        `files`: it reads credentials from the files that are named here, each worker from its own.
        """

    def do(self, entry: Entry, stop: Stop, tell: Tell) -> Outcome:
        """Do it with one blob; `stop` is asked between pieces, `tell` is told of bytes read."""

    def head(self, entry: Entry, count: int) -> bytes:
        """The first bytes of a blob where it is read, at most so many; none where it cannot be read."""

    def stands(self, entry: Entry, done: Done) -> bool:
        """Whether this machine sees what a worker says it has made of a blob."""


@dataclass(frozen=True)
class Hashing:
    """Blobs are read to their end."""

    source: Source

    @property
    def at_once(self) -> int:
        """See Work."""
        return self.source.at_once

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """See Work."""
        return {"work": "hash", "source": self.source.place(files=files)}

    def do(self, entry: Entry, stop: Stop, tell: Tell) -> Outcome:
        """See Work."""
        return self.source.look(entry, stop, tell) or DONE

    def head(self, entry: Entry, count: int) -> bytes:
        """See Work."""
        return self.source.head(entry, count)

    def stands(self, _entry: Entry, _done: Done) -> bool:
        """See Work: nothing was made."""
        return True


@dataclass(frozen=True)
class Copying:
    """Blobs of a bucket are stored elsewhere, each to be seen there only when its hash is right."""

    source: BucketSource
    target: Target

    @property
    def at_once(self) -> int:
        """See Work."""
        return self.source.at_once

    def place(self, *, files: bool) -> Mapping[str, Any]:
        """See Work."""
        source, target = self.source.place(files=files), self.target.place(files=files)
        return {"work": "copy", "source": source, "target": target}

    def do(self, entry: Entry, stop: Stop, tell: Tell) -> Outcome:
        """See Work. Of a blob with several copies the first that is right is taken."""
        if self.target.holds(entry, stop):
            tell(entry.size)
            return Done(kept=True)
        for number, copy in enumerate(self.source.copies(entry)):
            try:
                stored = self._store(entry, copy, stop, tell)
                return Done(stored, other=copy.version if number else None)
            except (ObjectMissing, WrongBytes):
                continue
        # What is wrong is told as whoever hashes it tells it.
        wrong = self.source.look(entry, stop, lambda _count: None)
        if wrong is None:
            raise SourceChanged(f"{entry.digest} had other bytes a moment ago, or was not there")
        return wrong

    def head(self, entry: Entry, count: int) -> bytes:
        """See Work."""
        return self.source.head(entry, count)

    def stands(self, entry: Entry, done: Done) -> bool:
        """See Work: its first bytes are there, as one of its copies has them.

        Which of them was right is not known here. Of a blob whose source is gone by now any bytes will do.
        """
        if not entry.size:
            return self.target.stands(entry, done.version, b"")
        known = False
        for head in filter(None, self.source.heads(entry, min(entry.size, _HEAD))):
            known = True
            if self.target.stands(entry, done.version, head):
                return True
        if known:
            # All of them may be wrong where what was kept is right.
            return done.kept and self.target.holds(entry, stopping.stop_if_asked)
        return self.target.stands(entry, done.version, None)

    def _store(self, entry: Entry, copy: Copy, stop: Stop, tell: Tell) -> str | None:
        for _ in range(_AGAIN):
            try:
                with closing(self._pieces(copy, stop, tell)) as pieces:
                    return self.target.put(entry, pieces)
            except BucketFailed as error:
                if error.code != "NoSuchUpload":
                    raise
                # Another worker was given the same, took up our upload, and was quicker.
        raise SourceChanged(f"others upload {entry.digest} at the same time")

    def _pieces(self, copy: Copy, stop: Stop, tell: Tell) -> Generator[bytes]:
        with closing(self.source.read(copy)) as pieces:
            for piece in pieces:
                stop()
                yield piece
                tell(len(piece))
