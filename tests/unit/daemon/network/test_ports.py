"""Published ports with real sockets on the loopback: conflicts, ranges, both families, the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from pydock_lab.daemon.network.endpoint import Endpoint, PortBinding
from pydock_lab.daemon.network.links import ipv6_available
from pydock_lab.daemon.network.nat import Forward
from pydock_lab.daemon.network.ports import HostPorts, forwards
from pydock_lab.errors import InvalidParameter, SystemFailure

needs_ipv6 = pytest.mark.skipif(not ipv6_available(), reason="no IPv6 here")


def endpoint(name: str = "web", address: str = "127.0.0.1") -> Endpoint:
    return Endpoint("n", f"id-of-{name}", "c", "b0", "v0", "02:42:7f:00:00:01", address, 8, "", name=name)


@pytest.fixture
async def ports() -> AsyncIterator[HostPorts]:
    opened = HostPorts()
    yield opened
    opened.close()


@contextlib.contextmanager
def somebody_listens() -> contextlib.AbstractContextManager[int]:  # type: ignore[misc]
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_free_port_is_the_same_in_both_families(ports: HostPorts) -> None:
    published = ports.publish(endpoint(), [PortBinding("", 0, 80)])
    assert [one.host_ip for one in published] == (["0.0.0.0", "::"] if ipv6_available() else ["0.0.0.0"])
    assert len({one.host_port for one in published}) == 1
    assert published[0].host_port > 0


async def test_port_of_another_container(ports: HostPorts) -> None:
    (first,) = ports.publish(endpoint("one"), [PortBinding("0.0.0.0", 0, 80)])
    with pytest.raises(SystemFailure) as refused:
        ports.publish(endpoint("two"), [PortBinding("127.0.0.1", first.host_port, 80)])
    assert refused.value.message == (
        "driver failed programming external connectivity on endpoint two (id-of-two): "
        f"Bind for 127.0.0.1:{first.host_port} failed: port is already allocated"
    )


async def test_port_of_another_program(ports: HostPorts) -> None:
    with somebody_listens() as port, pytest.raises(SystemFailure) as refused:
        ports.publish(endpoint(), [PortBinding("0.0.0.0", port, 80)])
    assert refused.value.message.endswith(
        f"Error starting userland proxy: listen tcp4 0.0.0.0:{port}: bind: address already in use"
    )


async def test_nothing_stays_open_after_a_refusal(ports: HostPorts) -> None:
    free = free_port()
    with somebody_listens() as taken, pytest.raises(SystemFailure):
        ports.publish(endpoint(), [PortBinding("127.0.0.1", free, 80), PortBinding("127.0.0.1", taken, 81)])
    ports.publish(endpoint(), [PortBinding("127.0.0.1", free, 80)])


async def test_one_container_may_clash_with_itself(ports: HostPorts) -> None:
    free = free_port()
    with pytest.raises(SystemFailure, match="port is already allocated"):
        ports.publish(endpoint(), [PortBinding("127.0.0.1", free, 80), PortBinding("127.0.0.1", free, 81)])


async def test_range_takes_the_first_that_is_free(ports: HostPorts) -> None:
    with somebody_listens() as taken:
        (published,) = ports.publish(endpoint(), [PortBinding("127.0.0.1", taken, 80, host_port_end=taken + 20)])
        assert taken < published.host_port <= taken + 20


async def test_released_port_can_be_had_again(ports: HostPorts) -> None:
    (published,) = ports.publish(endpoint("one"), [PortBinding("127.0.0.1", 0, 80)])
    assert ports.release(endpoint("one")) == [published]
    assert ports.release(endpoint("one")) == []
    ports.publish(endpoint("two"), [PortBinding("127.0.0.1", published.host_port, 80)])


async def test_address_that_is_not_this_machines(ports: HostPorts) -> None:
    with pytest.raises(SystemFailure, match=r"listen tcp4 192\.0\.2\.254:8080: bind: cannot assign requested address"):
        ports.publish(endpoint(), [PortBinding("192.0.2.254", 8080, 80)])


async def test_bad_address_and_bad_protocol(ports: HostPorts) -> None:
    for binding in (PortBinding("nonsense", 8080, 80), PortBinding("", 8080, 80, "quic")):
        with pytest.raises(SystemFailure):
            ports.publish(endpoint(), [binding])
    with pytest.raises(InvalidParameter):
        forwards(endpoint(), [PortBinding("nonsense", 8080, 80)])


def test_kernel_forwards_ipv4_only() -> None:
    bindings = [PortBinding("0.0.0.0", 1, 80), PortBinding("::", 1, 80), PortBinding("127.0.0.1", 2, 81, "udp")]
    assert forwards(endpoint(address="172.17.0.2"), bindings) == [
        Forward("tcp", "", 1, "172.17.0.2", 80),
        Forward("udp", "127.0.0.1", 2, "172.17.0.2", 81),
    ]


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer only when the client has ended its side: the half-close has to come through."""
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
async def test_proxy_carries_megabytes_and_the_half_close(ports: HostPorts, host: str) -> None:
    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    inside = server.sockets[0].getsockname()[1]
    (published,) = ports.publish(endpoint(), [PortBinding(host, 0, inside)])
    reader, writer = await asyncio.open_connection(host, published.host_port)
    sent = b"abcdefgh" * 500_000
    writer.write(sent)
    writer.write_eof()
    received = await asyncio.wait_for(reader.read(), 30)
    assert received == sent.upper()
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_server_that_speaks_first_is_heard(ports: HostPorts) -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    (published,) = ports.publish(endpoint(), [PortBinding("127.0.0.1", 0, server.sockets[0].getsockname()[1])])
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", published.host_port)
        assert await asyncio.wait_for(reader.read(), 10) == b"hello"
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_nobody_behind_the_port_is_a_refusal(ports: HostPorts) -> None:
    (published,) = ports.publish(endpoint(), [PortBinding("127.0.0.1", 0, free_port())])
    reader, writer = await asyncio.open_connection("127.0.0.1", published.host_port)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_datagrams_go_both_ways(ports: HostPorts) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as inside, socket.socket(type=socket.SOCK_DGRAM) as client:
        inside.bind(("127.0.0.1", 0))
        (published,) = ports.publish(endpoint(), [PortBinding("127.0.0.1", 0, inside.getsockname()[1], "udp")])
        for sock in (inside, client):
            sock.setblocking(False)
        client.connect(("127.0.0.1", published.host_port))
        for word in (b"one", b"two"):
            client.send(word)
            # loop.sock_recvfrom is Python 3.11's; a reader does in 3.10.
            while True:
                await asyncio.sleep(0.005)
                with contextlib.suppress(BlockingIOError):
                    data, peer = inside.recvfrom(100)
                    break
            assert data == word
            inside.sendto(data.upper(), peer)
            assert await asyncio.wait_for(loop.sock_recv(client, 100), 10) == word.upper()
