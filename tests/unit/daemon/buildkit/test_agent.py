"""A client's ssh agent behind a socket here: what is asked there is answered by the client."""

from __future__ import annotations

import asyncio
import socket

from pydock_lab.daemon.buildkit.agent import forwarded
from pydock_lab.daemon.buildkit.grpc import Call, GrpcError, server, unary
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.protos.gateway import Empty
from pydock_lab.daemon.buildkit.protos.session import CHECK_AGENT, FORWARD_AGENT, BytesMessage, CheckAgentRequest
from pydock_lab.daemon.buildkit.sessions import Session


async def check(request: CheckAgentRequest, call: Call) -> Empty:
    if request.id != "default":
        raise GrpcError(2, "unset ssh forward key " + request.id)
    return Empty()


async def answer(call: Call) -> None:
    while (message := await call.receive()) is not None:
        name = call.metadata("buildkit.ssh.id").encode()
        await call.send(BytesMessage(name + b" heard " + BytesMessage.decode(message).data))


async def test_each_connection_is_a_stream_of_the_session() -> None:
    ours, theirs = socket.socketpair()
    methods = {CHECK_AGENT: unary(CheckAgentRequest, check), FORWARD_AGENT: answer}
    connection = Connection(*await asyncio.open_connection(sock=ours))
    client = Connection(*await asyncio.open_connection(sock=theirs), server(methods))
    running = asyncio.gather(connection.run(), client.run())
    session = Session("s", "", frozenset(methods), connection)
    async with forwarded(session, "default") as path, forwarded(session, "another") as nothing:
        assert nothing is None
        for word in (b"one", b"two"):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(word)
            assert await asyncio.wait_for(reader.readexactly(17), 20) == b"default heard " + word
            writer.close()
            await writer.wait_closed()
    connection.close()
    await asyncio.wait_for(running, 20)
