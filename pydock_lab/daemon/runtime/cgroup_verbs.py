"""What of a container needs no keeper: its cgroup is written and read by the daemon itself."""

from __future__ import annotations

import asyncio
from typing import Any

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime.pids import same_pid_namespace
from pydock_lab.errors import Conflict, SystemFailure


class CgroupVerbs:
    """Pause, update, measure and list the processes of containers."""

    def __init__(self) -> None:
        self._layout = cgroups.detect()
        self._pids: dict[str, int] = {}
        self._cgroup_paths: dict[str, str] = {}

    async def pause(self, container_id: str) -> None:
        """Freeze every process of a container (freezer cgroup). Raises Conflict where it has ended."""
        await self._freeze(container_id, frozen=True)

    async def resume(self, container_id: str) -> None:
        """Thaw a container. Raises Conflict where it has ended."""
        await self._freeze(container_id, frozen=False)

    async def _freeze(self, container_id: str, *, frozen: bool) -> None:
        try:
            await asyncio.to_thread(self._cgroup(container_id).freeze, frozen)
        except FileNotFoundError:
            if same_pid_namespace(self._pids.get(container_id, 0)):
                raise SystemFailure(
                    f"cannot freeze container {container_id}: no freezer cgroup",
                    hint="rootless without a delegated cgroup",
                ) from None
            # It has ended this moment, and its cgroup is gone before we have heard of it.
            raise Conflict(f"Container {container_id} is not running") from None

    async def processes(self, container_id: str) -> list[int]:
        """Return the host pids of a container's processes, init first."""
        init = self._pids.get(container_id, 0)
        pids: list[int] = []
        if self._cgroup_paths.get(container_id) and self._layout.version:
            pids = await asyncio.to_thread(self._cgroup(container_id).processes)
        # A plain user's engine has asked for a cgroup, but could make none: it seems empty.
        if init and not pids:
            pids = await asyncio.to_thread(same_pid_namespace, init)
        return sorted(pids, key=lambda pid: (pid != init, pid))

    async def update(self, container_id: str, resources: dict[str, object]) -> list[str]:
        """Write OCI `linux.resources` to a running container's cgroup; return warnings."""
        return await asyncio.to_thread(self._cgroup(container_id).apply, resources)

    async def stats(self, container_id: str) -> dict[str, Any]:
        """Return what a running container has used; see linux.cgroups.Cgroup.stats."""
        return await asyncio.to_thread(self._cgroup(container_id).stats)

    def _cgroup(self, container_id: str) -> cgroups.Cgroup:
        path = self._cgroup_paths.get(container_id)
        if not path or not self._layout.version:
            raise SystemFailure(f"container {container_id} has no cgroup", hint="rootless without a delegated cgroup")
        return self._layout.cgroup(path)
