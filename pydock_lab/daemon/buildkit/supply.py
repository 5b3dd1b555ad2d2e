"""What a build takes from a session's client: it asks for each thing when the build comes to it."""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydock_lab.daemon.builder.context import BuildContext
from pydock_lab.daemon.builder.mirror import Mirror
from pydock_lab.daemon.builder.mirrors import Mirrors
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.remote import is_git, is_url
from pydock_lab.daemon.builder.supply import TarSupply
from pydock_lab.daemon.buildkit.agent import forwarded
from pydock_lab.daemon.buildkit.filesync import receive
from pydock_lab.daemon.buildkit.progress import Progress
from pydock_lab.daemon.buildkit.protos.control import Vertex
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.instructions import Add, Copy, Instruction, Onbuild, Run
from pydock_lab.dockerfile.mounts import BIND, read_mount
from pydock_lab.dockerfile.stages import Stage, sources_of
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
        named: Further contexts: name → what the session calls the directory.
    """

    def __init__(
        self,
        session: Session,
        mirrors: Mirrors,
        filename: str,
        progress: Progress,
        scratch: Path,
        stack: contextlib.AsyncExitStack,
        named: Mapping[str, str] | None = None,
    ) -> None:
        self.session = session
        self.progress = progress
        self.scratch = scratch
        self._mirrors = mirrors
        self._filename = posixpath.normpath(filename)
        self._stack = stack
        self._named = dict(named or {})
        self._own_ignore: bytes | None = None
        self._ignored: list[str] = []
        self._agents: dict[str, str | None] = {}

    async def dockerfile(self) -> tuple[bytes, Ignore | None]:
        """Fetch the Dockerfile and the .dockerignore that counts for it."""
        source = await self.definition()
        with self.progress.doing(f"[internal] load {_IGNORE}") as vertex:
            with self.progress.transferring(vertex, "transferring context:") as transfer:
                ignore = self._own_ignore
                if ignore is None:
                    ignore = (await self._few(_CONTEXT, [_IGNORE], transfer.came)).get(_IGNORE)
        if ignore is None:
            return source, None
        parsed = Ignore.parse(ignore.decode(errors="replace"))
        self._ignored = _lines(parsed)
        return source, parsed

    async def definition(self) -> bytes:
        """Fetch the Dockerfile; note the `Dockerfile.dockerignore` beside it.

        Raises:
            InvalidParameter: there is none, or it is empty.
        """
        name = self._filename
        own_ignore = f"{name}{_IGNORE}"
        follow = [name, own_ignore]
        if posixpath.basename(name) == "Dockerfile":
            follow.append(posixpath.join(posixpath.dirname(name), "dockerfile"))
        with self.progress.doing(f"[internal] load build definition from {name}") as vertex:
            with self.progress.transferring(vertex, "transferring dockerfile:") as transfer:
                files = await self._few(_DOCKERFILE, follow, transfer.came)
            source = files.get(name, files.get(follow[-1]))
            if source is None:
                raise InvalidParameter(
                    f"failed to read dockerfile: open {name}: no such file or directory",
                    hint="-f names another Dockerfile",
                )
            if not source.strip():
                raise InvalidParameter(f"the Dockerfile ({name}) cannot be empty")
        self._own_ignore = files.get(own_ignore)
        return source

    async def context(self, needed: list[Stage]) -> BuildContext:
        """Fetch what these stages read of the context, as far as it is not here from an earlier build."""
        paths = _wanted(needed)
        if paths == []:
            empty = self.scratch / "context"
            empty.mkdir()
            context = BuildContext(empty)
        else:
            with self.progress.doing("[internal] load build context") as vertex:
                context = await self._directory(vertex, _CONTEXT, paths or [], self._ignored)
        await self.add_named(context, needed)
        return context

    async def add_named(self, context: BuildContext, needed: list[Stage]) -> None:
        """Fetch those of the further contexts that these stages read."""
        read = {name for stage in needed for step in stage.instructions for name in sources_of(step)}
        for name in sorted(read & self._named.keys()):
            directory = self._named[name]
            ignore = (await self._few(directory, [_IGNORE], lambda size: None)).get(_IGNORE, b"")
            ignored = _lines(Ignore.parse(ignore.decode(errors="replace")))
            with self.progress.doing(f"[context {name}] load from client") as vertex:
                context.add(name, await self._directory(vertex, directory, [], ignored))

    async def _directory(self, vertex: Vertex, name: str, follow: list[str], exclude: list[str]) -> BuildContext:
        using = self._mirrors.use(self.session.shared_key, name, self.scratch)
        mirror = await self._stack.enter_async_context(using)
        with self.progress.transferring(vertex, "transferring context:") as transfer:
            await receive(self.session, name, mirror, follow=follow, exclude=exclude, progress=transfer.came)
        return BuildContext(mirror.root, index=await asyncio.to_thread(mirror.index), kept=True)

    async def secret(self, secret_id: str) -> bytes | None:
        """Ask for a secret."""
        return await self.session.secret(secret_id)

    async def agent(self, agent_id: str) -> str | None:
        """Return a socket behind which the client's ssh agent answers."""
        if agent_id not in self._agents:
            self._agents[agent_id] = await self._stack.enter_async_context(forwarded(self.session, agent_id))
        return self._agents[agent_id]

    async def credentials(self, image: str) -> dict[str, dict[str, str]]:
        """Ask who the client is to an image's registry."""
        try:
            domain = reference.parse(image).domain
        except InvalidParameter:
            return {}
        return await self.session.credentials(domain)

    async def _few(self, name: str, paths: list[str], progress: Callable[[int], None]) -> dict[str, bytes]:
        """Fetch some files; those that are there, by their names."""
        directory = self.scratch / f"few-{name}"
        mirror = Mirror(directory)
        mirror.open()
        await receive(self.session, name, mirror, follow=paths, progress=progress)
        found: dict[str, bytes] = {}
        for path in paths:
            with contextlib.suppress(OSError):
                real = (mirror.root / path).resolve()
                if real.is_relative_to(mirror.root.resolve()):
                    found[path] = real.read_bytes()
        return found


