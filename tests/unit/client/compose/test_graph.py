"""Work in the order of a graph, many at a time."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.compose.graph import Cancellation, Cancelled, visit


@given(
    st.integers(1, 12).flatmap(
        lambda count: st.tuples(st.just(count), st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))))
    )
)
def test_each_after_what_it_comes_after(drawn: tuple[int, set[tuple[int, int]]]) -> None:
    count, edges = drawn
    names = [str(number) for number in range(count)]
    after = {name: [str(low) for high, low in edges if high == int(name) and low < high] for name in names}
    done: list[str] = []
    visit(names, after, done.append, Cancellation(), width=4)
    assert sorted(done) == sorted(names)
    for name, needed in after.items():
        assert all(done.index(one) < done.index(name) for one in needed if one in names)


def test_independent_work_runs_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=10)
    visit("abc", {}, lambda _: print(meeting.wait()), Cancellation())


def test_the_first_failure_stops_what_waits_and_what_has_not_begun() -> None:
    cancellation = Cancellation()
    begun: list[str] = []

    def work(name: str) -> None:
        begun.append(name)
        if name == "bad":
            raise ValueError(name)
        cancellation.pause(30)

    with pytest.raises(ValueError, match="bad"):
        visit(["bad", "waits", "later"], {"later": ["bad"]}, work, cancellation)
    assert "later" not in begun
    with pytest.raises(Cancelled):
        cancellation.check()
