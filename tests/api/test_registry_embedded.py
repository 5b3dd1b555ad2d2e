"""The registry inside the daemon: up, pushed to, down, up again with what it had."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.request
from contextlib import closing

import docker
import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root


def ask(client: docker.DockerClient, method: str, **document: int) -> tuple[int, dict[str, object]]:
    response = client.api.request(method, f"{client.api.base_url}/lab/registry", json=document)
    return response.status_code, response.json()


def test_up_push_down_and_up_again(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    assert ask(client, "GET")[1]["Running"] is False
    try:
        status, up = ask(client, "POST")
        address = up["Address"]
        assert (status, up["Running"]) == (200, True)
        assert ask(client, "POST")[1]["Address"] == address, "up when it is up already"
        assert ask(client, "POST", Port=1)[0] == 409
        name = f"{address}/class/app:1"
        assert client.images.get(busybox).tag(name)
        assert "digest: sha256:" in daemon.docker("push", name).stdout
        with urllib.request.urlopen(f"http://{address}/v2/_catalog") as response:
            assert "class/app" in json.load(response)["repositories"]
        assert ask(client, "DELETE")[1] == {"Running": False, "Address": "", "Root": up["Root"]}
        client.images.remove(name)
        port = int(str(address).rpartition(":")[2])
        assert ask(client, "POST", Port=port)[1]["Address"] == address
        assert client.images.pull(name).id == client.images.get(busybox).id
        client.images.remove(name)
    finally:
        ask(client, "DELETE")


def test_a_port_that_is_taken(client: docker.DockerClient) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        status, answer = ask(client, "POST", Port=taken.getsockname()[1])
    assert status == 409
    assert "address already in use" in str(answer["message"])
    assert ask(client, "POST", Port=70000)[0] == 400


def test_the_commands(daemon: Daemon, client: docker.DockerClient, busybox: str) -> None:
    def pydock(*words: str) -> str:
        command = [sys.executable, "-m", "pydock_lab.client.cli", "-H", daemon.host, "registry", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout + done.stderr

    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    try:
        address = f"127.0.0.1:{port}"
        assert f"docker push {address}/NAME" in pydock("up", "--port", str(port))
        assert pydock("up").startswith(f"registry on {address}\n")
        name = f"{address}/commands/app:1"
        assert client.images.get(busybox).tag(name)
        assert daemon.docker("push", name).returncode == 0
        [line] = [line for line in pydock("ls").splitlines() if "commands/app" in line]
        assert line.split()[:2] == [f"{address}/commands/app", "1"]
        assert "sha256:" in line
        assert pydock("gc", "--dry-run").endswith("0 manifests, 0 blobs, 0B\n")
        assert pydock("down").startswith("registry stopped; its images stay in ")
        assert "commands/app" in pydock("ls")
        assert "unknown command: nosuch" in pydock("nosuch")
        assert "unknown argument: --no" in pydock("gc", "--no")
        assert "--port PORT is expected" in pydock("up", "--port", "x")
        assert "serve [OPTIONS]" in pydock("--help")
        client.images.remove(name)
    finally:
        ask(client, "DELETE")
