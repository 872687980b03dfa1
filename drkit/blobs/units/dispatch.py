"""Which worker does which unit: no clock and no network of its own, so that every turn of it can be tried.

A unit is done when a worker that is trusted has done it. A worker that is lost, fails or is slow gives its
units to others; one that is set aside gives back those that it has done as well.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

# Rates of so many units that were done last say how fast one should be.
_REMEMBERED = 256


class Order(NamedTuple):
    """A unit that a worker is to do; the attempt, counted over the whole run, tells it from any other."""

    unit: int
    worker: str
    attempt: int


class Failed(NamedTuple):
    """A unit that cannot be done, and why it failed each time; `hung` where the last did not answer."""

    unit: int
    reasons: tuple[str, ...]
    hung: bool = False


@dataclass(frozen=True)
class Rules:
    """A unit fails for good the third time.

    It is slow when it has taken `slow_after` seconds, and `slow_times` as long as others of its size.
    """

    attempts: int = 3
    slow_after: float = 60.0
    slow_times: float = 4.0
    # So many times as long as what is slow takes: no longer is it waited for, where there is nobody else.
    hopeless: float = 5.0
    # Before anything is done nobody knows how fast a worker is: bytes a second that any should do.
    slowest: float = 4 << 20
    # Units of fewer bytes say nothing of the others' time.
    telling: int = 1 << 20


@dataclass
class _Unit:
    size: int
    running: dict[Order, float] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)


class Dispatch:
    """The state of one run."""

    def __init__(self, rules: Rules) -> None:
        self.failed: Failed | None = None
        self.done: dict[int, str] = {}
        self._rules = rules
        self._open: dict[int, _Unit] = {}
        self._waiting: deque[int] = deque()
        self._slots: dict[str, int] = {}
        self._busy: Counter[str] = Counter()
        self._aside: set[str] = set()
        self._rates: deque[float] = deque(maxlen=_REMEMBERED)
        self._attempts = 0

    @property
    def workers(self) -> frozenset[str]:
        """Those that units are given to."""
        return frozenset(self._slots)

    @property
    def hungry(self) -> bool:
        """Whether a worker has room, and no unit waits for it."""
        free = self._free_ones()
        return bool(free) and self._choice(free) is None

    @property
    def is_whole(self) -> bool:
        """Whether every unit that was added is done."""
        return not self._open

    def add(self, unit: int, size: int) -> None:
        """One more unit, of so many bytes; one that was given back likewise."""
        self._open[unit] = _Unit(size)
        self._waiting.append(unit)

    def join(self, worker: str, slots: int) -> None:
        """A worker is there, for so many units at once; one that was set aside stays so."""
        if worker not in self._aside:
            self._slots[worker] = slots

    def lose(self, worker: str, why: str) -> list[Order]:
        """A worker is gone: what it was doing has failed there. What it has done stays done."""
        self._slots.pop(worker, None)
        orders = [order for unit in self._open.values() for order in unit.running if order.worker == worker]
        for order in orders:
            self.fail(order, why)
        self._busy.pop(worker, None)
        return orders

    def set_aside(self, worker: str) -> list[Order]:
        """A worker is not trusted: nothing is given to it any more, and what it is doing does not count.

        What it has done already is to be added again: `take_back` says what that is.
        """
        self._slots.pop(worker, None)
        self._aside.add(worker)
        orders = [order for unit in self._open.values() for order in unit.running if order.worker == worker]
        for order in orders:
            self._drop(order)
            self._again(order.unit)
        self._busy.pop(worker, None)
        return orders

    def withdraw(self, unit: int) -> list[Order]:
        """Whoever is doing the unit does it for nothing, which is nobody's fault; it is given out anew."""
        orders = list(self._open[unit].running)
        for order in orders:
            self._drop(order)
            self._again(unit)
        return orders

    def take_back(self, worker: str) -> list[int]:
        """The units that a worker has done: they are done no more, and are to be added again."""
        units = [unit for unit, name in self.done.items() if name == worker]
        for unit in units:
            del self.done[unit]
        return units

    def is_running(self, order: Order) -> bool:
        """Whether an answer to it is waited for still."""
        unit = self._open.get(order.unit)
        return unit is not None and order in unit.running

    def next(self, now: float) -> Order | None:
        """What is to be given to a worker at this moment, if anything is: what waits, then what is slow."""
        free = self._free_ones()
        if not free:
            return None
        if choice := self._choice(free):
            number, able = choice
            self._waiting.remove(number)
            return self._order(number, able, now)
        for number, unit in self._open.items():
            others = [name for name in free if name not in unit.tried]
            if (
                others
                and len(unit.running) + len(unit.reasons) < self._rules.attempts
                and self._is_slow(unit, now)
            ):
                return self._order(number, others, now)
        return None

    def finish(self, order: Order, now: float) -> list[Order]:
        """A worker has done a unit rightly; what else is doing the same is to be ended, and is returned."""
        unit = self._open[order.unit]
        del self._open[order.unit]
        # What has no bytes, or a few, tells nothing of how fast bytes are read.
        if unit.size >= self._rules.telling and (took := now - unit.running[order]) > 0:
            self._rates.append(unit.size / took)
        for other in unit.running:
            self._free(other)
        self.done[order.unit] = order.worker
        return [other for other in unit.running if other != order]

    def fail(self, order: Order, why: str) -> None:
        """A worker has not done a unit; the third time `failed` says so."""
        if not self._drop(order):
            return
        unit = self._open[order.unit]
        unit.reasons.append(f"{order.worker}: {why}")
        if len(unit.reasons) >= self._rules.attempts:
            self.failed = Failed(order.unit, tuple(unit.reasons))
        self._again(order.unit)

    def hanging(self, now: float) -> Failed | None:
        """A unit that as many workers as may try it are doing, all of them far too slowly.

        Where no other worker is left to try it, those that do get longer.
        """
        for number, unit in self._open.items():
            if not unit.running:
                continue
            most = len(unit.running) + len(unit.reasons) >= self._rules.attempts
            alone = unit.tried.issuperset(self._slots)
            if (most and self._is_slow(unit, now)) or (
                alone and self._is_slow(unit, now, self._rules.hopeless)
            ):
                slow = [
                    f"{order.worker}: no answer in {now - began:.0f} s"
                    for order, began in unit.running.items()
                ]
                return Failed(number, (*unit.reasons, *slow), hung=True)
        return None

    def _free_ones(self) -> list[str]:
        return [name for name, slots in self._slots.items() if self._busy[name] < slots]

    def _choice(self, free: list[str]) -> tuple[int, list[str]] | None:
        """The unit that has waited longest for one of the free workers, and who of them may do it.

        One that fails whatever it is given is soon free again: a unit that has failed there waits for others.
        """
        while self._waiting and self._waiting[0] not in self._open:
            self._waiting.popleft()
        for number in self._waiting:
            if number not in self._open:
                continue
            tried = self._open[number].tried
            able = free if tried.issuperset(self._slots) else [name for name in free if name not in tried]
            if able:
                return number, able
        return None

    def _is_slow(self, unit: _Unit, now: float, times: float = 1.0) -> bool:
        """Whether the worker that began last has had its time, so many times over."""
        took = now - max(unit.running.values(), default=now)
        if took <= times * self._rules.slow_after:
            return False
        rate = median(self._rates) if self._rates else self._rules.slowest
        return took > times * self._rules.slow_times * unit.size / rate

    def _order(self, number: int, free: list[str], now: float) -> Order:
        unit = self._open[number]
        # One that has not had it, and among those the one with most room.
        name = max(free, key=lambda each: (each not in unit.tried, self._slots[each] - self._busy[each]))
        self._attempts += 1
        order = Order(number, name, self._attempts)
        unit.running[order] = now
        unit.tried.add(name)
        self._busy[name] += 1
        return order

    def _drop(self, order: Order) -> bool:
        unit = self._open.get(order.unit)
        if unit is None or unit.running.pop(order, None) is None:
            return False
        self._free(order)
        return True

    def _free(self, order: Order) -> None:
        if self._busy[order.worker] > 0:
            self._busy[order.worker] -= 1

    def _again(self, number: int) -> None:
        if not self._open[number].running:
            self._waiting.append(number)
