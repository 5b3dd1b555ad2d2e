"""attach, logs and wait byte for byte: what clients rely on and what is easy to lose."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import docker
import pytest

from tests.api.wire import UPGRADE, Wire, eventually, frames
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def cat(client: docker.DockerClient, busybox: str) -> Iterator[str]:
    """A created container that copies its input and then says goodbye on stderr."""
    container = client.api.create_container(busybox, ["sh", "-c", "cat; echo bye >&2"], stdin_open=True)
    client.api.inspect_container(container["Id"])
    yield container["Id"]
    client.api.remove_container(container["Id"], force=True)


def test_input_in_the_same_packet_and_half_close(wire: Wire, client: docker.DockerClient, cat: str) -> None:
    path = f"/v1.47/containers/{cat}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    wire.send("POST", path, *UPGRADE, then=b"early\n")
    wire.socket.shutdown(socket.SHUT_WR)
    head = wire.head()
    assert head[0] == "HTTP/1.1 101 UPGRADED"
    assert "Content-Type: application/vnd.docker.multiplexed-stream" in head
    client.api.start(cat)
    assert frames(wire.rest()) == {1: b"early\n", 2: b"bye\n"}
    assert client.api.wait(cat)["StatusCode"] == 0


def test_a_client_without_upgrade_gets_200(wire: Wire, client: docker.DockerClient, cat: str) -> None:
    wire.send("POST", f"/v1.41/containers/{cat}/attach?stream=1&stdin=1&stdout=1&stderr=1")
    head = wire.head()
    assert head[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: application/vnd.docker.raw-stream" in head
    client.api.start(cat)
    wire.socket.sendall(b"later\n")
    wire.socket.shutdown(socket.SHUT_WR)
    assert frames(wire.rest()) == {1: b"later\n", 2: b"bye\n"}


def test_an_attach_that_fails_is_answered_in_http(wire: Wire) -> None:
    wire.send("POST", "/containers/nobody/attach?stream=1", *UPGRADE)
    assert wire.head()[0] == "HTTP/1.1 404 Not Found"


def test_output_goes_on_after_the_input_s_end(daemon: Daemon, busybox: str) -> None:
    done = daemon.docker("run", "--rm", "-i", busybox, "sh", "-c", "cat; sleep 0.3; echo after", stdin="given\n")
    assert done.stdout == "given\nafter\n"


def test_a_megabyte_both_ways(daemon: Daemon, busybox: str) -> None:
    text = "".join(f"line {n:07d}\n" for n in range(100_000))
    done = daemon.docker("run", "--rm", "-i", busybox, "cat", stdin=text)
    assert done.stdout == text


def test_logs(client: docker.DockerClient, busybox: str) -> None:
    script = "for i in 1 2 3; do echo out $i; done; echo err >&2"
    container = client.containers.run(busybox, ["sh", "-c", script], detach=True)
    container.wait()
    assert container.logs(stderr=False) == b"out 1\nout 2\nout 3\n"
    assert container.logs(stdout=False) == b"err\n"
    assert len(container.logs(tail=2).splitlines()) == 2
    stamped = container.logs(stderr=False, timestamps=True).decode().splitlines()
    assert len(stamped[0].split()[0]) == len("2024-01-01T00:00:00.000000000Z")
    assert b"".join(container.logs(stream=True, follow=True, stderr=False)) == b"out 1\nout 2\nout 3\n"
    container.remove()


def test_logs_right_after_the_start_are_there(client: docker.DockerClient, busybox: str) -> None:
    """As with dockerd, whose start is over later; a machine that is too busy once is not so every time."""
    said = []
    for _ in range(5):
        container = client.containers.run(busybox, ["sh", "-c", "sleep 0.01; echo said"], detach=True)
        said += [container.logs(), client.api.attach(container.id, stream=False, logs=True)]
        container.remove(force=True)
    assert said.count(b"said\n") > 1


def test_logs_of_no_stream_are_refused(wire: Wire, client: docker.DockerClient, cat: str) -> None:
    wire.send("GET", f"/containers/{cat}/logs", "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 400 Bad Request"
    assert "you must choose at least one stream" in wire.rest().decode()


def test_following_sees_every_line_in_order(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.run(busybox, ["sh", "-c", "seq 1 20000"], detach=True)
    text = b"".join(container.logs(stream=True, follow=True))
    assert text.decode().split() == [str(n) for n in range(1, 20001)]
    container.remove()


def test_attach_shows_what_was_printed_before(wire: Wire, client: docker.DockerClient, busybox: str) -> None:
    script = ["sh", "-c", "echo before; read x; echo $x"]
    container = client.containers.run(busybox, script, detach=True, stdin_open=True)
    eventually(lambda: bool(container.logs() == b"before\n"))
    wire.send("POST", f"/containers/{container.id}/attach?stream=1&logs=1&stdin=1&stdout=1", *UPGRADE)
    wire.head()
    wire.socket.sendall(b"later\n")
    assert frames(wire.rest()) == {1: b"before\nlater\n"}
    container.remove(force=True)


def test_wait_answers_its_head_at_once(wire: Wire, client: docker.DockerClient, cat: str) -> None:
    wire.send("POST", f"/containers/{cat}/wait?condition=next-exit", "Connection: close")
    assert wire.head()[0] == "HTTP/1.1 200 OK"  # the container has not even started
    client.api.start(cat)
    client.api.kill(cat)
    body = wire.rest()
    assert json.loads(body[body.index(b"{") : body.rindex(b"}") + 1]) == {"StatusCode": 137}


def test_a_client_may_leave(wire: Wire, client: docker.DockerClient, cat: str) -> None:
    client.api.start(cat)
    wire.send("POST", f"/containers/{cat}/attach?stream=1&stdout=1", *UPGRADE)
    wire.head()
    wire.socket.close()
    assert client.api.inspect_container(cat)["State"]["Running"]


def test_a_terminal(wire: Wire, client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, ["sh", "-c", "read x; stty size; echo $x"], tty=True, stdin_open=True)
    wire.send("POST", f"/containers/{container.id}/attach?stream=1&stdin=1&stdout=1", *UPGRADE)
    assert "Content-Type: application/vnd.docker.raw-stream" in wire.head()
    container.start()
    container.resize(33, 99)
    wire.socket.sendall(b"typed\n")
    assert wire.rest().decode().split() == ["typed", "33", "99", "typed"]
    assert container.wait()["StatusCode"] == 0
    assert container.logs().decode().split() == ["typed", "33", "99", "typed"]
    container.remove()
