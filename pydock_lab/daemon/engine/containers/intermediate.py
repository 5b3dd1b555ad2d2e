"""Containers of RUN steps that a build leaves behind (builder/intermediate.py says when)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pydock_lab.daemon.builder.intermediate import Ended
from pydock_lab.daemon.engine.containers import names
from pydock_lab.daemon.engine.containers.creation import Creation
from pydock_lab.daemon.engine.containers.launch import Launcher
from pydock_lab.daemon.engine.containers.record import State
from pydock_lab.daemon.engine.containers.request import CreateBody
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.engine.events import Events


class IntermediateContainers:
    """Takes what ran in a build among the containers."""

    def __init__(self, table: ContainerTable, creation: Creation, launcher: Launcher, events: Events) -> None:
        self._table = table
        self._creation = creation
        self._launcher = launcher
        self._events = events

    def pick_name(self) -> str:
        """Return a name that no container has."""
        return names.pick_name(self._table.name_is_free)

    def publish(self, action: str, container_id: str, attributes: dict[str, str]) -> None:
        """Tell Docker's event stream."""
        self._events.publish("container", action, container_id, attributes)

    async def keep(self, container_id: str, name: str, body: dict[str, Any], upper: Path, ended: Ended) -> None:
        """Make a container that has run.

        Args:
            container_id: The id under which it ran.
            name: Taken unless another container has got it meanwhile.
            body: Docker's create request.
            upper: What it wrote, on the same file system as the containers; it is moved.
            ended: How it ended.
        """
        name = name if self._table.name_is_free(name) else ""
        created = await self._creation.create(cast("CreateBody", body), name, container_id=container_id)
        directory = self._launcher.directory(container_id)
        (directory / "diff").rmdir()
        upper.rename(directory / "diff")
        record = created.container.record
        record.created_ns = ended.started_at_ns
        record.state = State(
            status="exited",
            exit_code=ended.exit_code,
            started_at_ns=ended.started_at_ns,
            finished_at_ns=ended.finished_at_ns,
        )
        self._table.save(created.container)
