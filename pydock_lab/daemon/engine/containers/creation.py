"""Making a container: everything is resolved here, so that starting it is quick.

Source: moby daemon/create.go, create_unix.go.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.builder.rootfs import Rootfs
from pydock_lab.daemon.engine.containers import conflicts, limits, mounts, names, settings
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.links import check_links
from pydock_lab.daemon.engine.containers.networking import requested_networks
from pydock_lab.daemon.engine.containers.record import Container, MountPoint, Record, State
from pydock_lab.daemon.engine.containers.request import CreateBody
from pydock_lab.daemon.engine.containers.storage import ContainerStorage
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.engine.images import Images
from pydock_lab.daemon.network import etcfiles
from pydock_lab.daemon.store.images import Image
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import InvalidParameter, NotFound, SystemFailure
from pydock_lab.spec.ids import fresh_id
from pydock_lab.spec.platform import Platform


@dataclass(frozen=True)
class Created:
    """A new container, and what Docker's answer warns about."""

    container: Container
    warnings: list[str] = field(default_factory=list)


class Creation:
    """Makes containers from requests."""

    def __init__(
        self,
        table: ContainerTable,
        launcher: Launcher,
        layers: LayerStore,
        images: Images,
        storage: ContainerStorage,
        abilities: limits.Abilities,
    ) -> None:
        self._table = table
        self._launcher = launcher
        self._layers = layers
        self._images = images
        self._storage = storage
        self._abilities = abilities

    async def create(self, body: CreateBody, name: str = "", platform: str = "", *, container_id: str = "") -> Created:
        """Make a container that can be started; all of it or nothing.

        Args:
            body: What the client asks for.
            name: "" for one that is made up.
            platform: `os/arch[/variant]` that the image must be for, or "".
            container_id: "" for one that is made up.

        Raises:
            NotFound: `No such image: …`.
            Conflict: the name is taken.
            InvalidParameter: anything else Docker refuses.
        """
        if name:
            name = self._table.check_name(name)
        asked_host = body["HostConfig"]
        endpoints = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
        image = self._image(body)
        if image and platform:
            _check_platform(image, body.get("Image", ""), platform)
        image_config: dict[str, Any] = image.config.get("config") or {} if image else {}
        container_id = container_id or fresh_id()
        host = settings.complete_host_config(asked_host)
        warnings = self._abilities.discard(host)
        limits.check(host)
        limits.check_realtime(host)
        conflicts.check(body, host)
        conflicts.check_healthcheck(body.get("Healthcheck"))
        self._resolve_joins(host)
        config = settings.merge_config(body, image_config, container_id, host)
        for entry in host["ExtraHosts"] or []:
            etcfiles.split_extra_host(entry)
        name = name or names.pick_name(self._table.name_is_free)
        check_links(host, name, self._table)
        points = mounts.plan(config, host, self._mounts_of)
        if image:
            self._check_workdir(image, config["WorkingDir"])
        command = [*(config["Entrypoint"] or []), *(config["Cmd"] or [])]
        record = Record(
            id=container_id,
            name=name,
            created_ns=time.time_ns(),
            image_id=image.id if image else "",
            chain_id=image.chain_id if image else None,
            path=command[0],
            args=command[1:],
            config=config,
            host_config=host,
            networks=requested_networks(host, endpoints, config),
            mounts=points,
            state=State(),
        )
        container = self._table.add(record)
        try:
            await self._furnish(container, points)
        except BaseException:
            self._storage.remove(container)
            self._table.discard(container)
            await self._storage.remove_volumes(container)
            raise
        record.complete = True
        self._table.save(container)
        return Created(container, warnings + _warnings(host))

    async def _furnish(self, container: Container, points: list[MountPoint]) -> None:
        """Make the directory, the writable layer, the files and the volumes."""
        record = container.record
        if any(point.type == "volume" for point in points):
            # Volumes outlive a crash: the unfinished record tells the next daemon what to sweep.
            self._table.save(container)
        directory = self._launcher.directory(record.id)
        directory.mkdir(mode=0o710)
        (directory / "diff").mkdir(mode=0o755)
        (directory / "work").mkdir(mode=0o700)
        (directory / "hostname").write_text(f"{record.config['Hostname']}\n")
        if record.chain_id is not None:
            self._layers.hold(record.chain_id, record.id)
        self._launcher.init_layers.provide(record.chain_id, self._layers.lower_paths(record.chain_id))
        for point in points:
            if point.type == "volume":
                await self._storage.provide(container, point)

    def _image(self, body: CreateBody) -> Image | None:
        name = body.get("Image") or ""
        if not name:
            config = body.keys() - {"HostConfig", "NetworkingConfig"}
            if config and not body.get("Cmd"):
                raise InvalidParameter("no command specified")
            raise InvalidParameter("Config cannot be empty in order to create a container")
        return self._images.resolve(name)

    def _check_workdir(self, image: Image, workdir: str) -> None:
        """Refuse a working directory that is a file of the image: dockerd makes it now, the runtime at the start."""
        if workdir.strip("/"):
            rootfs = Rootfs(self._layers.lower_paths(image.chain_id), rootless=False)
            with contextlib.suppress(OSError):  # nothing can be there, which shows when it is made
                place = rootfs.resolve(workdir)
                if place is not None and not place.is_directory:
                    raise SystemFailure(f"Cannot mkdir: {workdir} is not a directory")

    def _resolve_joins(self, host: dict[str, Any]) -> None:
        """Replace names in `container:NAME` modes by ids, as Docker keeps them."""
        for key in ("NetworkMode", "PidMode", "IpcMode"):
            kind, _, reference = host[key].partition(":")
            if kind == "container":
                try:
                    host[key] = f"container:{self._table.get(reference).id}"
                except NotFound as error:
                    if key != "NetworkMode":
                        # To clients, "not found" would mean the image.
                        raise InvalidParameter(error.message) from None

    def _mounts_of(self, reference: str) -> list[MountPoint]:
        try:
            return self._table.get(reference).record.mounts
        except NotFound as error:
            raise InvalidParameter(error.message) from None


def _check_platform(image: Image, name: str, wanted: str) -> None:
    actual = Platform.of(image.config)
    if Platform.parse(wanted).rank(actual) is None:
        raise NotFound(
            f"image with reference {name} was found but does not match the specified platform: wanted {wanted}, "
            f"actual: {actual}"
        )


def _warnings(host: dict[str, Any]) -> list[str]:
    warnings = []
    if host.get("KernelMemory"):
        warnings.append("Specifying a kernel memory limit is deprecated and will be removed in a future release.")
    if host["NetworkMode"] == "host" and host["PortBindings"]:
        warnings.append("Published ports are discarded when using host network mode")
    if host["OomKillDisable"] and not host["Memory"]:
        warnings.append("OOM killer is disabled for the container, but no memory limit is set, this can result in the "
                        "system running out of resources.")  # fmt: skip
    return warnings
