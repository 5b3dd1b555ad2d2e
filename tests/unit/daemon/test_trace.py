"""The trace remembers so much and no more."""

from __future__ import annotations

from pydock_lab.daemon.trace import Trace


def test_the_oldest_is_forgotten() -> None:
    trace = Trace(capacity=3)
    for number in range(5):
        trace.emit("engine", "x", str(number))
    assert [event.subject for event in trace.select()] == ["2", "3", "4"]
    assert [event.subject for event in trace.select(since_seq=4)] == ["4"]


def test_a_launch_weighs_as_much_as_its_steps() -> None:
    trace = Trace(capacity=10)
    for number in range(4):
        trace.emit("runtime", "container.launched", str(number), steps=[{}] * 4)
    assert [event.subject for event in trace.select()] == ["2", "3"]
    trace.emit("runtime", "container.launched", "huge", steps=[{}] * 40)
    assert [event.subject for event in trace.select()] == ["huge"]
