"""Networks as Docker's API knows them: who is on them, what may be removed, what is told to the world.

The network room makes bridges and hands out endpoints; here containers come
into it: connecting one that runs, and documents, filters and events.

Source: moby daemon/network.go, daemon/container_operations.go, daemon/network/filter.go.
"""

from __future__ import annotations

import builtins
from dataclasses import asdict
from typing import Any

from pydock_lab.daemon.engine.containers.containers import Containers
from pydock_lab.daemon.engine.containers.networking import network_mode
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.timestamps import until_ns
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.daemon.network.record import NetworkRecord
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.errors import Forbidden, InvalidParameter, LabError, NotFound, SystemFailure
from pydock_lab.spec import timestamps

_LIST_FILTERS = ("dangling", "driver", "id", "label", "label!", "name", "scope", "type")
_PRUNE_FILTERS = ("label", "label!", "until")


class EngineNetworks:
    """The verbs of `docker network`."""

    def __init__(self, networks: Networks, containers: Containers, runtime: Runtime, events: Events) -> None:
        self._networks = networks
        self._containers = containers
        self._runtime = runtime
        self._events = events

    async def create(self, request: dict[str, Any]) -> str:
        """Create a network from Docker's NetworkCreateRequest; return its id."""
        document = await self._networks.create(request)
        self._publish(self._networks.record(document["Id"]), "create")
        return str(document["Id"])

    def inspect(self, name: str, *, scope: str = "") -> dict[str, Any]:
        """Return a network's document; of the `scope` asked for, and there is only `local` here."""
        if scope not in ("", "local"):
            raise NotFound(f"network {name} not found")
        return self._networks.resolve(name)

    def list(self, filters: Filters) -> builtins.list[dict[str, Any]]:
        """Return the documents of the networks that a client filters for; containers are left out, as in Docker."""
        filters.check(_LIST_FILTERS)
        wants_dangling = filters.flag("dangling", False)
        for kind in filters.values("type"):
            if kind not in ("custom", "builtin"):
                raise InvalidParameter(f"invalid filter: 'type'='{kind}'")
        return [
            document | {"Containers": {}}
            for document in self._networks.list()
            if _matches(document, filters) and ("dangling" not in filters or wants_dangling == self._dangling(document))
        ]

    async def remove(self, name: str) -> None:
        """Remove a network that nobody uses. Raises Forbidden, NotFound."""
        record = self._networks.record(name)
        await self._networks.remove(record.id)
        self._publish(record, "destroy")

    async def prune(self, filters: Filters) -> builtins.list[str]:
        """Remove all user-defined networks that no container is on or was made for; return their names."""
        filters.check(_PRUNE_FILTERS)
        moment_ns = until_ns(filters)
        wanted = {name for container in self._containers.table for name in container.record.networks}
        pruned = []
        for document in self._networks.list():
            record = self._networks.record(document["Id"])
            if not record.user_defined or document["Containers"] or wanted & {record.name, record.id}:
                continue
            if not filters.labels(record.labels):
                continue
            if moment_ns is not None and timestamps.parse(record.created) > moment_ns:
                continue
            try:
                await self.remove(record.id)
            except LabError:  # a container came onto it meanwhile
                continue
            pruned.append(record.name)
        self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return pruned

    async def connect(self, name: str, container_name: str, settings: dict[str, Any]) -> None:
        """Put a container on one more network, now if it runs and at every start from now on.

        Args:
            name: The network: id, name or prefix.
            container_name: The container: id, name or prefix.
            settings: Docker's EndpointSettings.

        Raises:
            Forbidden, InvalidParameter, NotFound: in dockerd's words.
        """
        record = self._networks.record(name)
        container = self._containers.get(container_name)
        async with container.lock:
            _check_connectable(record, container)
            if not record.user_defined and settings.get("Aliases"):
                raise InvalidParameter("network-scoped alias is supported only for containers in user defined networks")
            if record.name == container.record.host_config["NetworkMode"] and not settings.get("MacAddress"):
                # The container's own address goes with its first network, also when it leaves and comes back.
                settings = {**settings, "MacAddress": container.record.config.get("MacAddress") or ""}
            key = self._key(container, record)
            if key in container.record.endpoints:
                raise Forbidden(f"endpoint with name {container.name} already exists in network {record.name}")
            if container.state.running:
                await self._plug_in(container, record, settings)
            container.record.networks[key or record.name] = settings
            self._containers.table.save(container)
            if container.state.running:
                await self._containers.networking.ensure_names(container)

    async def _plug_in(self, container: Container, record: NetworkRecord, settings: dict[str, Any]) -> None:
        networking = self._containers.networking
        endpoint = await networking.allocate(container, record.id, settings)
        endpoints = container.record.endpoints
        endpoints[record.name] = endpoint
        try:
            await self._runtime.connect(container.id, asdict(networking.attachment(container, endpoint)))
        except BaseException:
            del endpoints[record.name]
            await self._networks.release(endpoint)
            raise
        try:
            await networking.publish_ports(container)
        except BaseException:
            await self._unplug(container, record, endpoints.pop(record.name))
            raise
        self._write_files(container)
        self._publish(record, "connect", container)

    async def disconnect(self, name: str, container_name: str, *, force: bool = False) -> None:
        """Take a container off a network. Raises SystemFailure where it is not on it, as dockerd does.

        Args:
            name: The network: id, name or prefix.
            container_name: The container: id, name or prefix.
            force: Also if the container is gone, and only its place is left.
        """
        record = self._networks.record(name)
        try:
            container = self._containers.get(container_name)
        except NotFound:
            if force:
                raise NotFound(f"endpoint {container_name} not found") from None
            raise
        async with container.lock:
            if record.driver == "host":
                raise InvalidParameter(
                    "container cannot be disconnected from host network or connected to host network"
                )
            key = self._key(container, record)
            if key is None:
                raise SystemFailure(f"container {container.id} is not connected to network {record.name}")
            if endpoint := container.record.endpoints.pop(key, None):
                await self._unplug(container, record, endpoint)
            del container.record.networks[key]
            self._containers.table.save(container)

    async def _unplug(self, container: Container, record: NetworkRecord, endpoint: Endpoint) -> None:
        if container.state.running:
            routes = self._containers.networking.default_routes(container)
            await self._runtime.disconnect(container.id, endpoint.ifname, routes)
        await self._networks.release(endpoint)
        self._publish(record, "disconnect", container)
        # Published ports move on to a network that is left.
        await self._containers.networking.publish_ports(container, builtins.list(endpoint.bindings))
        self._write_files(container)

    def _write_files(self, container: Container) -> None:
        self._containers.networking.write_files(container, self._containers.launcher.directory(container.id))

    def _key(self, container: Container, record: NetworkRecord) -> str | None:
        """Under which of a network's names a container has it: users name networks by id too."""
        return next((key for key in container.record.networks if key in (record.name, record.id)), None)

    def _dangling(self, document: dict[str, Any]) -> bool:
        return self._networks.record(document["Id"]).user_defined and not document["Containers"]

    def _publish(self, record: NetworkRecord, action: str, container: Container | None = None) -> None:
        about = {"container": container.id} if container else {}
        self._events.publish("network", action, record.id, {**about, "name": record.name, "type": record.driver})


def _matches(document: dict[str, Any], filters: Filters) -> bool:
    builtin = document["Name"] in ("bridge", "host", "none")
    return (
        filters.any("driver", document["Driver"].__eq__)
        and filters.any("id", document["Id"].startswith)
        and filters.any("name", document["Name"].__contains__)
        and filters.any("scope", document["Scope"].__eq__)
        and filters.any("type", ("builtin" if builtin else "custom").__eq__)
        and filters.labels(document["Labels"])
    )


def _check_connectable(record: NetworkRecord, container: Container) -> None:
    mode = network_mode(container.record)
    if record.driver == "host" or mode == "host":
        raise InvalidParameter("container cannot be disconnected from host network or connected to host network")
    if mode.startswith("container:"):
        raise InvalidParameter("container sharing network namespace with another container or host cannot be connected "
                               "to any other network")  # fmt: skip
    if record.driver == "null" or mode == "none":
        raise InvalidParameter(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )
