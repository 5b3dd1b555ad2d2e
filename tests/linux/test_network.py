"""Networks in a kernel of their own: every test has a fresh network namespace, with guests for containers.

A guest is a process in a namespace wired as a launch wires a container, from the plain values of an
Endpoint. Outside everything stands a stranger: another machine on another subnet.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.linux.syscalls import CLONE_NEWNET, setns, unshare
from pydock_lab.daemon.network import kernel
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.iptables import Iptables, find_program
from pydock_lab.daemon.network.links import link_names
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Forbidden, InvalidParameter, NotFound, SystemFailure, Unavailable
from tests.linux.guests import TALKATIVE, Guest, call, sh

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

HOST, STRANGER = "10.77.0.1", "10.77.0.2"


@pytest.fixture(autouse=True)
def own_network() -> Iterator[None]:
    """Put this test's thread, and all it starts, into a fresh network namespace."""
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(CLONE_NEWNET)
    # The tests flush rules: never in the machine's own namespace.
    assert os.fstat(outside).st_ino != os.stat("/proc/self/ns/net").st_ino
    sh("ip link set lo up")
    try:
        yield
    finally:
        setns(outside, CLONE_NEWNET)
        os.close(outside)


@pytest.fixture
def guests() -> Iterator[list[Guest]]:
    started: list[Guest] = []
    yield started
    for guest in started:
        guest.stop()


@pytest.fixture
def stranger(guests: list[Guest]) -> Guest:
    """Another machine: its link leads to this one, and its route to everything leads through this one."""
    guest = Guest.start()
    guests.append(guest)
    sh(f"ip link add wire type veth peer name eth0 netns {guest.process.pid}")
    sh(f"ip addr add {HOST}/24 dev wire && ip link set wire up")
    guest.run(f"ip addr add {STRANGER}/24 dev eth0")
    guest.run("ip link set eth0 up")
    guest.run(f"ip route add default via {HOST}")
    return guest


@pytest.fixture(params=["nftables", "iptables-nft", "iptables-legacy"])
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each packet filter in its turn, as if the machine had no better one."""
    if request.param != "nftables":
        program = find_program(request.param)
        if program is None:
            pytest.skip(f"no {request.param} here")

        def without() -> None:
            raise Unavailable("libnftables is not installed")

        monkeypatch.setattr(kernel, "Nft", without)
        monkeypatch.setattr(Iptables, "usable", classmethod(lambda cls: cls(program)))
    return str(request.param)


def make_networks(root: Path, **settings: object) -> tuple[Networks, Database]:
    root.mkdir(exist_ok=True)
    database = Database(root / "meta.db")
    config = DaemonConfig(hosts=(), data_root=root, exec_root=root, **settings)  # type: ignore[arg-type]
    return Networks(database.table("networks"), Trace(), config), database


def left_in_the_kernel() -> str:
    """Our bridges and rules in this namespace; a guest's link goes with the guest."""
    links = [name for name in link_names() if re.match(r"pd[0-9a-f]{4}-", name)]
    nft = sh("nft list ruleset 2>/dev/null")
    rules = [*nft.splitlines(), *sh("iptables-legacy-save; ip6tables-legacy-save").splitlines()]
    return "\n".join([*links, *(rule for rule in rules if "pydock" in rule.lower())])


@pytest.fixture
async def networks(tmp_path: Path) -> AsyncIterator[Networks]:
    networks, database = make_networks(tmp_path / "data")
    await networks.start()
    yield networks
    await networks.close()
    assert left_in_the_kernel() == ""
    database.close()


async def plug(
    networks: Networks, guests: list[Guest], network: str = "bridge", name: str = "web"
) -> tuple[Guest, Endpoint]:
    """A guest on a network, as a started container."""
    endpoint = await networks.allocate(network, name.ljust(64, "0"), name=name)
    guest = Guest.start()
    guests.append(guest)
    guest.wire(endpoint)
    return guest, endpoint


async def in_thread(networks: Networks, function: object, *arguments: object) -> str:
    """Call from a thread: the proxy runs on this test's loop."""
    return str(await asyncio.to_thread(function, *arguments))  # type: ignore[arg-type]


