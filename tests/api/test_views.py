"""What the compose view and the network map read: of our engine and, where it can be told, of a real Docker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydock_lab.client.connection import Connection
from pydock_lab.notebook.views import network_map, projects
from tests.api.conftest import Engines
from tests.api.test_compose import Project
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

FILE = """
name: seen
services:
  db:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["data:/data", "./conf:/conf:ro", "/anonymous"]
    networks: [back]
    healthcheck: {test: "true", interval: 100ms}
  web:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    scale: 2
    depends_on: {db: {condition: service_healthy}}
    networks: [back, front]
  once: {image: busybox, command: "false", networks: [front]}
networks: {back: {internal: true}, front: }
volumes: {data: }
"""


@pytest.fixture
def no_other_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    yield


def connected(engine: Daemon) -> Connection:
    return Connection(environment=os.environ | {"DOCKER_HOST": engine.host})


def test_a_project_is_seen_alike_on_both_engines(engines: Engines, tmp_path: Path, no_other_engine: None) -> None:
    seen = []
    (tmp_path / "conf").mkdir()
    for engine in engines:
        project = Project(engine, tmp_path)
        project.write(FILE)
        project.run("up", "-d")
        try:
            engine.docker("wait", "seen-once-1")
            document = projects.read(connected(engine), "seen")
            assert projects.draw(document).summary == "seen: 3 services, 3 of 4 containers running"
        finally:
            project.run("down", "-v", "-t", "0")
        for network in document["networks"]:
            assert network.pop("subnet")
        for service in document["services"]:
            service["containers"] = sorted((one["name"], one["state"], one["health"]) for one in service["containers"])
        seen.append(document)
    assert seen[0] == seen[1]
    db, once, web = seen[0]["services"]
    assert db["volumes"] == ["./conf → /conf", "data → /data"]
    assert db["containers"] == [("seen-db-1", "running", "healthy")]
    assert web["needs"] == {"db": "healthy"}
    assert (web["networks"], once["networks"]) == (["back", "front"], ["front"])
    assert seen[0]["networks"] == [{"name": "back", "internal": True}, {"name": "front", "internal": False}]


def test_the_map_shows_cables_and_the_way_to_a_port(daemon: Daemon, busybox: str, no_other_engine: None) -> None:
    daemon.docker("network", "create", "mapped")
    daemon.docker("run", "-d", "--name", "mapped-web", "--network", "mapped", "-p", "127.0.0.1::80", busybox, "sleep",
                  "1000")  # fmt: skip
    try:
        document = network_map.read(connected(daemon))
        inside, outside = document["links"]["mapped/mapped-web"].split(", ")
        assert inside == "eth0"
        assert Path(f"/sys/class/net/{outside}/master").resolve().name == document["links"]["mapped"]
        drawn = network_map.draw(document)
        assert outside in drawn.html
        assert "The way to 127.0.0.1:" in drawn.html
        port = daemon.docker("port", "mapped-web", "80").stdout.strip().rpartition(":")[2]
        assert f"1. socket: A program on this host connects to 127.0.0.1, port {port}/tcp" in drawn.plain
        assert "Who reaches whom" in drawn.html
    finally:
        daemon.docker("rm", "-f", "mapped-web")
        daemon.docker("network", "rm", "mapped")


def test_the_map_of_a_real_docker_is_what_its_api_tells(engines: Engines, no_other_engine: None) -> None:
    document = network_map.read(connected(engines.docker))
    assert document["kernel"] == {}
    assert "bridge (bridge)" in network_map.draw(document).plain
