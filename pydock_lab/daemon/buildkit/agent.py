"""A client's ssh agent behind a socket of this machine: each connection is a stream of the session.

Source: moby/buildkit session/sshforward.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from pydock_lab.daemon.buildkit.grpc import Call, GrpcError, ask, calling
from pydock_lab.daemon.buildkit.protos.gateway import Empty
from pydock_lab.daemon.buildkit.protos.session import CHECK_AGENT, FORWARD_AGENT, BytesMessage, CheckAgentRequest
from pydock_lab.daemon.buildkit.sessions import Session

_CHUNK = 32 << 10
_ID = "buildkit.ssh.id"


@contextlib.asynccontextmanager
async def forwarded(session: Session, agent_id: str) -> AsyncIterator[str | None]:
    """Listen on a socket; yield its path, None where the client has no agent of that id.

    Args:
        session: Of the client.
        agent_id: `--ssh ID`.
    """
    if CHECK_AGENT not in session.methods:
        yield None
        return
    try:
        await ask(session.connection, CHECK_AGENT, CheckAgentRequest(agent_id), Empty)
    except GrpcError:
        yield None
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(GrpcError, OSError):
            async with calling(session.connection, FORWARD_AGENT, [(_ID, agent_id)]) as call:
                sending = asyncio.create_task(_send(reader, call))
                try:
                    while (message := await call.receive()) is not None:
                        writer.write(BytesMessage.decode(message).data)
                        await writer.drain()
                finally:
                    sending.cancel()

    # A socket's path may have 108 bytes; those of builds are longer.
    with tempfile.TemporaryDirectory(prefix="pydock-ssh-") as directory:
        path = f"{directory}/agent"
        server = await asyncio.start_unix_server(serve, path)
        Path(path).chmod(0o600)
        try:
            yield path
        finally:
            server.close()


async def _send(reader: asyncio.StreamReader, call: Call) -> None:
    while data := await reader.read(_CHUNK):
        await call.send(BytesMessage(data))
    call.close()
