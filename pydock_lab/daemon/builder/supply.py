"""Where a build takes from what its client has: the Dockerfile, the context, secrets, ssh agents, credentials.

The classic protocol sends a tar before the build begins (`TarSupply`). BuildKit's clients keep
all of it and are asked for what is needed, when it is (buildkit/supply.py).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from pydock_lab.daemon.builder import remote
from pydock_lab.daemon.builder.context import BuildContext, is_tar
from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.daemon.builder.threads import finished
from pydock_lab.dockerfile.ignore import Ignore
from pydock_lab.dockerfile.stages import Stage
from pydock_lab.errors import InvalidParameter, SystemFailure


class Supply(Protocol):
    """What a build asks of its client, in this order."""

    async def dockerfile(self) -> tuple[bytes, Ignore | None]:
        """Return the Dockerfile's text, and what .dockerignore says if there is one. Raises LabError."""

    async def context(self, needed: list[Stage]) -> BuildContext:
        """Return the build context, as far as these stages may read it. Raises LabError."""

    async def secret(self, secret_id: str) -> bytes | None:
        """Return a secret (`--secret`)."""

    async def agent(self, agent_id: str) -> str | None:
        """Return the path of an ssh agent's socket (`--ssh`)."""

    async def credentials(self, image: str) -> dict[str, dict[str, str]]:
        """Return who the client is to an image's registry: host → Docker's AuthConfig."""


class TarSupply:
    """The supply of a build whose client has sent a tar, or has named a URL.

    Args:
        tar: The context as it came, compressed or not; "" bytes long where `options.remote` names it.
        scratch: An existing directory of this build alone.
    """

    def __init__(self, tar: Path, scratch: Path, options: BuildOptions, *, rootless: bool) -> None:
        self._tar = tar
        self._scratch = scratch
        self._options = options
        self._rootless = rootless
        self._secrets: dict[str, bytes] = {}
        self._context: BuildContext

    async def dockerfile(self) -> tuple[bytes, Ignore | None]:
        """Look through the context, read the Dockerfile in it."""
        self._context, source = await finished(asyncio.to_thread(self._read))
        return source, self._context.ignore

    async def context(self, needed: list[Stage]) -> BuildContext:
        """Return all of the context: it is here."""
        return self._context

    async def secret(self, secret_id: str) -> bytes | None:
        """Return a secret that came along with the tar."""
        return self._secrets.get(secret_id)

    async def agent(self, agent_id: str) -> str | None:
        """Return the agent that the request named."""
        return self._options.ssh.get(agent_id)

    async def credentials(self, image: str) -> dict[str, dict[str, str]]:
        """Nothing besides what the request's header had."""
        return {}

    def _read(self) -> tuple[BuildContext, bytes]:
        options, root = self._options, self._scratch / "context"
        tar = self._tar
        if remote.is_git(options.remote) or options.remote.startswith("github.com/"):
            context = BuildContext(remote.clone(remote.GitSource.read(options.remote), root))
        else:
            if options.remote:
                downloads = self._scratch / "remote"
                downloads.mkdir()
                try:
                    tar = remote.download(options.remote, downloads, name="context")
                except InvalidParameter as error:
                    message = f"error downloading remote context {options.remote}: {error.message}"
                    raise SystemFailure(message, hint=error.hint) from None
                if not is_tar(tar):
                    root.mkdir()
                    return BuildContext(root), tar.read_bytes()
            context = BuildContext.from_tar(tar, root, options, rootless=self._rootless)
        if options.extras:
            self._secrets = context.take_extras()
        return context, context.read_dockerfile(options)
