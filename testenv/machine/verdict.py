"""What the cases reported, as lines for a person and as one verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Verdict:
    """What is known so far: a case that was to run and told nothing is as bad as one that failed."""

    planned: set[str] = field(default_factory=set)
    outcomes: dict[str, str] = field(default_factory=dict)
    ended: int | None = None

    def take(self, said: dict[str, Any]) -> str:
        """A line of the machine's report; returns what a person is to read of it."""
        match said:
            case {"planned": list(names)}:
                self.planned.update(names)
                return f"{len(names)} cases"
            case {"versions": str(text)} | {"said": str(text)}:
                return text
            case {"case": str(name), "outcome": str(outcome), "seconds": float() | int() as seconds, **more}:
                if self.outcomes.get(name, "passed") == "passed":
                    self.outcomes[name] = outcome
                word = {"passed": "held", "failed": "FAILED"}.get(outcome, "DID NOT RUN")
                why = f": {more['why']}" if more.get("why") else ""
                return f"{word:<11} {spoken(name)} ({seconds:.0f} s){why}"
            case {"ended": int(code)}:
                self.ended = code
                return ""
            case _:
                return f"the machine says what is not understood: {said}"

    @property
    def faults(self) -> list[str]:
        """Why this is no success; empty if every case ran and held."""
        found = [f"{spoken(name)}: told nothing" for name in sorted(self.planned - set(self.outcomes))]
        found += [f"{spoken(n)}: {outcome}" for n, outcome in self.outcomes.items() if outcome != "passed"]
        if not self.planned:
            found.append("no case ran")
        if self.ended != 0:
            how = "without saying how its cases ended" if self.ended is None else f"with {self.ended}"
            found.append(f"the machine ended {how}")
        return found


def spoken(name: str) -> str:
    """A case's name as words: tests/vm/case_lvm.py::test_a_frozen_view[xfs] -> lvm: a frozen view [xfs]."""
    file, _, test = name.rpartition("::")
    words, bracket, parameters = test.removeprefix("test_").partition("[")
    subject = file.rpartition("/")[2].removeprefix("case_").removesuffix(".py")
    return f"{subject}: {words.replace('_', ' ')}{f' [{parameters}' if bracket else ''}"
