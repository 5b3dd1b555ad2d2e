"""Sessions: the connections on which a client waits to be asked for what a build needs.

A client opens `/session`, says there which gRPC methods it serves, and gives the session's id along
with its builds. Here the engine is the one that calls.

Source: moby/buildkit session/manager.go.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydock_lab.daemon.buildkit.grpc import GrpcError, ask
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.protos.session import (
    CREDENTIALS,
    GET_SECRET,
    CredentialsRequest,
    CredentialsResponse,
    GetSecretRequest,
    GetSecretResponse,
)
from pydock_lab.errors import NotFound

_PATIENCE_S = 5
_HUB = "registry-1.docker.io"


@dataclass(frozen=True)
class Session:
    """One client that waits.

    Attributes:
        id: As the client named it.
        shared_key: Stays the same from build to build of one directory; "" where nothing is shared.
        methods: `/package.Service/Method` that it serves.
        connection: To it.
    """

    id: str
    shared_key: str
    methods: frozenset[str]
    connection: Connection

    async def secret(self, secret_id: str) -> bytes | None:
        """Ask for a secret; None where it has none of that id."""
        if GET_SECRET not in self.methods:
            return None
        try:
            return (await ask(self.connection, GET_SECRET, GetSecretRequest(secret_id), GetSecretResponse)).data
        except GrpcError:
            return None

    async def credentials(self, domain: str) -> dict[str, dict[str, str]]:
        """Ask who the client is to a registry: host → AuthConfig, nothing where it is nobody there."""
        if CREDENTIALS not in self.methods:
            return {}
        host = _HUB if domain == "docker.io" else domain
        try:
            said = await ask(self.connection, CREDENTIALS, CredentialsRequest(host), CredentialsResponse)
        except GrpcError:
            return {}
        if not said.secret:
            return {}
        return {
            domain: {"username": said.username, "password": said.secret}
            if said.username
            else {"identitytoken": said.secret}
        }


class Sessions:
    """All sessions that are open."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._news = asyncio.Event()

    def add(self, session: Session) -> None:
        """A client has come."""
        self._sessions[session.id] = session
        self._news.set()

    def remove(self, session: Session) -> None:
        """It has gone."""
        if self._sessions.get(session.id) is session:
            del self._sessions[session.id]

    async def get(self, session_id: str) -> Session:
        """Return a session; its client may open it a moment after its build.

        Raises:
            NotFound: none of that id comes.
        """

        async def come() -> Session:
            while session_id not in self._sessions:
                self._news.clear()
                await self._news.wait()
            return self._sessions[session_id]

        try:
            return await asyncio.wait_for(come(), _PATIENCE_S)
        except asyncio.TimeoutError:
            raise NotFound(f"no active session for {session_id}: context deadline exceeded") from None
