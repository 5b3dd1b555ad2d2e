"""All containers of one daemon: the one door through which api, execs and builder come in.

Each part of a container's life has its own module (creation, lifecycle,
storage, networking, …); here they are put together, and here is what concerns
all containers at once: recovery, the daemon's end, prune. Source: moby daemon/.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Iterable, Iterator
from typing import Any

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine import timestamps
from pydock_lab.daemon.engine.containers import inspect, limits, links, listing, settings
from pydock_lab.daemon.engine.containers.creation import Created, Creation
from pydock_lab.daemon.engine.containers.files import ContainerFiles
from pydock_lab.daemon.engine.containers.filewatch import FileWatch
from pydock_lab.daemon.engine.containers.history import ContainerHistory
from pydock_lab.daemon.engine.containers.intermediate import IntermediateContainers
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.lifecycle import Lifecycle
from pydock_lab.daemon.engine.containers.networking import Networking
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.containers.request import CreateBody, Update
from pydock_lab.daemon.engine.containers.storage import ContainerStorage
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.engine.events import Events
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.daemon.engine.images import Images
from pydock_lab.daemon.engine.images_removal import ImageUser
from pydock_lab.daemon.engine.restart import RestartPolicy
from pydock_lab.daemon.engine.volumes import Volumes
from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import Exit
from pydock_lab.daemon.store.database import Database
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Conflict, InvalidParameter, LabError, NotFound

log = logging.getLogger("pydock.containers")

_KILLED = 137
_SHUTDOWN_PATIENCE_S = 15


class Containers:
    """The containers of one daemon.

    Attributes:
        table: All of them.
        lifecycle: start, stop, kill, pause, …
        files: archive, export, changes.
        intermediates: Those that builds leave.
        launcher: Where their files are.
        log_watch: Tells who follows a log that it has grown.
        history: How each of them was made.
    """

    def __init__(
        self,
        config: DaemonConfig,
        database: Database,
        runtime: Runtime,
        layers: LayerStore,
        images: Images,
        volumes: Volumes,
        networks: Networks,
        events: Events,
        trace: Trace,
    ) -> None:
        self._config = config
        self._runtime = runtime
        self._images = images
        self._events = events
        self._trace = trace
        self.table = ContainerTable(database.table("containers"))
        self.launcher = Launcher(config, self.table, layers)
        self.log_watch = FileWatch()
        self.history = ContainerHistory(trace, self.launcher.directory)
        self.networking = Networking(self.table, networks, runtime, events)
        self._storage = ContainerStorage(config, self.launcher, layers, volumes)
        self._abilities = limits.Abilities.of(cgroups.detect(), rootless=config.rootless)
        self._creation = Creation(self.table, self.launcher, layers, images, self._storage, self._abilities)
        self.lifecycle = Lifecycle(
            self.table, self.launcher, self.networking, runtime, events, trace, self.history, self._remove_when_ended
        )
        self.intermediates = IntermediateContainers(self.table, self._creation, self.launcher, events)
        self.files = ContainerFiles(self.launcher, layers, runtime)
        self._volumes = volumes
        volumes.register_users(self._volume_users)
        images.register_users(self._image_users)

    async def start(self, running: list[str]) -> None:
        """Take up what an earlier daemon left.

        Args:
            running: Ids of containers that the keeper still holds.
        """
        for container in self.table.load():
            self._storage.remove(container)
            self.table.discard(container)
            await self._storage.remove_volumes(container)
        for container in self.table:
            if container.state.running and container.id in running and self._config.live_restore:
                await self.networking.ensure_names(container)
                self.lifecycle.adopt(container)
            elif container.state.status in ("running", "paused", "restarting"):
                await self._bury(container)
        for container_id in running:
            if container_id not in {container.id for container in self.table}:
                await self._end_stray(container_id)
        self._storage.sweep({container.id for container in self.table})
        self.launcher.init_layers.sweep(container.record.chain_id for container in self.table)
        await self._volumes.start()
        for container in self.table:
            record, state = container.record, container.state
            policy = RestartPolicy(record.host_config["RestartPolicy"])
            ran_before = state.started_at_ns > 0 and not state.running
            if ran_before and policy.starts_with_daemon(
                state.exit_code, record.restart_count, stopped_by_hand=record.stopped_by_hand
            ):
                record.restart_count = 0
                self.lifecycle.schedule(container, 0)

    async def stop_all(self) -> None:
        """Stop every container as the daemon ends, unless they are to live on."""
        self.lifecycle.shutting_down = True
        if not self._config.live_restore:
            running = [c for c in self.table if c.state.running or c.state.status == "restarting"]
            await asyncio.gather(*(self._stop_for_shutdown(container) for container in running))
        await self.lifecycle.close()
        self.log_watch.close()
        self.history.close()
        await self._storage.close()

    def get(self, reference: str) -> Container:
        """Find a container by id, name or id prefix. Raises NotFound `No such container: …`."""
        return self.table.get(reference)

    async def create(self, body: CreateBody, name: str = "", platform: str = "") -> Created:
        """Make a container; see creation.py."""
        created = await self._creation.create(body, name, platform)
        record = created.container.record
        self._trace.emit(
            "engine",
            "container.created",
            record.id,
            name=record.name,
            image=record.image_id,
            root=vars(self.launcher.overlay(created.container)),
            mounts=record.mounts,
        )
        self.history.note(record.id)
        self._publish(created.container, "create")
        return created

    def select(self, filters: Filters, *, everything: bool = False, limit: int = 0) -> list[Container]:
        """Return the containers that a list request asks for, newest first; see listing.py."""
        return listing.select(
            self.table,
            filters,
            everything=everything,
            limit=limit,
            find=self.table.get,
            ancestors=self._images.family,
        )

    def inspect(self, container: Container) -> dict[str, Any]:
        """Return Docker's inspect document."""
        return inspect.inspect(container, self.launcher)

    def summary(self, container: Container, links: Iterable[str] = ()) -> dict[str, Any]:
        """Return the entry of a list; its image is told by its id once the name leads elsewhere."""
        document = inspect.summary(container, links)
        if not self._images.leads_to(document["Image"], document["ImageID"]):
            document["Image"] = document["ImageID"]
        return document

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name. Raises InvalidParameter / Conflict."""
        if not name.removeprefix("/"):
            raise InvalidParameter("Neither old nor new names may be empty")
        if name.removeprefix("/") == container.name:
            raise InvalidParameter("Renaming a container with the same name as its current name")
        try:
            bare = self.table.check_name(name)
        except InvalidParameter as error:
            message = error.message.replace(f"({name})", f"(/{name.removeprefix('/')})")
            raise InvalidParameter(f"Error when allocating new name: {message}") from None
        except Conflict as error:
            raise Conflict(f"Error when allocating new name: {error.message}") from None
        old = container.name
        self.table.rename(container, bare)
        self.networking.rename(container)
        self._publish(container, "rename", oldName=f"/{old}")

    async def remove(self, container: Container, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container.

        Args:
            container: Any; one that is gone already is no error.
            force: Kill it first if it runs.
            volumes: Also its anonymous volumes.

        Raises:
            Conflict: it runs, or is being removed already.
        """
        status = container.state.status
        if status == "removing":
            raise Conflict(f"removal of container {container.id} is already in progress")
        if container.state.running or status == "restarting":
            if not force:
                advice = (
                    "container is paused and must be unpaused first"
                    if status == "paused"
                    else "container is running: stop the container before removing or force remove"
                    if status == "running"
                    else "container is restarting: stop the container before removing or force remove"
                )
                raise Conflict(f'cannot remove container "/{container.name}": {advice}')
            await self.lifecycle.end(container)
        async with container.lock:
            await self._discard(container, volumes=volumes)

    def unlink(self, reference: str) -> None:
        """Remove a link, `parent/alias`: from the parent's settings and, while it runs, its /etc/hosts.

        Raises:
            NotFound, Conflict: in Docker's words.
        """
        parent = links.unlink(reference, self.table)
        if parent.state.running:
            self.networking.write_files(parent, self.launcher.directory(parent.id))

    async def prune(self, filters: Filters) -> dict[str, Any]:
        """Remove all containers that do not run; return Docker's answer."""
        filters.check(("label", "label!", "until"))
        until_ns = timestamps.until_ns(filters)
        deleted, freed = [], 0
        for container in self.table:
            record = container.record
            if record.state.running or record.state.status in ("restarting", "removing") or not record.complete:
                continue
            if not filters.labels(container.labels) or (until_ns is not None and record.created_ns > until_ns):
                continue
            size = await self.files.size_rw(container)
            try:
                await self.remove(container)
            except LabError as error:
                log.warning("prune of %s failed: %s", container.name, error.message)
                continue
            deleted.append(record.id)
            freed += size
        self._events.publish("container", "prune", "", {"reclaimed": str(freed)})
        return {"ContainersDeleted": deleted or None, "SpaceReclaimed": freed}

    async def update(self, container: Container, changes: Update) -> list[str]:
        """Change limits and restart policy; return warnings. Raises InvalidParameter / Conflict."""
        record = container.record
        host = dict(record.host_config)
        policy = changes.get("RestartPolicy")
        nothing = settings.host_config_defaults()
        wanted = {**nothing, **{key: value for key, value in changes.items() if key != "RestartPolicy" and value}}
        warnings = self._abilities.discard(wanted)
        asked = {key: value for key, value in wanted.items() if value and value != nothing.get(key)}
        try:
            limits.check_update(host, asked)
        except Conflict as error:
            raise Conflict(f"Cannot update container {container.id}: {error.message}") from None
        host.update(asked)
        if policy and policy.get("Name"):
            if host["AutoRemove"] and policy["Name"] != "no":
                raise Conflict(
                    f"Cannot update container {container.id}: Restart policy cannot be updated because AutoRemove is "
                    "enabled for the container"
                )
            settings.check_restart_policy(policy, auto_remove=host["AutoRemove"])
            host["RestartPolicy"] = {"MaximumRetryCount": 0, **policy}
        limits.check(host)
        if container.state.running and asked:
            warnings += await self._runtime.update(container.id, limits.changeable(host))
        record.host_config = host
        self.lifecycle.forget_policy(container)
        self.table.save(container)
        self._publish(container, "update")
        return warnings

    async def _discard(self, container: Container, *, volumes: bool) -> None:
        if not self.table.holds(container):
            return
        container.state.status = "removing"
        await self._runtime.detached(container.id)
        self._storage.remove(container)
        self.table.discard(container)
        self.history.forget(container.id)
        if volumes:
            await self._storage.remove_volumes(container)
        self._publish(container, "destroy")
        container.removed()

    async def _remove_when_ended(self, container: Container) -> None:
        async with container.lock:
            if not container.state.running:
                await self._discard(container, volumes=True)

    async def _stop_for_shutdown(self, container: Container) -> None:
        removed = container.removal() if container.record.host_config["AutoRemove"] else None
        try:
            timeout_s = min(container.record.config.get("StopTimeout", 10), _SHUTDOWN_PATIENCE_S)
            await self.lifecycle.stop(container, timeout_s=timeout_s)
            if removed is not None:
                await asyncio.wait_for(removed, _SHUTDOWN_PATIENCE_S)
        except (LabError, asyncio.TimeoutError) as error:
            log.warning("%s did not stop: %s", container.name, error)

    async def _bury(self, container: Container) -> None:
        """Note the end of a container that an earlier daemon did not see end."""
        end = await self._end_stray(container.id)
        state = container.state
        # One that waited for its restart has ended before, and how is known.
        if end is not None or state.status != "restarting":
            state.exit_code = end.code if end else _KILLED
            state.finished_at_ns = end.finished_at_ns if end else time.time_ns()
        state.status, state.pid = "exited", 0
        await self.networking.disconnect(container, quiet=True)
        self.table.save(container)
        if container.record.host_config["AutoRemove"]:
            await self._discard(container, volumes=True)

    async def _end_stray(self, container_id: str) -> Exit | None:
        """Kill a container that this daemon does not take over; None where the keeper knows none."""
        with contextlib.suppress(Conflict):
            await self._runtime.signal(container_id, signal.SIGKILL)
        try:
            end = await self._runtime.wait(container_id)
        except NotFound:
            return None
        await self._runtime.delete(container_id)
        return end

    def _volume_users(self) -> Iterator[tuple[str, set[str]]]:
        for container in self.table:
            yield container.id, {point.name for point in container.record.mounts if point.type == "volume"}

    def _image_users(self) -> Iterator[ImageUser]:
        for container in self.table:
            yield ImageUser(container.id, container.record.image_id, container.state.running)

    def _publish(self, container: Container, action: str, **attributes: str) -> None:
        self._events.publish("container", action, container.id, {**container.event_attributes(), **attributes})