class RemoteSupply(SessionSupply):
    """The supply of a build whose context is a URL, or a tar that the client hands over in one piece.

    Args:
        own: As of a SessionSupply.
        options: `remote` says where the context is.
        tar: Where it is to be written.
        apart: The Dockerfile is not in the context but in the client's `dockerfile` directory.
        fetch: Writes the tar, where the builder can't fetch it itself.
    """

    def __init__(
        self,
        *own: Any,
        options: BuildOptions,
        tar: Path,
        apart: bool = False,
        fetch: Callable[[Path], Awaitable[None]] | None = None,
        rootless: bool = False,
    ) -> None:
        super().__init__(*own)
        self._options = replace(options, remote="") if fetch is not None else options
        self._tar = tar
        self._apart = apart
        self._fetch = fetch
        self._rootless = rootless
        self._supply: TarSupply

    async def dockerfile(self) -> tuple[bytes, Ignore | None]:
        """Fetch the context; read the Dockerfile in it, unless that comes apart."""
        options = self._options
        if self._apart:
            options = replace(options, dockerfile_text=(await self.definition()).decode(errors="replace"))
        with self.progress.doing("[internal] load remote build context"):
            if self._fetch is not None:
                await self._fetch(self._tar)
            self._supply = TarSupply(self._tar, self.scratch, options, rootless=self._rootless)
            return await self._supply.dockerfile()

    async def context(self, needed: list[Stage]) -> BuildContext:
        """Return what has been fetched."""
        context = await self._supply.context(needed)
        await self.add_named(context, needed)
        return context


def _lines(ignore: Ignore) -> list[str]:
    """Write the patterns of a .dockerignore as a client takes them."""
    return [f"{'' if pattern.excludes else '!'}{pattern.text}" for pattern in ignore.patterns]


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
