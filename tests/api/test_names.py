"""Names of containers: the embedded name server asked from inside, and links on the default bridge."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import EndpointConfig, IPAMConfig, IPAMPool

from tests.conftest import Daemon, start_daemon
from tests.name_server import name_server

ASK = """
import socket, struct, sys
name, kind, transport = sys.argv[1], int(sys.argv[2]), sys.argv[3]
labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\\0" + struct.pack("!HH", kind, 1)
if transport == "tcp":
    server = socket.create_connection(("127.0.0.11", 53), 5)
    server.sendall(struct.pack("!H", len(query)) + query)
    stream = server.makefile("rb")
    answer = stream.read(struct.unpack("!H", stream.read(2))[0])
else:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.settimeout(10)
    server.connect(("127.0.0.11", 53))
    server.send(query)
    answer = server.recv(4096)
code, count, at = answer[3] & 15, struct.unpack_from("!H", answer, 6)[0], len(query)
found = []
for _ in range(count):
    length, = struct.unpack_from("!H", answer, at + 10)
    data = answer[at + 12:at + 12 + length]
    family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(length)
    found.append(socket.inet_ntop(family, data) if kind in (1, 28) else data.hex())
    at += 12 + length
print(code, *sorted(found))
"""
OWN_SERVER = """
import socket
for kind, option in ((socket.SOCK_STREAM, socket.SO_REUSEPORT), (socket.SOCK_DGRAM, socket.SO_REUSEADDR)):
    server = socket.socket(socket.AF_INET, kind)
    server.setsockopt(socket.SOL_SOCKET, option, 1)
    server.bind(("0.0.0.0", 53))
    if kind == socket.SOCK_STREAM:
        server.listen()
        kept = server
print("listening", flush=True)
print(server.recv(100).decode().strip(), flush=True)
input()
"""
A, PTR, AAAA = 1, 12, 28


@pytest.fixture
def lab(client: docker.DockerClient, busybox: str) -> Iterator[Lab]:
    laboratory = Lab(client, busybox)
    try:
        yield laboratory
    finally:
        laboratory.clear()


class Lab:
    """Networks and sleeping containers of one test."""

    def __init__(self, client: docker.DockerClient, image: str) -> None:
        self.client, self.image = client, image
        self._containers: list[Any] = []
        self._networks: list[Any] = []

    def network(self, name: str, **options: Any) -> Any:
        self._networks.append(self.client.networks.create(name, **options))
        return self._networks[-1]

    def run(self, network: str, name: str, **options: Any) -> Any:
        aliases = options.pop("aliases", None)
        config = {network: EndpointConfig("1.47", aliases=aliases)} if aliases else None
        container = self.client.containers.run(
            self.image, ["sleep", "1000"], detach=True, name=name, network=network, networking_config=config, **options
        )
        container.reload()
        self._containers.append(container)
        return container

    def clear(self) -> None:
        for container in self._containers:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)
        for network in self._networks:
            network.remove()


def ask(container: Any, name: str, kind: int = A, transport: str = "udp") -> str:
    """Ask a container's name server; return the response code and what was found."""
    container.reload()
    inside = ["nsenter", "-n", "-t", str(container.attrs["State"]["Pid"])]
    return subprocess.run(
        [*inside, sys.executable, "-c", ASK, name, str(kind), transport], capture_output=True, text=True, check=True
    ).stdout.strip()


def address(container: Any, network: str) -> str:
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"][network]["IPAddress"])


def test_every_name_of_a_container(lab: Lab) -> None:
    lab.network("names")
    web = lab.run("names", "Web-1", aliases=["www", "Shop"], hostname="front")
    other = lab.run("names", "other")
    expected = f"0 {address(web, 'names')}"
    for name in ("web-1", "WEB-1", "www", "shop", "front", web.id[:12], "web-1.names", "www.names"):
        assert ask(other, name) == expected, name
        assert ask(other, name, transport="tcp") == expected, name
        assert ask(other, name, AAAA) == "0", "no address of that family is no error"
    assert ask(web, "other") == f"0 {address(other, 'names')}"
    trace = lab.client.api.get(f"{lab.client.api.base_url}/lab/containers/{other.id}/trace").json()
    told = [event["data"]["name"] for event in trace if event["kind"] == "name.resolved"]
    once_each = ["web-1", "www", "shop", "front", web.id[:12], "web-1.names", "www.names"]
    assert sorted(told) == sorted(once_each)
    settings = web.attrs["NetworkSettings"]["Networks"]["names"]
    assert settings["DNSNames"] == ["Web-1", "www", "Shop", web.id[:12], "front"]
    backwards = ".".join(reversed(address(web, "names").split(".")))
    assert ask(other, f"{backwards}.in-addr.arpa", PTR) == "0 " + b"\5Web-1\5names\0".hex()


def test_a_service_has_the_addresses_of_all_its_containers(lab: Lab) -> None:
    lab.network("service")
    backends = [lab.run("service", f"backend-{number}", aliases=["backend"]) for number in range(3)]
    asking = lab.run("service", "asking")
    assert ask(asking, "backend") == " ".join(["0", *sorted(address(one, "service") for one in backends)])
    backends[0].remove(force=True)
    assert ask(asking, "backend") == " ".join(["0", *sorted(address(one, "service") for one in backends[1:])])


