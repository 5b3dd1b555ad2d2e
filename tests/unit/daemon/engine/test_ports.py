"""Which ports a container opens, and in which order."""

from __future__ import annotations

import pytest

from pydock_lab.daemon.engine.containers import ports
from pydock_lab.errors import InvalidParameter


def test_ports_that_are_named_come_before_those_that_are_found() -> None:
    """A port that is looked for could be the one that comes next."""
    host = {
        "PortBindings": {"80/tcp": [{"HostPort": ""}], "8080/tcp": [{"HostPort": "32771"}]},
        "PublishAllPorts": True,
    }
    wanted = ports.requested({"ExposedPorts": {"81/tcp": {}}}, host)
    assert [(b.host_port, b.container_port) for b in wanted] == [(32771, 8080), (0, 80), (0, 81)]


def test_any_protocol_is_exposed_and_three_are_published() -> None:
    assert ports.normalize("80/foo") == "80/foo"
    with pytest.raises(InvalidParameter, match="invalid proto: foo"):
        ports.check_bindings({"80/foo": []})
