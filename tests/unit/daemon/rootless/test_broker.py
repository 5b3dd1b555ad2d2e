"""The broker: sockets and names over one channel, from many threads. Here both ends are in one namespace."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pydock_lab.daemon.rootless import broker


@pytest.fixture
def client() -> Iterator[broker.Broker]:
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stop_r, stop_w = os.pipe()
    server = threading.Thread(target=broker.serve, args=(outside, stop_r))
    server.start()
    with inside:
        client = broker.Broker(inside.fileno())
    yield client
    os.write(stop_w, b"x")
    server.join(10)
    assert not server.is_alive()
    client.close()
    outside.close()
    os.close(stop_r)
    os.close(stop_w)


def test_socket_is_usable_and_closes_on_exec(client: broker.Broker) -> None:
    with client.make_socket(socket.AF_INET, socket.SOCK_STREAM) as made:
        assert not made.get_inheritable()
        made.bind(("127.0.0.1", 0))
        made.listen()
        with socket.create_connection(made.getsockname(), timeout=5):
            made.accept()[0].close()


def test_refusal_is_the_kernels(client: broker.Broker) -> None:
    with pytest.raises(OSError, match="Invalid argument") as refused:
        client.make_socket(socket.AF_INET, 77)
    assert refused.value.errno


def test_names_are_resolved_as_getaddrinfo_does(client: broker.Broker) -> None:
    assert client.resolve("127.0.0.1", 80, socket.AF_INET) == socket.getaddrinfo(
        "127.0.0.1", 80, socket.AF_INET, socket.SOCK_STREAM
    )
    with pytest.raises(socket.gaierror):
        client.resolve("no such name", 80)


def test_answers_of_many_threads_never_mix(client: broker.Broker) -> None:
    def ask(number: int) -> bool:
        kind = socket.SOCK_STREAM if number % 2 else socket.SOCK_DGRAM
        with client.make_socket(socket.AF_INET, kind) as made:
            return made.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == kind

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(200)))


def test_client_notices_that_the_broker_is_gone() -> None:
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with inside:
        client = broker.Broker(inside.fileno())
    outside.close()
    with pytest.raises(OSError):
        client.make_socket(socket.AF_INET, socket.SOCK_STREAM)
    client.close()