def test_names_follow_connect_disconnect_and_rename(lab: Lab) -> None:
    first, second = lab.network("first"), lab.network("second", driver="bridge")
    one, two = lab.run("first", "one"), lab.run("second", "two")
    assert ask(one, "two")[0] != "0"
    second.connect(one, aliases=["uno"])
    assert ask(one, "two") == f"0 {address(two, 'second')}"
    assert ask(two, "uno") == ask(two, "one") == f"0 {address(one, 'second')}"
    two.rename("deux")
    assert ask(one, "deux") == f"0 {address(two, 'second')}"
    assert ask(one, "two")[0] != "0"
    two.reload()
    assert two.attrs["NetworkSettings"]["Networks"]["second"]["DNSNames"][0] == "deux"
    second.disconnect(one)
    assert ask(two, "one")[0] != "0"
    assert ask(one, "deux")[0] != "0"
    first.reload()


def test_container_of_the_default_bridge_learns_names_when_it_is_connected(lab: Lab) -> None:
    network = lab.network("joined")
    there, late = lab.run("joined", "there"), lab.run("bridge", "late")
    assert b"127.0.0.11" not in late.exec_run("cat /etc/resolv.conf").output
    network.connect(late)
    assert b"nameserver 127.0.0.11" in late.exec_run("cat /etc/resolv.conf").output
    assert ask(late, "there") == f"0 {address(there, 'joined')}"
    assert ask(there, "late") == f"0 {address(late, 'joined')}"


def test_names_for_a_user_without_rights_on_a_read_only_root(lab: Lab) -> None:
    lab.network("strict")
    lab.run("strict", "target")
    shut = lab.run("strict", "shut", cap_drop=["ALL"], read_only=True, user="65534", security_opt=["no-new-privileges"])
    answer = shut.exec_run(["ping", "-c1", "-W1", "target"], user="0", privileged=True)
    assert answer.exit_code == 0, answer.output
    assert shut.exec_run(["nslookup", "target"]).exit_code == 0


def test_a_container_that_serves_names_itself_has_port_53(lab: Lab) -> None:
    lab.network("served")
    server, other = lab.run("served", "server", ports={"53/udp": None}), lab.run("served", "other")
    assert b"127.0.0.11" not in server.exec_run("cat /etc/resolv.conf").output
    assert b":53 " not in server.exec_run("netstat -lnu").output
    assert ask(other, "server") == f"0 {address(server, 'served')}"


def test_a_name_server_of_the_containers_own_needs_no_exposed_port(lab: Lab) -> None:
    lab.network("own")
    server, other = lab.run("own", "server"), lab.run("own", "other")
    inside = ["nsenter", "-n", "-t", str(server.attrs["State"]["Pid"]), sys.executable, "-c", OWN_SERVER]
    with subprocess.Popen(inside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            theirs = f"/dev/udp/{address(server, 'own')}/53"
            nsenter = ["nsenter", "-n", "-t", str(other.attrs["State"]["Pid"]), "bash", "-c"]
            subprocess.run([*nsenter, f"echo hello >{theirs}"], check=True, timeout=20)
            assert process.stdout.readline() == "hello\n"
            for transport in ("udp", "tcp"):
                assert ask(server, "other", transport=transport) == f"0 {address(other, 'own')}"
        finally:
            process.kill()


def test_ipv6_addresses(lab: Lab) -> None:
    lab.network("six", enable_ipv6=True, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="fd00:77::/64")]))
    one, two = lab.run("six", "one"), lab.run("six", "two")
    assert ask(one, "two", AAAA) == "0 fd00:77::3"
    assert ask(one, "two") == f"0 {address(two, 'six')}"
    nibbles = ".".join(reversed("fd00" + "0077" + "0" * 23 + "3"))
    assert ask(one, f"{nibbles}.ip6.arpa", PTR) == "0 " + b"\3two\3six\0".hex()


def test_other_names_are_asked_outside(lab: Lab) -> None:
    lab.network("outward", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet="10.217.0.0/24")]))
    lab.network("inward", internal=True)
    asking = lab.run("outward", "asking", dns=["10.217.0.1"])
    hidden = lab.run("inward", "hidden", dns=["10.217.0.1"])
    with name_server("10.217.0.1") as asked:
        assert ask(asking, "www.example.org") == "0 192.0.2.53"
        assert ask(asking, "www.example.org", transport="tcp") == "0 192.0.2.53"
        assert asked == ["udp", "tcp"]
        assert ask(asking, "asking") == f"0 {address(asking, 'outward')}"
        assert ask(hidden, "www.example.org") == "2", "an internal network has no way out, not even for names"
        assert asked == ["udp", "tcp"]
    assert ask(asking, "www.example.org") == "2", "nobody answers outside"


