"""Sessions: the connections on which a client waits to be asked for what a build needs.

A client opens `/session`, says there which gRPC methods it serves, and gives the session's id along
with its builds. Here the engine is the one that calls.

Source: moby/buildkit session/manager.go.
"""

from __future__ import annotations

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
