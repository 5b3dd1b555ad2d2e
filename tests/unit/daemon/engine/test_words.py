"""Small languages of Docker's clients: signals, times, filters, sizes, durations, detach keys, names."""

from __future__ import annotations

import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.daemon.api.detachkeys import parse_detach_keys
from pydock_lab.daemon.engine import timestamps
from pydock_lab.daemon.engine.containers import signals
from pydock_lab.daemon.engine.containers.inspect import status_text
from pydock_lab.daemon.engine.containers.logconfig import parse_size
from pydock_lab.daemon.engine.containers.names import pick_name
from pydock_lab.daemon.engine.containers.record import State, rfc3339
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.restart import RestartPolicy
from pydock_lab.daemon.engine.timestamps import parse_time_ns
from pydock_lab.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "number"),
    [("SIGTERM", 15), ("kill", 9), ("9", 9), ("RTMIN+3", signal.SIGRTMIN + 3), ("SIGRTMAX-1", signal.SIGRTMAX - 1)],
)
def test_signals(text: str, number: int) -> None:
    assert signals.parse(text) == number


@pytest.mark.parametrize("text", ["", "SIGNOPE", "0", "-9", "RTMIN-9", "_DFL"])
def test_bad_signals(text: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid signal: "):
        signals.parse(text)


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("1700000000", 1_700_000_000_000_000_000),
        ("1700000000.000000001", 1_700_000_000_000_000_001),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000_500_000_000),
        ("2023-11-15T00:13:20+02:00", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13:20", 1_700_000_000_000_000_000),
        ("2023-11-14T22:13", 1_699_999_980_000_000_000),
        ("2023-11-14T22", 1_699_999_200_000_000_000),
        ("2023-11-14T22-02:00", 1_700_006_400_000_000_000),
        ("2023-11-14", 1_699_920_000_000_000_000),
        ("2023-11-14Z", 1_699_920_000_000_000_000),
    ],
)
def test_times(monkeypatch: pytest.MonkeyPatch, text: str, time_ns: int) -> None:
    monkeypatch.setattr(timestamps, "_local_offset_s", lambda: 0)
    assert parse_time_ns(text) == time_ns


def test_a_duration_is_before_now() -> None:
    before = time.time_ns()
    assert before - 90 * 10**9 <= parse_time_ns("1m30s") <= time.time_ns() - 90 * 10**9
    assert parse_time_ns("-1h") > before


def test_a_time_without_a_zone_is_the_daemon_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamps, "_local_offset_s", lambda: 3600)
    assert parse_time_ns("2023-11-14T23:13:20") == parse_time_ns("2023-11-14T22:13:20Z") == 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'failed to parse value as time or duration: ""'),
        ("yesterday", 'failed to parse value as time or duration: "yesterday"'),
        ("1x", 'failed to parse value as time or duration: "1x"'),
        ("2023-13-01", 'parsing time "2023-13-01": month out of range'),
        ("2023-02-30", 'parsing time "2023-02-30": day out of range'),
        ("2023-1-01", 'parsing time "2023-1-01" as "2006-01-02": cannot parse "1-01" as "01"'),
        ("2023-01-01x", 'parsing time "2023-01-01x": extra text: "x"'),
        ("2023-01-01T24:00:00Z", 'parsing time "2023-01-01T24:00:00Z": hour out of range'),
        ("2023-01-01.5", 'parsing time "2023-01-01.5" as "2006-01-02T15:04:05.999999999": cannot parse ".5" as "T"'),
    ],
)
def test_bad_times(text: str, message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_time_ns(text)
    assert caught.value.message == message


@given(st.integers(min_value=1, max_value=4 * 10**18))
def test_times_come_back(time_ns: int) -> None:
    assert parse_time_ns(rfc3339(time_ns)) == time_ns


def test_filters_in_both_spellings() -> None:
    old = Filters.parse('{"label": {"a=b": true}, "status": {"exited": true, "running": false}}')
    new = Filters.parse('{"label": ["a=b"], "status": ["exited"]}')
    for filters in (old, new):
        assert filters.values("status") == ["exited"]
        assert filters.labels({"a": "b"})
        assert not filters.labels({"a": "c"})


def test_a_filter_that_nobody_knows() -> None:
    with pytest.raises(InvalidParameter, match="invalid filter 'nope'"):
        Filters.parse('{"nope": ["x"]}').check(("label",))
    with pytest.raises(InvalidParameter, match="invalid filter"):
        Filters.parse("[1]")


def test_status() -> None:
    up = State(status="running", started_at_ns=10**9)
    assert status_text(up, now=11) == "Up 10 seconds"
    assert status_text(State(status="paused", started_at_ns=10**9), now=11) == "Up 10 seconds (Paused)"
    assert status_text(State(status="exited", exit_code=3, finished_at_ns=10**9), now=6) == "Exited (3) 5 seconds ago"
    assert status_text(State(), now=6) == "Created"
    healthy = State(status="running", started_at_ns=10**9, health={"Status": "healthy"})
    assert status_text(healthy, now=11) == "Up 10 seconds (healthy)"


@pytest.mark.parametrize(
    ("text", "size"),
    [("10m", 10 << 20), ("1g", 1 << 30), ("512k", 512 << 10), ("7", 7), ("1.5kb", 1536), ("2MiB", 2 << 20)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-a", b"\x01"), ("a,b", b"ab"), ("ctrl-\\,x", b"\x1cx"), ("ctrl-@", b"\0")],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    assert parse_detach_keys(text) == keys


def test_bad_detach_keys() -> None:
    with pytest.raises(InvalidParameter, match="Unknown character: 'ctrl-%'"):
        parse_detach_keys("ctrl-%")


def test_names_avoid_those_that_are_taken() -> None:
    taken: set[str] = set()
    for _ in range(500):
        name = pick_name(lambda name: name not in taken)
        assert name not in taken
        taken.add(name)


def test_back_off_doubles_and_starts_anew() -> None:
    policy = RestartPolicy({"Name": "always"})
    delays = [policy.delay_after(1, 0.1, n, stopped_by_hand=False) for n in range(12)]
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == 60
    assert policy.delay_after(0, 11, 12, stopped_by_hand=False) == 0.1
    assert policy.delay_after(0, 1, 13, stopped_by_hand=True) is None


def test_on_failure_counts() -> None:
    policy = RestartPolicy({"Name": "on-failure", "MaximumRetryCount": 2})
    assert policy.delay_after(0, 1, 0, stopped_by_hand=False) is None
    assert policy.delay_after(1, 1, 1, stopped_by_hand=False) is not None
    assert policy.delay_after(1, 1, 2, stopped_by_hand=False) is None


def test_who_starts_with_the_daemon() -> None:
    def starts(name: str, exit_code: int, restarts: int = 0, *, by_hand: bool = False, retries: int = 0) -> bool:
        policy = RestartPolicy({"Name": name, "MaximumRetryCount": retries})
        return policy.starts_with_daemon(exit_code, restarts, stopped_by_hand=by_hand)

    assert starts("always", 0, by_hand=True)
    assert starts("unless-stopped", 0)
    assert not starts("unless-stopped", 0, by_hand=True)
    assert starts("on-failure", 137, by_hand=True)
    assert not starts("on-failure", 0)
    assert not starts("on-failure", 1, restarts=2, retries=2)
    assert not starts("no", 1)
