"""Sizes, times and tables as Docker writes and reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydock_lab.client.commands import values
from pydock_lab.client.commands.container.list import displayed_ports
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table, align

TABLE = Table({"ID": "CONTAINER ID", "Names": "NAMES"}, ("ID", "Names"), "*formatter.imageContext")
ROWS = [{"ID": "abc", "Names": "web", "Size": "0B"}, {"ID": "defghijklmnopq", "Names": "db", "Size": "1B"}]


@pytest.mark.parametrize(
    ("text", "count"), [("64m", 64 << 20), ("1.5g", 3 << 29), ("10", 10), ("4kb", 4096), ("2GiB", 2 << 30), ("-1", -1)]
)
def test_sizes(text: str, count: int) -> None:
    assert values.size_bytes(text) == count


@pytest.mark.parametrize(("text", "count"), [("1m30s", 90e9), ("0", 0), ("1.5h", 5400e9), ("10ms", 1e7), ("-2s", -2e9)])
def test_durations(text: str, count: float) -> None:
    assert values.duration_ns(text) == count


@given(st.integers(0, 10**15))
def test_durations_read_what_go_writes(count: int) -> None:
    hours, rest = divmod(count, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    assert values.duration_ns(f"{hours}h{minutes}m{rest}ns") == count


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0B"), (999, "999B"), (1982000, "1.98MB"), (2046, "2.05kB"), (7.8e9, "7.8GB")]
)
def test_human_sizes(count: float, text: str) -> None:
    assert humanize.size(count) == text


def test_a_table_lines_up_as_tabwriter_does() -> None:
    assert TABLE.result(ROWS).text == "CONTAINER ID     NAMES\nabc              web\ndefghijklmnopq   db"
    assert align([["A", "B"], ["1", "2"]]) == "A         B\n1         2"


def test_formats() -> None:
    assert TABLE.result(ROWS, quiet=True).text == "abc\ndefghijklmnopq"
    assert TABLE.result(ROWS, template="{{.Names}}\\t{{.Size}}").text == "web\t0B\ndb\t1B"
    assert TABLE.result(ROWS, template="table {{.Names}}\\t{{.ID}}").text.splitlines()[:2] == [
        "NAMES     CONTAINER ID",
        "web       abc",
    ]
    assert TABLE.result(ROWS[:1], template="json").text == '{"ID":"abc","Names":"web","Size":"0B"}'
    with pytest.raises(CommandError) as caught:
        TABLE.result(ROWS, template="{{.Foo}}")
    assert caught.value.message == (
        'template parsing error: template: :1:2: executing "" at <.Foo>: '
        "can't evaluate field Foo in type *formatter.imageContext"
    )


def test_a_result_is_its_rows() -> None:
    result = TABLE.result(ROWS)
    assert len(result) == 2 and result[0]["NAMES"] == "web" and next(iter(result))["CONTAINER ID"] == "abc"
    assert result


def test_ports_are_shown_as_ranges() -> None:
    def port(private: int, public: int = 0, address: str = "") -> dict[str, object]:
        return {"PrivatePort": private, "Type": "tcp"} | ({"IP": address, "PublicPort": public} if public else {})

    assert displayed_ports([port(80, 8080, "0.0.0.0"), port(80, 8080, "::")]) == (
        "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    )
    assert displayed_ports([port(9002), port(9000), port(9001), port(6379)]) == "6379/tcp, 9000-9002/tcp"
    assert displayed_ports([port(80, 80, "0.0.0.0"), port(81, 81, "0.0.0.0")]) == "0.0.0.0:80-81->80-81/tcp"
