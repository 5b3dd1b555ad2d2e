"""The registry inside a daemon, for `%registry up`: on loopback, its images beside the daemon's own.

server.py does the work and is imported when it is wanted: most daemons never serve images.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.rootless.broker import Broker
from pydock_lab.errors import Conflict

if TYPE_CHECKING:
    from pydock_lab.daemon.registry.server import RegistryServer
    from pydock_lab.daemon.registry.server_gc import Collected

_HOST = "127.0.0.1"


class EmbeddedRegistry:
    """At most one registry of a daemon; what it keeps stays when it stops."""

    def __init__(self, config: DaemonConfig) -> None:
        self._broker_fd = config.broker_fd
        self.root = config.data_root / "registry"
        self._server: RegistryServer | None = None
        self._lock = asyncio.Lock()

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, or "" while it does not run."""
        return self._server.address if self._server is not None else ""

    async def start(self, port: int = 0) -> str:
        """Serve on a loopback port, 0 for any free one; return the address. No error where it serves already.

        Raises:
            Conflict: the port is taken, or the registry serves on another one.
        """
        from pydock_lab.daemon.registry.server import RegistryServer

        async with self._lock:
            if self._server is not None:
                if port and not self.address.endswith(f":{port}"):
                    raise Conflict(f"the registry serves on {self.address} already", hint="stop it first")
                return self.address
            server = RegistryServer(self.root)
            await server.start(self._listen(port))
            self._server = server
            return server.address

    async def stop(self) -> None:
        """Stop serving; no error where it does not."""
        async with self._lock:
            server, self._server = self._server, None
            if server is not None:
                await server.stop()

    def images(self) -> list[dict[str, Any]]:
        """Return what it keeps: a row for each tag with digest, size in bytes and number of layers. Blocks."""
        from pydock_lab.daemon.registry.server_storage import RegistryStorage

        if not self.root.is_dir():
            return []
        storage = RegistryStorage(self.root)
        return [
            {"Repository": name, "Tag": tag} | storage.described(name, tag)
            for name in storage.repositories()
            for tag in storage.tags(name)
        ]

    def collect(self, *, delete_untagged: bool, dry_run: bool, grace_s: float) -> Collected:
        """Delete the blobs that no manifest names; see server_gc.py. Blocks."""
        from pydock_lab.daemon.registry.server_gc import collect

        return collect(self.root, delete_untagged=delete_untagged, dry_run=dry_run, grace_s=grace_s)

    def _listen(self, port: int) -> socket.socket:
        # Rootless, this process's own loopback is not the one that clients mean: the broker has the host's.
        if self._broker_fd is not None:
            listener = Broker(self._broker_fd).make_socket(socket.AF_INET, socket.SOCK_STREAM)
        else:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_HOST, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            reason = os.strerror(error.errno or 0).lower()
            raise Conflict(f"listen tcp {_HOST}:{port}: bind: {reason}") from error
        return listener