async def test_published_port(backend: str, networks: Networks, guests: list[Guest], stranger: Guest) -> None:
    web, endpoint = await plug(networks, guests)
    other, _ = await plug(networks, guests, name="other")
    web.serve(80)
    bindings = await networks.publish(endpoint, [PortBinding("", 5000, 80), PortBinding("127.0.0.1", 5001, 80)])
    assert networks.backend == ("nftables" if backend == "nftables" else "iptables")
    assert [b.host_port for b in bindings if b.host_ip == "0.0.0.0"] == [5000]

    async def saw(function: object, *arguments: object) -> str:
        return await in_thread(networks, function, *arguments)

    assert await saw(call, "127.0.0.1", 5000) == endpoint.gateway
    assert await saw(call, HOST, 5000)
    assert await saw(call, "127.0.0.1", 5001) == endpoint.gateway
    assert await saw(call, "::1", 5000) == endpoint.gateway
    # The kernel forwards, so the server sees who it is; a port on the loopback is not for strangers.
    assert await saw(stranger.calls, HOST, 5000) == STRANGER
    assert await saw(stranger.calls, HOST, 5001) == ""
    assert await saw(stranger.calls, endpoint.address, 80) == ""
    # Containers reach it too, each by the host's address, and the one that publishes it as well.
    assert await saw(other.calls, endpoint.gateway, 5000)
    assert await saw(web.calls, HOST, 5000)
    assert await saw(other.calls, endpoint.address, 80)
    assert await saw(web.calls, "127.0.0.1", 5001) == ""

    await networks.release(endpoint)
    assert await saw(call, "127.0.0.1", 5000) == ""
    assert await saw(stranger.calls, HOST, 5000) == ""


async def test_way_out_is_masqueraded(backend: str, networks: Networks, guests: list[Guest], stranger: Guest) -> None:
    inside, _ = await plug(networks, guests)
    stranger.serve(80)
    assert inside.calls(STRANGER, 80) == HOST


async def test_internal_network_has_no_way_out(
    backend: str, networks: Networks, guests: list[Guest], stranger: Guest
) -> None:
    await networks.create({"Name": "closed", "Internal": True})
    one, first = await plug(networks, guests, "closed", "one")
    two, _ = await plug(networks, guests, "closed", "two")
    assert first.gateway == ""
    stranger.serve(80)
    one.serve(80)
    record = networks.record("closed")
    assert record.subnet4 is not None
    two.run(f"ip route add default via {record.subnet4.gateway}")
    assert two.calls(STRANGER, 80) == ""
    assert two.calls(first.address, 80)


async def test_networks_do_not_see_each_other(backend: str, networks: Networks, guests: list[Guest]) -> None:
    await networks.create({"Name": "left"})
    await networks.create({"Name": "right"})
    left, endpoint = await plug(networks, guests, "left", "left")
    right, _ = await plug(networks, guests, "right", "right")
    left.serve(80)
    assert right.calls(endpoint.address, 80) == ""
    await networks.publish(endpoint, [PortBinding("", 5000, 80)])
    assert await in_thread(networks, right.calls, endpoint.gateway, 5000)


async def test_containers_apart_without_icc(networks: Networks, guests: list[Guest]) -> None:
    await networks.create({"Name": "apart", "Options": {"com.docker.network.bridge.enable_icc": "false"}})
    one, endpoint = await plug(networks, guests, "apart", "one")
    two, _ = await plug(networks, guests, "apart", "two")
    one.serve(80)
    assert two.calls(endpoint.address, 80) == ""
    assert call(endpoint.address, 80) == endpoint.gateway


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
async def test_forward_policy_drop_of_somebody_else(
    program: str, tmp_path: Path, guests: list[Guest], stranger: Guest
) -> None:
    """dockerd and many firewalls set it; an accept in a table of our own does not help against it."""
    sh(f"{program} -P FORWARD DROP")
    networks, database = make_networks(tmp_path / "data")
    await networks.start()
    inside, endpoint = await plug(networks, guests)
    inside.serve(80)
    stranger.serve(80)
    await networks.publish(endpoint, [PortBinding("", 5000, 80)])
    assert await in_thread(networks, inside.calls, STRANGER, 80) == HOST
    assert await in_thread(networks, stranger.calls, HOST, 5000) == STRANGER
    await networks.close()
    database.close()
    assert left_in_the_kernel() == ""
    assert "-P FORWARD DROP" in sh(f"{program} -S FORWARD")


