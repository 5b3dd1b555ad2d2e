"""Execs through docker-py, the docker CLI and by hand."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from tests.api.wire import UPGRADE, Wire, eventually, frames
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def box(daemon: Daemon, busybox: str) -> Iterator[Container]:
    """A running container for all tests of this module."""
    client = daemon.client()
    container = client.containers.run(busybox, "sleep 600", name="box", detach=True, environment={"A": "1"})
    yield container
    container.remove(force=True)
    client.close()


def test_output_and_status(box: Container) -> None:
    assert box.exec_run("echo hi") == (0, b"hi\n")
    assert box.exec_run(["sh", "-c", "echo out; echo err >&2; exit 9"], demux=True) == (9, (b"out\n", b"err\n"))


@pytest.mark.parametrize(
    ("options", "command", "output"),
    [
        ({"environment": ["B=2"]}, "echo $A$B", "12"),
        ({"workdir": "/tmp"}, "pwd", "/tmp"),
        ({"user": "5:6"}, "id -u; id -g", "5\n6"),
        ({"tty": True}, "tty", "/dev/pts/0"),
    ],
)
def test_settings(box: Container, options: dict[str, object], command: str, output: str) -> None:
    found = box.exec_run(["sh", "-c", command], **options).output.decode().replace("\r\n", "\n")
    assert found.strip() == output


def test_a_command_that_is_not_there(daemon: Daemon, box: Container) -> None:
    done = daemon.docker("exec", "box", "nope")
    assert done.returncode == 127
    assert 'OCI runtime exec failed: exec failed: unable to start container process: exec: "nope"' in (
        done.stdout + done.stderr
    )


def test_who_starts_it_says_whether_output_has_frames(client: docker.DockerClient, box: Container) -> None:
    """docker-py starts without `tty` what was created with it, and then wants frames."""
    terminal = client.api.exec_create(box.id, ["sh", "-c", "tty; echo err >&2"], tty=True)
    assert client.api.exec_start(terminal, demux=True) == (b"/dev/pts/0\r\nerr\r\n", None)
    plain = client.api.exec_create(box.id, ["echo", "raw"])
    assert client.api.exec_start(plain, tty=True) == b"raw\n"


def test_input_and_half_close(daemon: Daemon, box: Container) -> None:
    assert daemon.docker("exec", "-i", "box", "sh", "-c", "cat; echo end", stdin="in\n").stdout == "in\nend\n"


def test_input_in_the_same_packet(wire: Wire, client: docker.DockerClient, box: Container) -> None:
    made = client.api.exec_create(box.id, ["cat"], stdin=True)["Id"]
    wire.send("POST", f"/v1.47/exec/{made}/start", *UPGRADE, body=b'{"Detach":false,"Tty":false}', then=b"early\n")
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.head()[0] == "HTTP/1.1 101 UPGRADED"
    assert frames(wire.rest()) == {1: b"early\n"}
    assert client.api.exec_inspect(made)["ExitCode"] == 0


def test_the_end_of_an_empty_chunked_body_is_not_input(wire: Wire, client: docker.DockerClient, box: Container) -> None:
    made = client.api.exec_create(box.id, ["cat"], stdin=True)["Id"]
    head = [f"POST /v1.47/exec/{made}/start HTTP/1.1", "Host: d", *UPGRADE, "Transfer-Encoding: chunked", "", ""]
    wire.socket.sendall("\r\n".join(head).encode() + b"0\r\n\r\nearly\n")
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.head()[0] == "HTTP/1.1 101 UPGRADED"
    assert frames(wire.rest()) == {1: b"early\n"}


def test_the_size_may_be_set_while_it_starts(client: docker.DockerClient, box: Container) -> None:
    made = client.api.exec_create(box.id, ["sh"], stdin=True, tty=True)["Id"]
    stream = client.api.exec_start(made, tty=True, socket=True)
    with contextlib.closing(stream._sock), stream:
        client.api.exec_resize(made, 20, 77)
        stream._sock.sendall(b"stty size\nexit\n")
        assert b"20 77" in stream.read()


def test_inspect(client: docker.DockerClient, box: Container) -> None:
    made = client.api.exec_create(box.id, ["sh", "-c", "exit 4"], user="0")["Id"]
    before = client.api.exec_inspect(made)
    assert (before["Running"], before["ExitCode"], before["ContainerID"]) == (False, None, box.id)
    assert before["ProcessConfig"] == {
        "tty": False, "entrypoint": "sh", "arguments": ["-c", "exit 4"], "privileged": False, "user": "0",
    }  # fmt: skip
    client.api.exec_start(made)
    after = client.api.exec_inspect(made)
    assert (after["Running"], after["ExitCode"]) == (False, 4)
    with pytest.raises(docker.errors.APIError, match="has already run"):
        client.api.exec_start(made, detach=True)


def test_second_start_is_told_on_its_stream_and_leaves_the_first_alone(
    wire: Wire, client: docker.DockerClient, box: Container
) -> None:
    made = client.api.exec_create(box.id, ["sh", "-c", "read line; exit 7"], stdin=True)["Id"]
    wire.send("POST", f"/v1.47/exec/{made}/start", *UPGRADE, body=b"{}")
    wire.head()
    assert client.api.exec_start(made) == f"Error: Exec command {made} is already running\r\n".encode()
    assert client.api.exec_inspect(made)["Running"]
    wire.socket.sendall(b"line\n")
    assert wire.rest() == b""
    assert client.api.exec_inspect(made)["ExitCode"] == 7
    assert client.api.exec_start(made) == f"Error: Exec command {made} has already run\r\n".encode()


def test_detached(client: docker.DockerClient, box: Container) -> None:
    made = client.api.exec_create(box.id, ["sleep", "600"])["Id"]
    client.api.exec_start(made, detach=True)
    state = client.api.exec_inspect(made)
    assert state["Running"]
    assert state["Pid"] > 0
    box.reload()
    assert box.attrs["ExecIDs"] == [made]


def test_refusals(client: docker.DockerClient, box: Container, busybox: str) -> None:
    with pytest.raises(docker.errors.NotFound, match="No such exec instance: nope"):
        client.api.exec_inspect("nope")
    with pytest.raises(docker.errors.APIError, match="No exec command specified"):
        client.api.exec_create(box.id, [])
    stopped = client.containers.create(busybox, "true")
    with pytest.raises(docker.errors.APIError, match=f"[cC]ontainer {stopped.id} is not running") as caught:
        stopped.exec_run("true")
    assert caught.value.status_code == 409
    stopped.remove()


def test_events_tell_of_it(client: docker.DockerClient, box: Container) -> None:
    since = client.info()["SystemTime"]
    box.exec_run("true")
    events = client.events(decode=True, since=since, until=client.info()["SystemTime"], filters={"container": box.id})
    assert [event["Action"] for event in events] == ["exec_create: true ", "exec_start: true ", "exec_die"]


def test_keys_of_a_body_are_taken_in_any_case(wire: Wire, client: docker.DockerClient, box: Container) -> None:
    """As docker-py sends the detach keys of its configuration."""
    client.api._general_configs["detachKeys"] = "ctrl-p"
    made = client.api.exec_create(box.id, "cat", stdin=True, tty=True)["Id"]
    wire.send("POST", f"/v1.47/exec/{made}/start", *UPGRADE, body=b'{"Tty": true}')
    wire.head()
    wire.socket.sendall(b"\x10")
    assert wire.rest() == b""
    os.kill(client.api.exec_inspect(made)["Pid"], signal.SIGKILL)
    eventually(lambda: not client.api.exec_inspect(made)["Running"])


def test_output_waits_until_the_head_has_been_read(wire: Wire, client: docker.DockerClient, box: Container) -> None:
    """docker-py would lose what comes along with the head."""
    made = client.api.exec_create(box.id, ["echo", "hi"])["Id"]
    wire.send("POST", f"/v1.47/exec/{made}/start", *UPGRADE, body=b"{}")
    time.sleep(0.05)  # long enough for output to be there, had it not waited
    assert wire.socket.recv(65536).endswith(b"\r\n\r\n")
    assert frames(wire.rest()) == {1: b"hi\n"}


def test_what_an_exec_keeps_and_does_not_inherit(client: docker.DockerClient, daemon: Daemon, busybox: str) -> None:
    container = client.containers.run(busybox, "cat", detach=True, tty=True, stdin_open=True)
    try:
        assert container.exec_run(["sh", "-c", "echo [$TERM]"]).output == b"[]\n"
        assert container.exec_run(["sh", "-c", "echo [$TERM]"], tty=True).output == b"[xterm]\r\n"
        made = client.api.exec_create(container.id, "true")["Id"]
        client.api.exec_start(made)
        assert client.api.exec_inspect(made)["Pid"] > 1
    finally:
        container.remove(force=True)
    with pytest.raises(docker.errors.NotFound, match="No such exec instance"):
        client.api.exec_inspect(made)
