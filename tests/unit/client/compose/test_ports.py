"""Short forms of ports, volumes and units."""

from __future__ import annotations

import pytest

from pydock_lab.client.compose import units
from pydock_lab.client.compose.ports import parse_port
from pydock_lab.client.compose.volume_spec import parse_volume


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("", "", 80, "tcp")]),
        (80, [("", "", 80, "tcp")]),
        ("8080:80/udp", [("", "8080", 80, "udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", "8080", 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", "", 80, "tcp")]),
        ("[::1]:5:6", [("::1", "5", 6, "tcp")]),
        ("9000-9001:80-81", [("", "9000", 80, "tcp"), ("", "9001", 81, "tcp")]),
        ("9000-9009:80", [("", "9000-9009", 80, "tcp")]),
    ],
)
def test_ports(text: str, expected: list[tuple[str, str, int, str]]) -> None:
    found = [
        (one.get("host_ip", ""), one.get("published", ""), one["target"], one["protocol"]) for one in parse_port(text)
    ]
    assert found == expected


@pytest.mark.parametrize("text", ["a:b", "80:", "80/icmp", "90-80:1-2", "1-3:1-2", "70000"])
def test_wrong_ports(text: str) -> None:
    with pytest.raises(ValueError):
        parse_port(text)


def test_volumes() -> None:
    assert parse_volume("data:/d:ro,nocopy") == {
        "type": "volume",
        "source": "data",
        "target": "/d",
        "read_only": True,
        "volume": {"nocopy": True},
    }
    assert parse_volume("./x:/x:z,rshared") == {
        "type": "bind",
        "source": "./x",
        "target": "/x",
        "bind": {"create_host_path": True, "selinux": "z", "propagation": "rshared"},
    }
    assert parse_volume("/anonymous") == {"type": "volume", "target": "/anonymous", "volume": {}}
    with pytest.raises(ValueError):
        parse_volume("a::b")


def test_units() -> None:
    assert [units.size_bytes(one) for one in ("64m", "1.5gb", "10", 7, "2KiB", "-1")] == [
        67108864,
        1610612736,
        10,
        7,
        2048,
        -1,
    ]
    assert [
        units.duration_text(units.duration_ns(one)) for one in ("90s", "1h", "1.5s", "200ms", "1m30s", "0", "1d")
    ] == ["1m30s", "1h0m0s", "1.5s", "200ms", "1m30s", "0s", "24h0m0s"]
    with pytest.raises(ValueError):
        units.duration_ns("10")