async def test_udp(backend: str, networks: Networks, guests: list[Guest], stranger: Guest) -> None:
    server, endpoint = await plug(networks, guests)
    server.serve(53, "udp")
    await networks.publish(endpoint, [PortBinding("", 5053, 53, "udp")])
    assert await in_thread(networks, stranger.calls, HOST, 5053, "udp") == STRANGER
    assert await in_thread(networks, call, "127.0.0.1", 5053, "udp") == endpoint.gateway
    assert await in_thread(networks, call, "::1", 5053, "udp") == endpoint.gateway


async def test_udp_port_that_moves_to_another_container(
    networks: Networks, guests: list[Guest], stranger: Guest
) -> None:
    """The kernel remembers where a flow went; a client that never stops must arrive at the new place all the same."""
    one, first = await plug(networks, guests, name="one")
    two, second = await plug(networks, guests, name="two")
    one.serve(53, "udp")
    two.serve(53, "udp")
    command = ["nsenter", "-n", "-t", str(stranger.process.pid), sys.executable, "-c", TALKATIVE, HOST, "5053"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None

        def says() -> str:
            client.stdin.write("\n")
            client.stdin.flush()
            return client.stdout.readline().strip()

        await networks.publish(first, [PortBinding("", 5053, 53, "udp")])
        assert await asyncio.to_thread(says) == STRANGER
        await networks.release(first)
        assert await asyncio.to_thread(says) == ""
        await networks.publish(second, [PortBinding("", 5053, 53, "udp")])
        assert await asyncio.to_thread(says) == STRANGER
        client.stdin.close()


async def test_published_port_of_ipv6(backend: str, networks: Networks, guests: list[Guest], stranger: Guest) -> None:
    sh("ip addr add fd77::1/64 dev wire nodad")
    stranger.run("ip addr add fd77::2/64 dev eth0 nodad")
    stranger.run("ip -6 route add default via fd77::1")
    await networks.create({"Name": "six", "EnableIPv6": True})
    web, endpoint = await plug(networks, guests, "six", "web")
    other, _ = await plug(networks, guests, "six", "other")
    web.serve6(80)
    web.serve(81)
    wanted = [PortBinding("", 5000, 80), PortBinding("", 5001, 81), PortBinding("::1", 5002, 80)]
    await networks.publish(endpoint, wanted)

    async def saw(function: object, *arguments: object) -> str:
        return await in_thread(networks, function, *arguments)

    # Fresh IPv6 links lose their first packets, until neighbours know each other.
    for _ in range(4):
        if seen := await saw(stranger.calls, "fd77::1", 5000):
            break
    assert seen == "fd77::2", "forwarded by the kernel: the server sees who it is"
    assert await saw(stranger.calls, HOST, 5001) == STRANGER
    assert await saw(call, "fd77::1", 5000)
    assert await saw(call, "::1", 5000) == endpoint.gateway6
    assert await saw(call, "::1", 5001) == endpoint.gateway, "the server listens on IPv4 only"
    assert await saw(call, "::1", 5002) == endpoint.gateway6
    assert await saw(stranger.calls, "fd77::1", 5002) == ""
    assert await saw(stranger.calls, endpoint.address6, 80) == "", "not published under its own address"
    assert await saw(other.calls, endpoint.gateway6, 5000)
    await networks.release(endpoint)
    assert await saw(stranger.calls, "fd77::1", 5000) == ""


async def test_ipv6_network(backend: str, networks: Networks, guests: list[Guest], stranger: Guest) -> None:
    sh("ip addr add fd77::1/64 dev wire nodad")
    stranger.run("ip addr add fd77::2/64 dev eth0 nodad")
    await networks.create({"Name": "six", "EnableIPv6": True})
    one, endpoint = await plug(networks, guests, "six", "one")
    two, _ = await plug(networks, guests, "six", "two")
    assert endpoint.address6.startswith("fd")
    one.serve6(80)
    stranger.serve6(80)
    assert two.calls(endpoint.address6, 80)
    assert two.calls("fd77::2", 80) == "fd77::1"


async def test_killed_daemon_and_flushed_rules(
    backend: str, tmp_path: Path, guests: list[Guest], stranger: Guest
) -> None:
    """The next daemon finds who still runs by the links, and puts back what is missing."""
    first, database = make_networks(tmp_path / "data")
    await first.start()
    web, endpoint = await plug(first, guests)
    gone = await first.allocate("bridge", "gone".ljust(64, "0"), name="gone")
    web.serve(80)
    await first.publish(endpoint, [PortBinding("", 5000, 80)])
    created = await first.create({"Name": "mine", "IPAM": {"Config": [{"Subnet": "10.99.0.0/24"}]}})
    first._ports.close()  # as the kernel does when a process is killed
    database.close()
    sh("nft flush ruleset; iptables-legacy -F; iptables-legacy -t nat -F; ip6tables-legacy -t nat -F")
    sh(f"ip link del {first.record('mine').bridge}")

    second, database = make_networks(tmp_path / "data")
    await second.start()
    await second.ready()
    assert second.resolve("mine")["Id"] == created["Id"]
    assert second.record("mine").bridge in link_names()
    assert list(second.resolve("bridge")["Containers"]) == [endpoint.container_id]
    assert await in_thread(second, stranger.calls, HOST, 5000) == STRANGER
    fresh = await second.allocate("bridge", "fresh".ljust(64, "0"))
    assert fresh.address == gone.address
    with pytest.raises(SystemFailure, match="port is already allocated"):
        await second.publish(fresh, [PortBinding("", 5000, 80)])
    await second.release(endpoint)
    await second.release(fresh)
    await second.close()
    database.close()
    assert left_in_the_kernel() == ""


LEAVE_BEHIND = """
import asyncio, os, shutil, sys
from pathlib import Path
from pydock_lab.daemon.network.links import link_names
from tests.linux.test_network import make_networks

async def main(root):
    for name in ("killed", "asleep"):
        networks, database = make_networks(root / name)
        await networks.start()
        await networks.ready()
        networks._ports.close()
        database.close()
    shutil.rmtree(root / "killed")
    assert len(bridges := [name for name in link_names() if name.endswith("-0")]) == 2, bridges
    third, database = make_networks(root / "third")
    await third.start()
    await third.ready()
    assert len(bridges := [name for name in link_names() if name.endswith("-0")]) == 2, bridges
    await third.close()
    database.close()
    print(len([name for name in link_names() if name.endswith("-0")]))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_what_a_daemon_left_that_is_gone_for_good(tmp_path: Path) -> None:
    """Killed, and its data root deleted: the next daemon of anybody's cleans up. One that may come back is spared."""
    script = 'mount -t sysfs sysfs /sys && ip link set lo up && exec "$@"'  # /sys shows its own namespace's links
    command = ["unshare", "-n", "-m", "sh", "-ec", script, "sh", sys.executable, "-c", LEAVE_BEHIND, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


async def test_two_daemons_side_by_side(tmp_path: Path, guests: list[Guest]) -> None:
    pair = [make_networks(tmp_path / name) for name in ("one", "two")]
    await asyncio.gather(*(networks.start() for networks, _ in pair))
    subnets = [networks.resolve("bridge")["IPAM"]["Config"][0]["Subnet"] for networks, _ in pair]
    assert len(set(subnets)) == 2
    endpoints = [(await plug(networks, guests))[1] for networks, _ in pair]
    await pair[0][0].publish(endpoints[0], [PortBinding("", 5000, 80)])
    with pytest.raises(SystemFailure, match="bind: address already in use"):
        await pair[1][0].publish(endpoints[1], [PortBinding("", 5000, 80)])
    await pair[0][0].close()
    assert endpoints[1].bridge in link_names()
    await pair[1][0].close()
    for _, database in pair:
        database.close()
    assert left_in_the_kernel() == ""


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
async def test_port_that_a_killed_engine_still_leads_to_its_containers_is_not_chosen(
    backend: str, protocol: str, tmp_path: Path, guests: list[Guest]
) -> None:
    """Its sockets have gone and its rules have not; nor is one of them ever there without the other in good order."""
    (killed, one), (ours, two) = [make_networks(tmp_path / name) for name in ("killed", "ours")]
    await asyncio.gather(killed.start(), ours.start())
    (_, lost), (_, endpoint) = await plug(killed, guests), await plug(ours, guests)
    (left, *_) = await killed.publish(lost, [PortBinding("", 0, 80, protocol)])
    killed._ports.close()
    (chosen, *_) = await ours.publish(endpoint, [PortBinding("", 0, 80, protocol)])
    assert chosen.host_port == left.host_port + 1
    asked = PortBinding("", left.host_port, 81, protocol, chosen.host_port + 1)
    (of_a_range, *_) = await ours.publish(endpoint, [asked])
    assert of_a_range.host_port == chosen.host_port + 1
    # Asked for by number it is had, as Docker gives it: the rules may be about to go.
    (asked_for, *_) = await ours.publish(endpoint, [PortBinding("", left.host_port, 82, protocol)])
    assert asked_for.host_port == left.host_port
    for networks, database in ((killed, one), (ours, two)):
        await networks.close()
        database.close()
    assert left_in_the_kernel() == ""


async def test_subnet_that_somebody_took_meanwhile(tmp_path: Path) -> None:
    for expected in ("172.17.0.0/16", "172.18.0.0/16"):
        networks, database = make_networks(tmp_path / "data")
        await networks.start()
        assert networks.resolve("bridge")["IPAM"]["Config"][0]["Subnet"] == expected
        await networks.close()
        database.close()
        if expected == "172.17.0.0/16":
            sh("ip link add other type bridge && ip addr add 172.17.0.1/16 dev other && ip link set other up")


async def test_default_bridge_as_the_flags_say(tmp_path: Path) -> None:
    networks, database = make_networks(tmp_path / "data", bip="10.200.0.5/24", bridge="mybridge")
    await networks.start()
    endpoint = await networks.allocate("bridge", "c" * 64)
    assert (endpoint.bridge, endpoint.gateway, endpoint.address) == ("mybridge", "10.200.0.5", "10.200.0.1")
    assert "10.200.0.5/24" in sh("ip -4 addr show mybridge")
    await networks.close()
    database.close()
    assert "mybridge" not in link_names()


async def test_refusals_of_endpoints(networks: Networks) -> None:
    await networks.create({"Name": "free"})
    await networks.create({"Name": "fixed", "IPAM": {"Config": [{"Subnet": "10.98.0.0/29"}]}})

    async def ask(network: str, address: str, container: str = "c") -> Endpoint:
        return await networks.allocate(network, container, config={"IPAMConfig": {"IPv4Address": address}}, name="me")

    with pytest.raises(InvalidParameter, match="supported on user defined networks only"):
        await ask("bridge", "172.17.0.9")
    with pytest.raises(InvalidParameter, match="only when connecting to networks with user configured subnets"):
        await ask("free", "10.98.0.3")
    with pytest.raises(InvalidParameter, match=r"Invalid address 10\.97\.0\.3: It does not belong to any"):
        await ask("fixed", "10.97.0.3")
    assert (await ask("fixed", "10.98.0.3")).mac == "02:42:0a:62:00:03"
    with pytest.raises(Forbidden, match="endpoint with name me already exists in network fixed"):
        await ask("fixed", "10.98.0.4")
    with pytest.raises(Forbidden, match="Address already in use"):
        await ask("fixed", "10.98.0.3", "d")
    with pytest.raises(NotFound, match="network nosuch not found"):
        await ask("nosuch", "")
    for number in range(4):
        await networks.allocate("fixed", f"n{number}")
    with pytest.raises(Forbidden, match=r"no available IPv4 addresses on this network's address pools: fixed \("):
        await networks.allocate("fixed", "one too many")


async def test_network_in_use_is_not_removed(networks: Networks) -> None:
    created = await networks.create({"Name": "used"})
    endpoint = await networks.allocate("used", "c" * 64, name="c")
    with pytest.raises(Forbidden) as refused:
        await networks.remove("used")
    assert refused.value.message == (
        f"error while removing network: network used id {created['Id']} has active endpoints"
    )
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        await networks.remove("bridge")
    await networks.release(endpoint)
    await networks.remove(created["Id"][:12])
    with pytest.raises(NotFound):
        networks.resolve("used")


async def test_removed_network_is_gone_from_the_kernel_before_another_is_made(networks: Networks) -> None:
    subnet = {"IPAM": {"Config": [{"Subnet": "10.96.0.0/16"}]}}
    for name in ("first", "second"):
        await networks.create({"Name": name, **subnet, "Options": {"com.docker.network.bridge.name": "same"}})
        assert "same" in link_names()
        await networks.remove(name)
    await networks.close()
    assert "same" not in link_names()


async def test_container_on_several_networks_has_several_links(networks: Networks) -> None:
    await networks.create({"Name": "more"})
    first = await networks.allocate("bridge", "c" * 64)
    second = await networks.allocate("more", "c" * 64)
    assert (first.ifname, second.ifname) == ("eth0", "eth1")
    await networks.release(first)
    assert (await networks.allocate("bridge", "c" * 64)).ifname == "eth0"
