"""`/networks` through docker-py, the docker CLI and by hand: Docker's documents, statuses and words."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from tests.api.wire import Wire
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def networks(client: docker.DockerClient) -> Iterator[Any]:
    """The collection; networks that a test made are gone afterwards."""
    before = {network.id for network in client.networks.list()}
    yield client.networks
    for network in client.networks.list():
        if network.id not in before:
            network.remove()


@pytest.fixture
def sleeper(client: docker.DockerClient, busybox: str) -> Iterator[Any]:
    """A running container on the default bridge."""
    container = client.containers.run(busybox, ["sleep", "1000"], detach=True)
    yield container
    container.remove(force=True)


def refused(call: Any, *arguments: Any, **keywords: Any) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    with pytest.raises(docker.errors.APIError) as error:
        call(*arguments, **keywords)
    return error.value.status_code, error.value.explanation


def test_three_networks_are_there_from_the_start(daemon: Daemon, networks: Any) -> None:
    found = {network.name: network.attrs["Driver"] for network in networks.list()}
    assert {"bridge": "bridge", "host": "host", "none": "null"}.items() <= found.items()
    listed = daemon.docker("network", "ls", "--filter", "type=builtin", "--format", "{{.Name}} {{.Scope}}").stdout
    assert listed.splitlines() == ["bridge local", "host local", "none local"]


def test_create_with_everything(networks: Any) -> None:
    pool = IPAMPool(
        subnet="10.213.0.0/16", iprange="10.213.7.0/24", gateway="10.213.0.1", aux_addresses={"printer": "10.213.7.5"}
    )
    network = networks.create(
        "everything",
        driver="bridge",
        options={"com.docker.network.driver.mtu": "1400"},
        ipam=IPAMConfig(pool_configs=[pool]),
        internal=True,
        labels={"course": "docker"},
        attachable=True,
    )
    attrs = networks.get(network.id[:12]).attrs
    assert attrs["IPAM"]["Config"] == [
        {
            "Subnet": "10.213.0.0/16",
            "IPRange": "10.213.7.0/24",
            "Gateway": "10.213.0.1",
            "AuxiliaryAddresses": {"printer": "10.213.7.5"},
        }
    ]
    assert (attrs["Internal"], attrs["Attachable"], attrs["Labels"]) == (True, True, {"course": "docker"})
    assert attrs["Options"] == {"com.docker.network.driver.mtu": "1400"}
    assert [found.name for found in networks.list(filters={"label": "course=docker"})] == ["everything"]


def test_create_refusals(networks: Any) -> None:
    networks.create("twice")
    assert refused(networks.create, "twice") == (409, "network with name twice already exists")
    assert refused(networks.create, "x", driver="nosuch") == (404, 'plugin "nosuch" not found')
    assert refused(networks.create, "host")[0] == 403
    overlapping = networks.get("twice").attrs["IPAM"]["Config"][0]["Subnet"]
    ipam = IPAMConfig(pool_configs=[IPAMPool(subnet=overlapping)])
    assert refused(networks.create, "x", ipam=ipam) == (403, "Pool overlaps with other one on this address space")


def test_remove_refusals(networks: Any, sleeper: Any) -> None:
    message = "bridge is a pre-defined network and cannot be removed"
    assert refused(networks.client.api.remove_network, "bridge") == (403, message)
    assert refused(networks.client.api.remove_network, "nosuch") == (404, "network nosuch not found")
    used = networks.create("used")
    used.connect(sleeper)
    message = f"error while removing network: network used id {used.id} has active endpoints"
    assert refused(used.remove) == (403, message)
    used.disconnect(sleeper)


def test_connect_and_disconnect_a_running_container(networks: Any, sleeper: Any) -> None:
    network = networks.create("extra", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.214.0.0/24")]))
    network.connect(sleeper, ipv4_address="10.214.0.77", aliases=["db"])
    sleeper.reload()
    settings = sleeper.attrs["NetworkSettings"]["Networks"]["extra"]
    assert (settings["IPAddress"], settings["IPPrefixLen"], settings["Gateway"]) == ("10.214.0.77", 24, "10.214.0.1")
    assert settings["MacAddress"] == "02:42:0a:d6:00:4d"
    assert "db" in settings["Aliases"]
    assert "10.214.0.77/24" in sleeper.exec_run("ip -4 addr show eth1").output.decode()
    assert "10.214.0.77" in sleeper.exec_run("cat /etc/hosts").output.decode()
    network.reload()
    assert network.attrs["Containers"][sleeper.id]["IPv4Address"] == "10.214.0.77/24"
    assert refused(network.connect, sleeper) == (
        403,
        f"endpoint with name {sleeper.name} already exists in network extra",
    )
    network.disconnect(sleeper)
    assert "eth1" not in sleeper.exec_run("ip addr").output.decode()
    assert "eth0" in sleeper.exec_run("ip addr").output.decode()
    assert refused(network.disconnect, sleeper) == (
        500,
        f"container {sleeper.id} is not connected to network extra",
    )


def test_connection_of_a_stopped_container_counts_at_its_start(
    client: docker.DockerClient, networks: Any, busybox: str
) -> None:
    network: Network = networks.create("later")
    container = client.containers.create(busybox, ["ip", "addr"])
    try:
        network.connect(container)
        container.start()
        assert container.wait()["StatusCode"] == 0
        shown = container.logs().decode()
        assert "eth0" in shown
        assert "eth1" in shown
    finally:
        container.remove(force=True)


def test_published_port_moves_to_the_network_that_is_left(
    client: docker.DockerClient, networks: Any, busybox: str
) -> None:
    network = networks.create("left-over")
    container = client.containers.run(busybox, ["sleep", "1000"], detach=True, ports={"80/tcp": None})
    try:
        network.connect(container)
        container.reload()
        before = container.ports["80/tcp"]
        networks.get("bridge").disconnect(container)
        container.reload()
        assert container.ports["80/tcp"] == before
        network.disconnect(container)
    finally:
        container.remove(force=True)


def test_ports_are_published_where_the_network_says(client: docker.DockerClient, networks: Any, busybox: str) -> None:
    networks.create("hidden", options={"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1"})
    ports = {"80/tcp": None, "81/tcp": ("0.0.0.0", None)}
    container = client.containers.run(busybox, ["sleep", "1000"], detach=True, network="hidden", ports=ports)
    try:
        container.reload()
        assert [one["HostIp"] for one in container.ports["80/tcp"]] == ["127.0.0.1"]
        assert [one["HostIp"] for one in container.ports["81/tcp"]] == ["0.0.0.0"]
    finally:
        container.remove(force=True)


def test_connect_refusals(client: docker.DockerClient, networks: Any, busybox: str, sleeper: Any) -> None:
    api = client.api
    network = networks.create("some")
    assert refused(api.connect_container_to_network, "nosuch", network.id) == (404, "No such container: nosuch")
    assert refused(api.connect_container_to_network, sleeper.id, "nosuch") == (404, "network nosuch not found")
    host = "container cannot be disconnected from host network or connected to host network"
    assert refused(api.connect_container_to_network, sleeper.id, "host") == (400, host)
    message = "user specified IP address is supported only when connecting to networks with user configured subnets"
    assert refused(network.connect, sleeper, ipv4_address="10.1.2.3") == (400, message)
    lonely = client.containers.create(busybox, ["true"], network_mode="none")
    try:
        assert refused(network.connect, lonely)[0] == 400
    finally:
        lonely.remove()


def test_prune_spares_what_is_used(networks: Any, sleeper: Any) -> None:
    used, unused = networks.create("used"), networks.create("unused")
    used.connect(sleeper)
    assert networks.prune()["NetworksDeleted"] == ["unused"]
    assert refused(unused.reload)[0] == 404
    used.disconnect(sleeper)
    assert networks.prune(filters={"label": "nobody-has-it"})["NetworksDeleted"] is None


def test_filters(daemon: Daemon, networks: Any) -> None:
    made = networks.create("filtered-one")
    networks.create("filtered-two")
    assert {n.name for n in networks.list(names=["filtered"])} == {"filtered-one", "filtered-two"}
    assert [n.name for n in networks.list(ids=[made.id[:20]])] == ["filtered-one"]
    assert "filtered-one" in {n.name for n in networks.list(filters={"dangling": True})}
    assert refused(networks.list, filters={"type": "foo"})[0] == 400
    assert refused(networks.list, filters={"foo": "bar"}) == (400, "invalid filter 'foo'")
    assert daemon.docker("network", "ls", "-q", "--filter", "name=filtered-t").stdout.strip()


def test_events(client: docker.DockerClient, sleeper: Any) -> None:
    with contextlib.closing(client.events(decode=True, filters={"type": "network"})) as events:
        network = client.networks.create("eventful")
        network.connect(sleeper)
        network.disconnect(sleeper)
        network.remove()
        seen = [next(events) for _ in range(4)]
    assert [event["Action"] for event in seen] == ["create", "connect", "disconnect", "destroy"]
    assert {event["Actor"]["ID"] for event in seen} == {network.id}
    assert seen[1]["Actor"]["Attributes"] == {"container": sleeper.id, "name": "eventful", "type": "bridge"}


def test_malformed_requests(client: docker.DockerClient) -> None:
    api = client.api
    create = api._url("/networks/create")
    for body, kind, message in (
        (b"{", "application/json", "invalid JSON: unexpected EOF"),
        (
            b'{"Name": 5}',
            "application/json",
            "invalid JSON: json: cannot unmarshal number into Go struct field NetworkCreate.Name of type string",
        ),
        (b"{}", "text/plain", "Content-Type specified (text/plain) must be 'application/json'"),
    ):
        answer = api.post(create, data=body, headers={"Content-Type": kind})
        assert (answer.status_code, json.loads(answer.text)["message"]) == (400, message)


def test_network_of_another_scope(client: docker.DockerClient) -> None:
    assert refused(client.api.inspect_network, "bridge", scope="swarm") == (404, "network bridge not found")


def test_what_a_container_in_another_ones_network_can_not_have(daemon: Daemon, sleeper: Any) -> None:
    for flags, message in (
        (["-h", "name"], "hostname and the network mode"),
        (["--dns", "192.0.2.1"], "dns and the network mode"),
        (["--add-host", "a:192.0.2.1"], "custom host-to-IP mapping and the network mode"),
        (["-P"], "port publishing and the container type network mode"),
        (["--expose", "80"], "port exposing and the container type network mode"),
        (["--link", sleeper.name], "container type network can't be used with links. This would result in undefined"),
    ):
        done = daemon.docker("run", "--rm", "--net", f"container:{sleeper.id}", *flags, "busybox", "true")
        assert (done.returncode, f"conflicting options: {message}" in done.stderr) == (125, True), done.stderr


def test_forced_disconnect_of_a_container_that_is_gone(client: docker.DockerClient, networks: Any) -> None:
    network = networks.create("left-behind")
    assert refused(client.api.disconnect_container_from_network, "nosuch", network.id, force=True) == (
        404,
        "endpoint nosuch not found",
    )


def test_a_containers_own_mac_address_comes_back_with_its_first_network(
    daemon: Daemon, wire: Wire, busybox: str
) -> None:
    """Compose 1 takes a new container off its network and puts it back with aliases."""
    mac = "02:42:c0:a8:37:11"
    try:
        assert daemon.docker("network", "create", "first").returncode == 0
        # A client of that time has the address in the container's config, not in the endpoint's.
        asked = {"Image": busybox, "Cmd": ["sleep", "60"], "MacAddress": mac, "HostConfig": {"NetworkMode": "first"}}
        wire.send("POST", "/v1.38/containers/create?name=addressed", body=json.dumps(asked).encode())
        assert " 201 " in wire.head()[0]
        assert daemon.docker("network", "disconnect", "first", "addressed").returncode == 0
        assert daemon.docker("network", "connect", "--alias", "a", "first", "addressed").returncode == 0
        assert daemon.docker("start", "addressed").returncode == 0
        shown = daemon.docker("exec", "addressed", "cat", "/sys/class/net/eth0/address")
        assert shown.stdout.strip() == mac
    finally:
        daemon.docker("rm", "-f", "addressed")
        daemon.docker("network", "rm", "first")


def test_sctp_is_refused_as_docker_does_on_a_kernel_without_it(daemon: Daemon, busybox: str) -> None:
    done = daemon.docker("run", "--rm", "--name", "sctp", "-p", "127.0.0.1:7779:80/sctp", busybox, "true")
    assert done.returncode == 125
    assert "driver failed programming external connectivity on endpoint sctp" in done.stderr
    assert "Error starting userland proxy: protocol not supported" in done.stderr
    daemon.docker("rm", "-f", "sctp")


def test_an_interface_that_left_does_not_lend_its_name_to_the_next(daemon: Daemon, busybox: str) -> None:
    """eth1 stays where it is; what comes after is eth2, then eth3; a restart counts from 0 (as dockerd does)."""

    def links() -> str:
        return " ".join(daemon.docker("exec", "ifnames", "ls", "/sys/class/net").stdout.split())

    try:
        for network in ("ifnames-a", "ifnames-b"):
            daemon.docker("network", "create", network)
        daemon.docker("run", "-d", "--name", "ifnames", "--network", "ifnames-a", busybox, "sleep", "1000")
        daemon.docker("network", "connect", "ifnames-b", "ifnames")
        daemon.docker("network", "disconnect", "ifnames-a", "ifnames")
        daemon.docker("network", "connect", "ifnames-a", "ifnames")
        assert links() == "eth1 eth2 lo"
        for network in ("ifnames-a", "ifnames-b"):
            daemon.docker("network", "disconnect", network, "ifnames")
        daemon.docker("network", "connect", "ifnames-b", "ifnames")
        assert links() == "eth3 lo"
        daemon.docker("restart", "-t", "0", "ifnames")
        assert links() == "eth0 lo"
    finally:
        daemon.docker("rm", "-f", "ifnames")
        daemon.docker("network", "rm", "ifnames-a", "ifnames-b")
