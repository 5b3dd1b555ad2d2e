"""What a build takes from a session's client: it asks for each thing when the build comes to it."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path

from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.mirror import Mirror
from pydock_lab.daemon.builder.mirrors import Mirrors
from pydock_lab.daemon.builder.remote import is_git, is_url
from pydock_lab.daemon.buildkit.filesync import receive
from pydock_lab.daemon.buildkit.progress import Progress
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.instructions import Add, Copy, Instruction, Onbuild, Run
from pydock_lab.dockerfile.mounts import BIND, read_mount
from pydock_lab.dockerfile.stages import Stage
from pydock_lab.errors import DockerfileError, InvalidParameter
from pydock_lab.spec import reference

_CONTEXT, _DOCKERFILE = "context", "dockerfile"
_IGNORE = ".dockerignore"


class SessionSupply:
    """The supply of a build whose client waits on a session.

    Args:
        session: The client.
        mirrors: Directories that earlier builds have received.
        filename: The Dockerfile, in the client's `dockerfile` directory.
        progress: Shows what is transferred.
        scratch: An existing directory of this build alone.
        stack: Gives back what is used, when the build has ended.
    """

    def __init__(
        self,
        session: Session,
        mirrors: Mirrors,
        filename: str,
        progress: Progress,
        scratch: Path,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._session = session
        self._mirrors = mirrors
        self._filename = filename
        self._progress = progress
        self._scratch = scratch
        self._stack = stack
        self._ignored: list[str] = []

    async def dockerfile(self) -> tuple[bytes, Ignore | None]:
        """Fetch the Dockerfile and the .dockerignore that counts for it."""
        name = posixpath.normpath(self._filename)
        own_ignore = f"{name}{_IGNORE}"
        follow = [name, own_ignore]
        if posixpath.basename(name) == "Dockerfile":
            follow.append(posixpath.join(posixpath.dirname(name), "dockerfile"))
        with self._progress.doing(f"[internal] load build definition from {name}") as vertex:
            with self._progress.transferring(vertex, "transferring dockerfile:") as transfer:
                files = await self._few(_DOCKERFILE, follow, transfer.came)
            source = files.get(name, files.get(follow[-1]))
            if source is None:
                raise InvalidParameter(
                    f"failed to read dockerfile: open {name}: no such file or directory",
                    hint="-f names another Dockerfile",
                )
            if not source.strip():
                raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
        ignore = files.get(own_ignore)
        with self._progress.doing(f"[internal] load {_IGNORE}") as vertex:
            with self._progress.transferring(vertex, "transferring context:") as transfer:
                if ignore is None:
                    ignore = (await self._few(_CONTEXT, [_IGNORE], transfer.came)).get(_IGNORE)
        if ignore is None:
            return source, None
        parsed = Ignore.parse(ignore.decode(errors="replace"))
        self._ignored = [f"{'' if pattern.excludes else '!'}{pattern.text}" for pattern in parsed.patterns]
        return source, parsed

    async def context(self, needed: list[Stage]) -> BuildContext:
        """Fetch what these stages read of the context, as far as it is not here from an earlier build."""
        paths = _wanted(needed)
        if paths == []:
            empty = self._scratch / "context"
            empty.mkdir()
            return BuildContext(empty)
        mirror = await self._stack.enter_async_context(
            self._mirrors.use(self._session.shared_key, _CONTEXT, self._scratch)
        )
        with self._progress.doing("[internal] load build context") as vertex:
            with self._progress.transferring(vertex, "transferring context:") as transfer:
                await receive(
                    self._session,
                    _CONTEXT,
                    mirror,
                    follow=paths or (),
                    exclude=self._ignored,
                    progress=transfer.came,
                )
        return BuildContext(mirror.root, index=await asyncio.to_thread(mirror.index), kept=True)

    async def secret(self, secret_id: str) -> bytes | None:
        """Ask for a secret."""
        return await self._session.secret(secret_id)

    async def agent(self, agent_id: str) -> str | None:
        """No agent is forwarded."""
        return None

    async def credentials(self, image: str) -> dict[str, dict[str, str]]:
        """Ask who the client is to an image's registry."""
        try:
            domain = reference.parse(image).domain
        except InvalidParameter:
            return {}
        return await self._session.credentials(domain)

    async def _few(self, name: str, paths: list[str], progress: Callable[[int], None]) -> dict[str, bytes]:
        """Fetch some files; those that are there, by their names."""
        directory = self._scratch / f"few-{name}"
        mirror = Mirror(directory)
        mirror.open()
        await receive(self._session, name, mirror, follow=paths, progress=progress)
        found: dict[str, bytes] = {}
        for path in paths:
            with contextlib.suppress(OSError):
                real = (mirror.root / path).resolve()
                if real.is_relative_to(mirror.root.resolve()):
                    found[path] = real.read_bytes()
        return found


def _wanted(needed: list[Stage]) -> list[str] | None:
    """Return which paths of the context the stages read; None for all of it, or where that can't be said yet."""
    paths: list[str] = []
    for stage in needed:
        for step in (*stage.triggers, *stage.instructions):
            if isinstance(step, Onbuild):
                return None  # it may read anything, wherever it is built upon
            paths += _read_by(step)
    if any("$" in path or posixpath.normpath(f"/{path}") in ("/", "//") for path in paths):
        return None
    return sorted({posixpath.normpath(f"/{path}").lstrip("/") for path in paths})


def _read_by(step: Instruction) -> Iterator[str]:
    if isinstance(step, (Add, Copy)) and not (isinstance(step, Copy) and step.source_image):
        yield from (source for source in step.sources if not is_url(source) and not is_git(source))
    elif isinstance(step, Run):
        for text in step.mounts:
            try:
                mount = read_mount(text)
            except DockerfileError:
                yield "/"  # a variable may make it right
                continue
            if mount.type == BIND and not mount.from_image:
                yield mount.source or "/"
