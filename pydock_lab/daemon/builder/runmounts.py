"""Carry out `RUN --mount`: each mount as the OCI runtime wants it, for the time of one step.

Source: the Dockerfile reference, "RUN --mount". What a mount shows never gets
into the step's layer; its mount point is made in a directory below it.
"""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.cachemounts import CacheMounts
from pydock_lab.daemon.builder.copying import Copier, Ownership
from pydock_lab.daemon.builder.rootfs import WritableRootfs
from pydock_lab.daemon.builder.sources import SourceTree
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.daemon.runtime import oci
from pydock_lab.dockerfile.mounts import BIND, CACHE, SECRET, TMPFS, Mount
from pydock_lab.errors import InvalidParameter

_SECRETS = "/run/secrets"
_AGENT = "/run/buildkit/ssh_agent.{number}"
_DEFAULT_AGENT = "default"


@dataclass
class Mounted:
    """What the mounts of one step came to.

    Attributes:
        mounts: OCI mounts.
        files: Their mount points that are files and no directories.
        env: `KEY=value` each.
    """

    mounts: list[dict[str, Any]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    env: list[str] = field(default_factory=list)


@dataclass
class RunMounts:
    """Makes the mounts of RUN steps.

    Args:
        find: Finds the tree behind `from`; "" is the build context.
        secrets: Gives a secret's content by its id, None where there is none.
        agents: Gives the socket of an ssh agent by its id, None where there is none.
        private: A directory of this build for secrets, on memory where there is some; made when needed.
    """

    caches: CacheMounts
    find: Callable[[str], Awaitable[SourceTree]]
    secrets: Callable[[str], Awaitable[bytes | None]]
    agents: Callable[[str], Awaitable[str | None]]
    private: Path
    rootless: bool = False

    async def enter(self, mounts: Sequence[Mount], workdir: str, scratch: Path, stack: AsyncExitStack) -> Mounted:
        """Make the mounts of one step; they last as long as `stack`.

        Args:
            mounts: In the Dockerfile's order.
            workdir: Of the step: a relative target begins there.
            scratch: A directory of this step.
            stack: Takes down what has to be given back.

        Raises:
            InvalidParameter: a source, secret or agent is missing.
        """
        result = Mounted()
        for number, mount in enumerate(mounts):
            target = posixpath.normpath(posixpath.join("/", workdir, mount.target)) if mount.target else ""
            if not target and mount.type not in (SECRET, "ssh"):
                raise InvalidParameter(f"{mount.type} mount needs a target")
            if target == "/":
                raise InvalidParameter('invalid mount target "/"')
            if mount.type == TMPFS:
                size = f"size={mount.size_bytes}" if mount.size_bytes else ""
                result.mounts.append(oci.tmpfs(target, ",".join(filter(None, ("exec", "mode=1777", size)))))
            elif mount.type == CACHE:
                await self._cache(mount, target, stack, result)
            elif mount.type == SECRET:
                await self._secret(mount, target, result)
            elif mount.type == BIND:
                await self._bind(mount, target, scratch / f"bind-{number}", result)
            else:
                await self._agent(mount, target, number, result)
        return result

    async def _cache(self, mount: Mount, target: str, stack: AsyncExitStack, result: Mounted) -> None:
        cache_id = mount.id or target
        if mount.from_image:
            cache_id += f"|{mount.from_image}:{mount.source}"
        directory, new = await stack.enter_async_context(self.caches.use(cache_id, mount.sharing))
        if new:
            if mount.from_image:
                await self._copy(mount, directory)
            directory.chmod(0o755 if mount.mode is None else mount.mode)
            WritableRootfs(directory, [], rootless=self.rootless).own(directory, mount.uid, mount.gid)
        result.mounts.append(oci.bind(str(directory), target, read_only=mount.read_only))

    async def _secret(self, mount: Mount, target: str, result: Mounted) -> None:
        secret_id = mount.id or mount.source or posixpath.basename(mount.target)
        content = await self.secrets(secret_id)
        if content is None:
            if mount.required:
                raise InvalidParameter(
                    f"secret {secret_id}: not found",
                    hint=f"give it with: pydock build --secret id={secret_id},src=FILE",
                )
            return
        if mount.env:
            result.env.append(f"{mount.env}={content.decode(errors='surrogateescape')}")
            if not target:
                return
        target = target or f"{_SECRETS}/{secret_id}"
        file = self._private_directory() / secrets.token_hex(8)
        file.write_bytes(content)
        file.chmod(0o400 if mount.mode is None else mount.mode)
        WritableRootfs(self.private, [], rootless=self.rootless).own(file, mount.uid, mount.gid)
        result.mounts.append(oci.bind(str(file), target, read_only=True))
        result.files.add(target)

    async def _bind(self, mount: Mount, target: str, scratch: Path, result: Mounted) -> None:
        tree = await self.find(mount.from_image)
        source = (await finished(asyncio.to_thread(tree.find, mount.source or "/")))[0]
        files = await finished(asyncio.to_thread(tree.files))
        place = files.resolve(source.place.path)
        assert place is not None
        if mount.read_only and len(place.real) == 1:
            path = place.real[0]
        else:
            # Several layers that are merged, or writes that are thrown away: a copy for this step.
            scratch.mkdir()
            await self._copy(mount, scratch)
            path = scratch if place.is_directory else scratch / posixpath.basename(source.name)
        result.mounts.append(oci.bind(str(path), target, read_only=mount.read_only))
        if not place.is_directory:
            result.files.add(target)

    async def _copy(self, mount: Mount, directory: Path) -> None:
        tree = await self.find(mount.from_image)
        source = (await finished(asyncio.to_thread(tree.find, mount.source or "/")))[0]

        def copy() -> None:
            rootfs = WritableRootfs(directory, [], rootless=self.rootless)
            Copier(rootfs, Ownership(None)).copy(source, tree.files(), "/")

        await finished(asyncio.to_thread(copy))

    async def _agent(self, mount: Mount, target: str, number: int, result: Mounted) -> None:
        agent_id = mount.id or _DEFAULT_AGENT
        path = await self.agents(agent_id)
        if path is None:
            if mount.required:
                raise InvalidParameter(
                    f"unset ssh forward key {agent_id}", hint="give it with: pydock build --ssh default"
                )
            return
        target = target or _AGENT.format(number=number)
        result.mounts.append(oci.bind(path, target, read_only=True))
        result.files.add(target)
        result.env.append(f"SSH_AUTH_SOCK={target}")

    def _private_directory(self) -> Path:
        self.private.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.private
