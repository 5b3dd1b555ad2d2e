"""The network map of the engine: what hangs on what, who reaches whom, and the way of a packet to a published port.

All of it from the kernel's own data, read when it is asked for: so the map shows
also what somebody changed by hand. The shape is what the notebook's network view draws:

    backend      nftables, iptables or none
    host         the host's own links with addresses, and its routes
    networks     each with its bridge, and the containers on it with both ends of their cable
    reach        who reaches whom, and why; whoever is not listed is not reached
    published    each open port with the way of a packet to it, from outside and from the host
    rules        the packet filter's rules, chain by chain

`?port=5000` or `?port=53/udp` leaves out other ports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from pydock_lab.daemon.api.app import json_response
from pydock_lab.daemon.engine.engine import Engine
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.daemon.network.nat import Rule
from pydock_lab.daemon.network.paths import Published
from pydock_lab.daemon.network.record import NetworkRecord
from pydock_lab.daemon.network.view import HostView, InnerLink, Link, read_container, read_host
from pydock_lab.errors import InvalidParameter

Snapshot = list[tuple[NetworkRecord, list[Endpoint]]]


def routes(engine: Engine) -> Iterable[web.RouteDef]:
    """The route."""
    handlers = _LabNetwork(engine)
    return [web.get("/lab/network", handlers.get_network)]


class _LabNetwork:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get_network(self, request: web.Request) -> web.Response:
        """The whole map, or with ?port=NUMBER[/PROTOCOL] the map with that port's way only."""
        wanted = _port(request.query.get("port", ""))
        networks = self._engine.networks
        await networks.ready()
        snapshot, rules = networks.snapshot(), await networks.filter_rules()
        pids = {c.id: c.state.pid for c in self._engine.containers.table if c.state.running}
        host, inner = await asyncio.to_thread(_look, pids)
        endpoints = [endpoint for _, on_it in snapshot for endpoint in on_it]
        published = [
            _published(Published(endpoint, binding, rules, host))
            for endpoint in endpoints
            for binding in endpoint.bindings
            if wanted is None or wanted == (binding.host_port, binding.protocol)
        ]
        return json_response(
            {
                "backend": networks.backend,
                "host": _host(host, snapshot),
                "networks": [_network(record, on_it, host, inner) for record, on_it in snapshot],
                "reach": _reach(snapshot, rules),
                "published": published,
                "rules": [asdict(rule) for rule in rules],
            }
        )


def _port(text: str) -> tuple[int, str] | None:
    """Read `5000` or `53/udp`; None for no port at all. Raises InvalidParameter."""
    if not text:
        return None
    number, _, protocol = text.partition("/")
    if not number.isdigit() or protocol not in ("", "tcp", "udp"):
        raise InvalidParameter(f'invalid port specification: "{text}"')
    return int(number), protocol or "tcp"


def _look(pids: dict[str, int]) -> tuple[HostView, dict[str, list[InnerLink]]]:
    return read_host(), {container_id: read_container(pid) for container_id, pid in pids.items()}


def _host(host: HostView, snapshot: Snapshot) -> dict[str, Any]:
    """The host's links but for bridges of networks and cables of containers, which stand with those."""
    ours = {record.bridge for record, _ in snapshot} | {e.host_ifname for _, on_it in snapshot for e in on_it}
    others = [link for link in host.links.values() if link.name not in ours and link.kind != "veth"]
    return {"links": [asdict(link) for link in others], "routes": [asdict(route) for route in host.routes]}


def _network(
    record: NetworkRecord, endpoints: list[Endpoint], host: HostView, inner: dict[str, list[InnerLink]]
) -> dict[str, Any]:
    bridge = host.by_name(record.bridge) if record.bridge else None
    return {
        "id": record.id,
        "name": record.name,
        "driver": record.driver,
        "internal": record.internal,
        "names": record.user_defined and record.driver == "bridge",
        "subnets": [subnet.subnet for subnet in (record.subnet4, record.subnet6) if subnet is not None],
        "bridge": asdict(bridge) if bridge else None,
        "containers": [_container(endpoint, host, inner.get(endpoint.container_id, [])) for endpoint in endpoints],
    }


def _container(endpoint: Endpoint, host: HostView, inner: list[InnerLink]) -> dict[str, Any]:
    """A container with both ends of its cable: found by the peer's index, not by what we called it."""
    veth: Link | None = host.by_name(endpoint.host_ifname)
    inside = next((link for link in inner if veth is not None and link.index == veth.peer), None)
    return {
        "id": endpoint.container_id,
        "name": endpoint.name,
        "names": endpoint.names,
        "mac": endpoint.mac,
        "gateway": endpoint.gateway,
        "outside": asdict(veth) if veth else None,
        "inside": asdict(inside) if inside else None,
    }


def _reach(snapshot: Snapshot, rules: list[Rule]) -> list[dict[str, str]]:
    """Who reaches whom: containers of one network each other, all but internal networks the world outside."""
    found = []
    for record, endpoints in snapshot:
        if record.driver != "bridge":
            continue
        bridge = record.bridge
        for one in endpoints:
            for other in endpoints if record.icc else ():
                if other is not one:
                    found.append(_pair(one.name, other.name, record, "the same bridge"))
            if record.internal:
                continue
            masquerade = next((r.text for r in rules if "postrouting" in r.hooks and _leaves(r.text, bridge)), "")
            found.append(_pair(one.name, "outside", record, masquerade or "no rule translates its address: no answer"))
    return found


def _leaves(rule: str, bridge: str) -> bool:
    """It masquerades what leaves a bridge, as nft or iptables prints that."""
    return rule.endswith((f'oifname != "{bridge}" masquerade', f"! -o {bridge} -j MASQUERADE"))


def _pair(one: str, other: str, record: NetworkRecord, why: str) -> dict[str, str]:
    return {"from": one, "to": other, "network": record.name, "why": why}


def _published(port: Published) -> dict[str, Any]:
    binding, endpoint = port.binding, port.endpoint
    return {
        "container": endpoint.container_id,
        "name": endpoint.name,
        "host_ip": binding.host_ip,
        "host_port": binding.host_port,
        "protocol": binding.protocol,
        "container_port": binding.container_port,
        "address": port.target,
        "by": "kernel" if port.translated else "proxy",
        "from_outside": [asdict(step) for step in port.from_outside()],
        "from_host": [asdict(step) for step in port.from_host()],
    }