def test_resolv_conf_and_hosts(lab: Lab) -> None:
    lab.network("files")
    container = lab.run(
        "files",
        "filed",
        dns=["192.0.2.1"],
        dns_search=["shop.example"],
        dns_opt=["timeout:3"],
        extra_hosts={"fixed": "192.0.2.9", "host.docker.internal": "host-gateway"},
    )
    assert container.exec_run("cat /etc/resolv.conf").output.decode().splitlines() == [
        "nameserver 127.0.0.11",
        "search shop.example",
        "options timeout:3 ndots:0",
    ]
    hosts = container.exec_run("cat /etc/hosts").output.decode()
    gateway = lab.client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"]
    assert "192.0.2.9\tfixed\n" in hosts
    assert f"{gateway}\thost.docker.internal\n" in hosts
    assert hosts.endswith(f"{address(container, 'files')}\t{container.id[:12]}\n")


def test_link_on_a_network_of_ones_own_is_a_name(daemon: Daemon, lab: Lab) -> None:
    lab.network("linked")
    database = lab.run("linked", "database")
    done = daemon.docker("run", "-d", "--name", "linking", "--net", "linked", "--link", "database:db", "busybox",
                         "sleep", "1000")  # fmt: skip
    assert done.returncode == 0, done.stderr
    linking = lab.client.containers.get("linking")
    try:
        assert ask(linking, "db") == f"0 {address(database, 'linked')}"
        assert ask(database, "db")[0] != "0"
        # A link may come with a later connect, to a container that is not there yet.
        network = lab.client.networks.get("linked")
        network.disconnect(linking)
        network.connect(linking, links=[("later", "cache")])
        later = lab.run("linked", "later")
        assert ask(linking, "cache") == f"0 {address(later, 'linked')}"
    finally:
        linking.remove(force=True)


def test_link_on_the_default_bridge(daemon: Daemon, lab: Lab) -> None:
    database = lab.run("bridge", "legacy-db", environment=["COLOUR=red"], ports={"80/tcp": None, "53/udp": None})
    done = daemon.docker("run", "-d", "--name", "legacy-web", "--link", "legacy-db:db", "busybox", "sleep", "1000")
    assert done.returncode == 0, done.stderr
    web = lab.client.containers.get("legacy-web")
    try:
        place = address(database, "bridge")
        assert web.attrs["HostConfig"]["Links"] == ["/legacy-db:/legacy-web/db"]
        assert f"{place}\tdb {database.id[:12]} legacy-db\n" in web.exec_run("cat /etc/hosts").output.decode()
        init = web.attrs["State"]["Pid"]
        environment = Path(f"/proc/{init}/environ").read_text().split("\0")
        assert {
            f"DB_PORT=tcp://{place}:80",
            f"DB_PORT_80_TCP=tcp://{place}:80",
            f"DB_PORT_80_TCP_ADDR={place}",
            "DB_PORT_53_UDP_PROTO=udp",
            "DB_NAME=/legacy-web/db",
            "DB_ENV_COLOUR=red",
        } <= set(environment)
        assert daemon.docker("ps", "--no-trunc", "--format", "{{.Names}}", "-f", "name=legacy-db").stdout == (
            "legacy-db,legacy-web/db\n"
        )
        assert "cannot remove the default link name" in daemon.docker("rm", "--link", "legacy-web").stderr
        assert daemon.docker("rm", "--link", "legacy-web/db").stdout == "legacy-web/db\n"
        web.reload()
        assert web.attrs["HostConfig"]["Links"] is None
        assert "legacy-db" not in web.exec_run("cat /etc/hosts").output.decode()
        assert "No such container" in daemon.docker("rm", "--link", "legacy-web/db").stderr
        database.stop(timeout=0)
        refused = daemon.docker("run", "--rm", "--name", "late", "--link", "legacy-db:db", "busybox", "true")
        assert "Cannot link to a non running container: /legacy-db AS /late/db" in refused.stderr
    finally:
        web.remove(force=True)
    missing = daemon.docker("run", "--rm", "--link", "nosuch:db", "busybox", "true")
    assert "could not get container for nosuch: No such container: nosuch" in missing.stderr


def test_a_new_daemon_answers_containers_that_lived_on(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon("--live-restore")
    assert daemon.docker("pull", "-q", "busybox").returncode == 0
    assert daemon.docker("network", "create", "lasting").returncode == 0
    for name in ("alice", "bob"):
        done = daemon.docker("run", "-d", "--name", name, "--net", "lasting", "busybox", "sleep", "1000")
        assert done.returncode == 0, done.stderr
    daemon.kill()
    daemon.process = start_daemon(daemon.root, "--live-restore").process
    with contextlib.closing(daemon.client()) as client:
        alice, bob = client.containers.get("alice"), client.containers.get("bob")
        assert ask(alice, "bob") == f"0 {address(bob, 'lasting')}"
        assert ask(alice, "bob", transport="tcp") == f"0 {address(bob, 'lasting')}"
    assert daemon.docker("rm", "-f", "alice", "bob").returncode == 0
    daemon.stop()
    daemon.process = start_daemon(daemon.root).process  # one that cleans up when it stops
