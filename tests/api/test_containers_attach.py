"""Attach beyond the usual: the log first, WebSockets, detaching, and what events and traces tell of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator

import aiohttp
import docker
import pytest
from docker.models.containers import Container

from tests.api.wire import UPGRADE, Wire, eventually, frames
from tests.conftest import Daemon

pytestmark = pytest.mark.root

_ALL = "stream=1&stdin=1&stdout=1&stderr=1"


@pytest.fixture
def echo(client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    """A running container that copies its input to its output."""
    box = client.containers.run(busybox, "cat", stdin_open=True, detach=True, stop_signal="KILL")
    yield box
    box.remove(force=True)


def test_the_log_then_what_comes_nothing_lost_nothing_twice(
    daemon: Daemon, client: docker.DockerClient, busybox: str
) -> None:
    """Clients join while 30,000 lines are printed; each sees every one of them once and in order."""
    # It waits for the last client: to attach to one that has ended is to wait for its next start.
    script = "i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; "
    script += "while [ ! -e /enough ]; do sleep 0.05; done; printf end"
    box = client.containers.run(busybox, ["sh", "-c", script], detach=True)
    wires = []
    for count in (1, 5_000, 15_000):
        eventually(lambda count=count: last_line(box) >= count)
        wires.append(Wire(daemon))
        wires[-1].send("POST", f"/v1.47/containers/{box.id}/attach?logs=1&stream=1&stdout=1&stderr=1", *UPGRADE)
        assert wires[-1].head()[0] == "HTTP/1.1 101 UPGRADED"
    assert box.exec_run("touch /enough").exit_code == 0
    whole = "".join(f"line {number}\n" for number in range(30_000)) + "end"
    for wire in wires:
        assert frames(wire.rest())[1].decode() == whole
        wire.close()
    box.remove()


def last_line(box: Container) -> int:
    """How far it is: `line 77` is 77."""
    words = box.logs(tail=1).decode().split()
    return int(words[1]) if len(words) == 2 else 30_000 if words else 0


def test_a_websocket_carries_both_ways(daemon: Daemon, echo: Container) -> None:
    async def talk() -> tuple[bytes, aiohttp.WSMsgType]:
        connector = aiohttp.UnixConnector(str(daemon.socket))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.ws_connect(f"http://d/v1.47/containers/{echo.id}/attach/ws?{_ALL}") as client:
                await client.send_bytes(b"bytes ")
                await client.send_str("text\n")
                heard = b""
                while not heard.endswith(b"text\n"):
                    heard += (await client.receive(timeout=20)).data
                await asyncio.to_thread(echo.kill)
                return heard, (await client.receive(timeout=20)).type

    assert asyncio.run(talk()) == (b"bytes text\n", aiohttp.WSMsgType.CLOSE)


def test_a_websocket_to_nobody_is_answered_in_http(daemon: Daemon) -> None:
    async def ask() -> int:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await session.ws_connect("http://d/containers/nobody/attach/ws")
            return caught.value.status

    assert asyncio.run(ask()) == 404


def test_detaching_is_an_event_and_the_container_goes_on(
    daemon: Daemon, client: docker.DockerClient, busybox: str, wire: Wire
) -> None:
    box = client.containers.run(busybox, "cat", stdin_open=True, tty=True, detach=True, stop_signal="KILL")
    since = client.info()["SystemTime"]
    wire.send("POST", f"/v1.47/containers/{box.id}/attach?{_ALL}&detachKeys=x,y", *UPGRADE)
    wire.head()
    wire.socket.sendall(b"xy")
    assert wire.rest() == b""
    started = client.api.exec_create(box.id, "cat", stdin=True, tty=True)["Id"]
    second = Wire(daemon)
    second.send("POST", f"/v1.47/exec/{started}/start", *UPGRADE, body=json.dumps({"Tty": True}).encode())
    second.head()
    second.socket.sendall(b"\x10\x11")
    second.rest()
    second.close()

    def told() -> list[str]:
        until = client.info()["SystemTime"]
        events = client.events(decode=True, since=since, until=until, filters={"container": box.id})
        return [event["Action"] for event in events if "detach" in event["Action"]]

    eventually(lambda: told() == ["detach", "exec_detach"])
    box.reload()
    assert box.status == "running"
    box.remove(force=True)


def test_how_it_was_made_outlives_the_daemon(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon()
    assert daemon.docker("pull", "busybox").returncode == 0
    assert daemon.docker("run", "--name", "kept", "busybox", "true").returncode == 0
    assert daemon.stop() == 0
    again = own_daemon("--data-root", str(daemon.data_root))
    with contextlib.closing(Wire(again)) as wire:
        wire.send("GET", "/lab/containers/kept/trace", "Connection: close")
        wire.head()
        kinds = [event["kind"] for event in json.loads(wire.rest())]
    assert kinds[0] == "container.created"
    assert kinds.index("container.launched") < kinds.index("container.ended")


def test_with_init_the_program_is_not_pid_1(daemon: Daemon, busybox: str) -> None:
    done = daemon.docker("run", "--rm", "--init", busybox, "sh", "-c", "cat /proc/1/comm; echo $$; sh -c 'sleep 0 &'")
    name, pid = done.stdout.split()
    assert name in ("docker-init", "tini-static", "pydock-init", "sh") and int(pid) > 1
