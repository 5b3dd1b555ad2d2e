"""ping, version, info, events, disk usage, and what this engine says it is not."""

from __future__ import annotations

import docker
import pytest

from tests.api.wire import Wire
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.47"])
def test_ping(wire: Wire, method: str, prefix: str) -> None:
    wire.send(method, f"{prefix}/_ping", "Connection: close")
    head = wire.head()
    assert head[0] == "HTTP/1.1 200 OK"
    headers = {line.split(": ")[0].lower(): line.split(": ")[1] for line in head[1:]}
    assert headers["api-version"] == "1.47"
    assert headers["ostype"] == "linux"
    assert headers["docker-experimental"] == "false"
    assert headers["cache-control"] == "no-cache, no-store, must-revalidate"
    assert wire.rest() == (b"OK" if method == "GET" else b"")


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.47"),
        ("1.12", "client version 1.12 is too old. Minimum supported API version is 1.24"),
    ],
)
def test_versions_out_of_range(wire: Wire, version: str, message: str) -> None:
    wire.send("GET", f"/v{version}/info", "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 400 Bad Request"
    assert message in wire.rest().decode()


def test_version_and_info(daemon: Daemon, client: docker.DockerClient) -> None:
    version = client.version()
    assert (version["ApiVersion"], version["MinAPIVersion"], version["Os"]) == ("1.47", "1.24", "linux")
    info = client.info()
    assert info["DockerRootDir"] == str(daemon.data_root)
    assert info["Driver"] == "overlay2"
    assert info["Containers"] == info["ContainersRunning"] + info["ContainersPaused"] + info["ContainersStopped"]
    for command in (("version",), ("info",)):
        assert daemon.docker(*command).returncode == 0


def test_events_of_a_run_in_docker_s_order(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    since = client.info()["SystemTime"]
    daemon.docker("run", "--rm", "--name", "told", busybox, "sh", "-c", "exit 3")
    events = client.events(decode=True, since=since, until=client.info()["SystemTime"])
    told = [(event["Type"], event["Action"], event["Actor"]["Attributes"]) for event in events]
    assert [(kind, action) for kind, action, _ in told] == [
        ("container", "create"), ("container", "attach"), ("network", "connect"), ("container", "start"),
        ("container", "die"), ("network", "disconnect"), ("container", "destroy"),
    ]  # fmt: skip
    died = told[4][2]
    assert (died["name"], died["image"], died["exitCode"]) == ("told", busybox, "3")


def test_events_filters(client: docker.DockerClient, busybox: str) -> None:
    since = client.info()["SystemTime"]
    client.containers.run(busybox, "true", name="x1", labels={"k": "v"}, remove=True)
    client.containers.run(busybox, "true", name="x2", remove=True)
    until = client.info()["SystemTime"]

    def told(**filters: str) -> list[tuple[str, str]]:
        events = client.events(decode=True, since=since, until=until, filters=filters)
        return [(event["Action"], event["Actor"]["Attributes"].get("name", "")) for event in events]

    assert told(container="x2", event="die") == [("die", "x2")]
    assert {name for _, name in told(label="k=v")} == {"x1"}
    assert {action for action, _ in told(type="network")} == {"connect", "disconnect"}
    assert {name for _, name in told(image=busybox, type="container")} == {"x1", "x2"}


def test_disk_usage(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.run(busybox, ["sh", "-c", "echo 12345 > /made"], detach=True)
    container.wait()
    usage = client.df()
    [entry] = [one for one in usage["Containers"] if one["Id"] == container.id]
    assert entry["SizeRw"] == 6
    assert entry["SizeRootFs"] > 6
    assert usage["LayersSize"] > 0
    assert any(image["Containers"] == 1 for image in usage["Images"])
    assert daemon.docker("system", "df", "-v").returncode == 0
    container.remove()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("node", "ls"), "This node is not a swarm manager"),
        (("service", "ls"), "This node is not a swarm manager"),
        (("swarm", "init"), "swarm mode is not supported"),
        (("swarm", "leave"), "This node is not part of a swarm"),
        (("plugin", "install", "x"), "plugins are not supported"),
    ],
)
def test_what_it_is_not(daemon: Daemon, command: tuple[str, ...], message: str) -> None:
    done = daemon.docker(*command, stdin="y\n")
    assert done.returncode != 0
    assert message in done.stderr


def test_an_unknown_page(wire: Wire) -> None:
    wire.send("GET", "/nonsense", "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 404 Not Found"
    assert b"page not found" in wire.rest()


@pytest.mark.parametrize("path", ["/", "/v1.41/containers/json", "/nonsense"])
def test_options_of_any_path(wire: Wire, path: str) -> None:
    wire.send("OPTIONS", path, "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 200 OK"
    assert wire.rest() == b""


def test_networks_are_listed_with_a_slash_as_well(wire: Wire) -> None:
    wire.send("GET", "/v1.41/networks/", "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 200 OK"
    assert b'"bridge"' in wire.rest()
