"""Which worker does which unit."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drkit.blobs.units.dispatch import Dispatch, Order, Rules

RULES = Rules(slow_after=10.0, slow_times=4.0, telling=1000)


def made(units: int, **workers: int) -> Dispatch:
    dispatch = Dispatch(RULES)
    for number in range(1, units + 1):
        dispatch.add(number, 1000)
    for name, slots in workers.items():
        dispatch.join(name, slots)
    return dispatch


def given(dispatch: Dispatch, now: float = 0.0) -> list[Order]:
    orders = []
    while (order := dispatch.next(now)) is not None:
        orders.append(order)
    return orders


def test_every_worker_gets_as_many_as_it_can_do() -> None:
    dispatch = made(5, one=1, two=2)
    orders = given(dispatch)
    assert sorted(order.worker for order in orders) == ["one", "two", "two"]
    assert [order.unit for order in orders] == [1, 2, 3]
    assert not dispatch.hungry
    dispatch.finish(orders[0], 1.0)
    (more,) = given(dispatch, 1.0)
    assert (more.unit, more.worker) == (4, orders[0].worker)


def test_the_units_of_a_lost_worker_go_elsewhere_and_what_it_has_done_stays_done() -> None:
    dispatch = made(3, one=1, two=1)
    first, second = given(dispatch)
    dispatch.finish(first, 1.0)
    (third,) = given(dispatch, 1.0)
    assert third.worker == first.worker
    assert dispatch.lose(first.worker, "it has gone") == [third]
    assert not dispatch.is_running(third)
    dispatch.finish(second, 2.0)
    (again,) = given(dispatch, 2.0)
    assert (again.unit, again.worker) == (third.unit, second.worker)
    dispatch.finish(again, 3.0)
    assert dispatch.is_whole
    assert dispatch.done == {first.unit: first.worker, second.unit: second.worker, 3: second.worker}


def test_a_unit_fails_for_good_the_third_time_with_all_reasons() -> None:
    dispatch = made(1, one=1, two=1)
    workers = []
    for number in range(3):
        assert dispatch.failed is None
        (order,) = given(dispatch)
        workers.append(order.worker)
        dispatch.fail(order, f"reason {number}")
    assert set(workers[:2]) == {"one", "two"}, "elsewhere first"
    assert dispatch.failed is not None
    assert dispatch.failed.unit == 1
    assert dispatch.failed.reasons == tuple(f"{name}: reason {n}" for n, name in enumerate(workers))
    assert not dispatch.is_whole


def test_a_worker_that_fails_at_everything_does_not_fail_the_run() -> None:
    dispatch = made(2, bad=1, good=1)
    orders = {order.worker: order for order in given(dispatch)}
    dispatch.fail(orders["bad"], "no right")
    # It would fail the same unit again and again, while the good one is busy.
    assert given(dispatch) == []
    assert dispatch.hungry, "what it has not tried it may have"
    dispatch.finish(orders["good"], 1.0)
    (again,) = given(dispatch, 1.0)
    assert (again.unit, again.worker) == (orders["bad"].unit, "good")


def test_a_slow_unit_is_given_to_a_second_worker_and_the_first_answer_counts() -> None:
    dispatch = made(2, one=1, two=1)
    slow, quick = given(dispatch)
    dispatch.finish(quick, 1.0)
    assert given(dispatch, 9.9) == []
    (second,) = given(dispatch, 10.1)
    assert (second.unit, second.worker) == (slow.unit, quick.worker)
    assert dispatch.finish(slow, 11.0) == [second], "nobody waits for the other"
    assert dispatch.is_whole
    assert dispatch.done[slow.unit] == slow.worker


def test_what_is_slow_goes_by_what_others_take() -> None:
    dispatch = made(2, one=1, two=1)
    slow, quick = given(dispatch)
    dispatch.finish(quick, 100.0)
    assert given(dispatch, 399.0) == []
    assert [order.unit for order in given(dispatch, 401.0)] == [slow.unit]


def test_units_without_bytes_say_nothing_of_how_long_others_take() -> None:
    dispatch = Dispatch(RULES)
    for number, size in enumerate((0, 999, 400 << 20), 1):
        dispatch.add(number, size)
    dispatch.join("one", 3)
    orders = given(dispatch)
    for order in orders[:2]:
        dispatch.finish(order, 5.0)
    dispatch.join("two", 1)
    assert given(dispatch, 399.0) == [], "4 MiB a second, four times over"
    assert [order.unit for order in given(dispatch, 401.0)] == [3]


def test_what_is_withdrawn_is_given_out_once_more_and_has_not_failed() -> None:
    dispatch = made(1, one=1, two=1)
    orders = [*given(dispatch), *given(dispatch, 11.0)]
    dispatch.fail(orders[0], "its canary has changed")
    assert dispatch.withdraw(1) == [orders[1]]
    assert not dispatch.is_running(orders[1])
    (again,) = given(dispatch, 12.0)
    dispatch.finish(again, 13.0)
    assert dispatch.is_whole
    assert dispatch.failed is None


def test_no_order_is_ever_given_twice() -> None:
    dispatch = made(1, one=1, two=1)
    (slow,) = given(dispatch)
    (second,) = given(dispatch, 11.0)
    dispatch.finish(second, 12.0)
    dispatch.set_aside(second.worker)
    for unit in dispatch.take_back(second.worker):
        dispatch.add(unit, 1000)
    (again,) = given(dispatch, 13.0)
    assert (again.unit, again.worker) == (slow.unit, slow.worker)
    assert not dispatch.is_running(slow), "its late answer is not the new one's"


def test_a_unit_on_which_three_workers_stand_still_fails() -> None:
    dispatch = made(1, one=1, two=1, three=1, four=1)
    now = 0.0
    orders = given(dispatch, now)
    for _ in range(2):
        now += 11.0
        assert dispatch.hanging(now) is None
        orders += given(dispatch, now)
    assert len({order.worker for order in orders}) == 3
    assert dispatch.hanging(now) is None
    assert given(dispatch, now + 11.0) == []
    failed = dispatch.hanging(now + 11.0)
    assert failed is not None
    assert len(failed.reasons) == 3
    assert failed.hung


def test_a_unit_on_which_the_only_worker_stands_still_fails() -> None:
    dispatch = made(1, one=1)
    (order,) = given(dispatch)
    assert given(dispatch, 49.0) == []
    assert dispatch.hanging(49.0) is None
    dispatch.join("two", 1)
    assert dispatch.hanging(51.0) is None, "there is somebody else"
    dispatch.lose("two", "it has gone")
    failed = dispatch.hanging(51.0)
    assert failed is not None
    assert failed.reasons == (f"{order.worker}: no answer in 51 s",)


def test_nothing_of_a_worker_that_is_set_aside_counts() -> None:
    dispatch = made(4, one=2, two=2)
    orders = given(dispatch)
    own = [order for order in orders if order.worker == "one"]
    dispatch.finish(own[0], 1.0)
    assert dispatch.set_aside("one") == [own[1]]
    assert dispatch.take_back("one") == [own[0].unit]
    dispatch.add(own[0].unit, 1000)
    dispatch.join("one", 2)
    assert dispatch.workers == {"two"}, "it does not come back"
    for order in orders:
        if order.worker == "two":
            dispatch.finish(order, 2.0)
    again = given(dispatch, 2.0)
    assert {order.unit for order in again} == {order.unit for order in own}
    for order in again:
        dispatch.finish(order, 3.0)
    assert dispatch.is_whole
    assert set(dispatch.done.values()) == {"two"}


class Runs(RuleBasedStateMachine):
    """Whatever happens to workers, each unit is waited for until a trusted worker has done it."""

    @initialize(units=st.integers(1, 8))
    def begin(self, units: int) -> None:
        self.dispatch = Dispatch(Rules(attempts=1000, slow_after=5.0))
        self.units = set(range(units))
        self.running: list[Order] = []
        self.liars: set[str] = set()
        self.now = 0.0
        for number in self.units:
            self.dispatch.add(number, 100)

    @rule(name=st.sampled_from("abcd"), slots=st.integers(1, 3))
    def join(self, name: str, slots: int) -> None:
        self.dispatch.join(name, slots)

    @rule(seconds=st.floats(0.1, 30))
    def give(self, seconds: float) -> None:
        self.now += seconds
        self.running += given(self.dispatch, self.now)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.running))
        self.running.remove(order)
        if self.dispatch.is_running(order):
            self.dispatch.finish(order, self.now)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.running))
        self.running.remove(order)
        self.dispatch.fail(order, "so it was")

    @rule(name=st.sampled_from("abcd"))
    def lose(self, name: str) -> None:
        self.dispatch.lose(name, "it has gone")

    @rule(name=st.sampled_from("ab"))
    def lie(self, name: str) -> None:
        self.liars.add(name)
        self.dispatch.set_aside(name)
        for unit in self.dispatch.take_back(name):
            self.dispatch.add(unit, 100)

    @invariant()
    def nothing_of_a_liar_counts(self) -> None:
        if hasattr(self, "dispatch"):
            assert not self.liars & set(self.dispatch.done.values())
            assert self.dispatch.is_whole == (set(self.dispatch.done) == self.units)

    def teardown(self) -> None:
        """With one good worker it always comes to an end."""
        if not hasattr(self, "dispatch"):
            return
        for name in "abcd":
            self.dispatch.lose(name, "it has gone")
        self.dispatch.join("good", 2)
        for _ in range(100):
            for order in given(self.dispatch, self.now):
                assert order.worker == "good"
                self.dispatch.finish(order, self.now)
        assert self.dispatch.is_whole


Runs.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRuns = Runs.TestCase
