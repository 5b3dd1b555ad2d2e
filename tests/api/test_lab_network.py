"""The network map: compared with what `ip` and `nft` say of the same kernel."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from pydock_lab.daemon.network.links import link_tag
from tests.conftest import Daemon

SLEEP = ["sleep", "1000"]


def read_map(client: docker.DockerClient, query: str = "") -> Any:
    answer = client.api.get(client.api.base_url + f"/lab/network{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def network_of(shown: Any, name: str) -> Any:
    return next(network for network in shown["networks"] if network["name"] == name)


@pytest.fixture
def shop(client: docker.DockerClient, busybox: str) -> Iterator[dict[str, Any]]:
    """Two containers on a network of their own, one of them published, and one on an internal network."""
    with contextlib.ExitStack() as stack:
        for name, internal in (("map-shop", False), ("map-vault", True)):
            network = client.networks.create(name, internal=internal)
            stack.callback(network.remove)
        made = {}
        for name, place, ports in (
            ("map-web", "map-shop", {"80/tcp": ("127.0.0.1", None), "53/udp": None}),
            ("map-db", "map-shop", None),
            ("map-safe", "map-vault", None),
        ):
            container = client.containers.run(busybox, SLEEP, detach=True, name=name, network=place, ports=ports)
            stack.callback(container.remove, force=True)
            container.reload()
            made[name] = container
        yield made


def test_cables_and_addresses_are_the_kernels(client: docker.DockerClient, shop: dict[str, Any]) -> None:
    shown = network_of(read_map(client), "map-shop")
    bridge = json.loads(subprocess.check_output(["ip", "-j", "addr", "show", shown["bridge"]["name"]]))[0]
    assert (shown["bridge"]["index"], shown["bridge"]["mac"]) == (bridge["ifindex"], bridge["address"])
    gateway = client.networks.get("map-shop").attrs["IPAM"]["Config"][0]["Gateway"]
    assert f"{gateway}/16" in shown["bridge"]["addresses"] or f"{gateway}/20" in shown["bridge"]["addresses"]
    assert [container["name"] for container in shown["containers"]] == ["map-web", "map-db"]
    for container in shown["containers"]:
        running = shop[container["name"]]
        settings = running.attrs["NetworkSettings"]["Networks"]["map-shop"]
        assert container["outside"]["master"] == bridge["ifindex"]
        assert container["outside"]["addresses"] == []  # a browser on this host would break off what it loads
        assert container["inside"]["name"] == "eth0"
        assert f"{settings['IPAddress']}/{settings['IPPrefixLen']}" in container["inside"]["addresses"]
        inner_index = running.exec_run("cat /sys/class/net/eth0/ifindex").output.decode().strip()
        assert container["outside"]["peer"] == container["inside"]["index"] == int(inner_index)
        assert container["names"] == [container["name"], running.id[:12]]


def test_who_reaches_whom(client: docker.DockerClient, shop: dict[str, Any]) -> None:
    pairs = {(pair["from"], pair["to"]) for pair in read_map(client)["reach"] if pair["from"].startswith("map-")}
    assert pairs == {
        ("map-web", "map-db"),
        ("map-db", "map-web"),
        ("map-web", "outside"),
        ("map-db", "outside"),
    }


def test_the_way_to_a_published_port(client: docker.DockerClient, shop: dict[str, Any]) -> None:
    web = shop["map-web"]
    address = web.attrs["NetworkSettings"]["Networks"]["map-shop"]["IPAddress"]
    port = web.ports["80/tcp"][0]["HostPort"]
    (shown,) = read_map(client, f"?port={port}")["published"]
    assert (shown["name"], shown["host_ip"], shown["container_port"], shown["by"]) == (
        "map-web",
        "127.0.0.1",
        80,
        "kernel",
    )
    assert shown["from_outside"] == [], "a port of the loopback"
    steps = {step["where"]: step for step in shown["from_host"]}
    assert list(steps) == ["socket", "output", "routing", "postrouting", "bridge", "container"]
    assert f"{address}:80" in steps["output"]["what"]
    assert f"127.0.0.1 . tcp . {port} : {address} . 80" in steps["output"]["rule"]
    table = subprocess.check_output(["nft", "list", "ruleset"], text=True)
    for step in ("output", "postrouting"):
        assert steps[step]["rule"].split("; ")[0] in table
    everywhere = web.ports["53/udp"][0]["HostPort"]
    from_outside = read_map(client, f"?port={everywhere}/udp")["published"][0]["from_outside"]
    places = ["arrival", "prerouting", "routing", "forward", "bridge", "container"]
    assert [step["where"] for step in from_outside] == places
    assert client.api.get(client.api.base_url + "/lab/network?port=web").status_code == 400


def test_rules_that_somebody_removed(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon()
    assert daemon.docker("pull", "-q", "busybox").returncode == 0
    assert daemon.docker("run", "-d", "--name", "web", "-p", "80", "busybox", *SLEEP).returncode == 0
    with contextlib.closing(daemon.client()) as client:
        assert read_map(client)["published"][0]["by"] == "kernel"
        subprocess.run(["nft", "delete", "table", "inet", f"pydock_{link_tag(daemon.data_root)}"], check=True)
        shown = read_map(client)
        assert shown["rules"] == []
        assert shown["published"][0]["by"] == "proxy"
        assert [step["where"] for step in shown["published"][0]["from_outside"]][:2] == ["arrival", "proxy"]
        assert "no rule" in shown["reach"][0]["why"]
    assert daemon.docker("rm", "-f", "web").returncode == 0
