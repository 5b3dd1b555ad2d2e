"""gRPC between two of our own ends, over a real pair of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from pydock_lab.daemon.buildkit.grpc import Call, GrpcError, Method, ask, calling, server, unary
from pydock_lab.daemon.buildkit.http2 import Connection
from pydock_lab.daemon.buildkit.protos.session import BytesMessage
from pydock_lab.errors import NotFound

BIG = bytes(range(256)) * 20_000  # more than any window


async def turned(message: BytesMessage, call: Call) -> BytesMessage:
    return BytesMessage(message.data[::-1])


async def refused(message: BytesMessage, call: Call) -> BytesMessage:
    raise NotFound("no such thing: 100 % “gone”\nreally")


async def repeated(call: Call) -> None:
    while (message := await call.receive()) is not None:
        await call.send(message)


METHODS: dict[str, Method] = {
    "/t.T/Turn": unary(BytesMessage, turned),
    "/t.T/Refuse": unary(BytesMessage, refused),
    "/t.T/Repeat": repeated,
}


@contextlib.asynccontextmanager
async def connected(methods: dict[str, Method]) -> AsyncIterator[Connection]:
    ours, theirs = socket.socketpair()
    asking = Connection(*await asyncio.open_connection(sock=ours))
    answering = Connection(*await asyncio.open_connection(sock=theirs), server(methods))
    running = asyncio.gather(asking.run(), answering.run())
    try:
        yield asking
    finally:
        asking.close()
        await asyncio.wait_for(running, 20)


async def test_messages_larger_than_a_window_go_both_ways() -> None:
    async with connected(METHODS) as connection:
        answers = await asyncio.gather(
            *(ask(connection, "/t.T/Turn", BytesMessage(BIG), BytesMessage) for _ in range(2))
        )
    assert [answer.data for answer in answers] == [BIG[::-1]] * 2


async def test_a_stream_of_messages() -> None:
    async with connected(METHODS) as connection, calling(connection, "/t.T/Repeat", [("x", "y")]) as call:
        for number in range(100):
            await call.send(BytesMessage(b"%d" % number))
        call.close()
        for number in range(100):
            assert BytesMessage.decode(await call.receive() or b"").data == b"%d" % number
        assert await call.receive() is None
        await call.ended()


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/t.T/Refuse", 2, "no such thing: 100 % “gone”\nreally"),
        ("/t.T/Nope", 12, "unknown method Nope for service t.T"),
        ("/u.U/Nope", 12, "unknown service u.U"),
    ],
)
async def test_a_call_that_fails(path: str, code: int, message: str) -> None:
    async with connected(METHODS) as connection:
        with pytest.raises(GrpcError) as raised:
            await ask(connection, path, BytesMessage(b"1"), BytesMessage)
    assert (raised.value.code, raised.value.message) == (code, message)


async def test_a_call_that_is_broken_off_ends_its_method() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(call: Call) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with connected({"/t.T/Wait": waits}) as connection:
        async with calling(connection, "/t.T/Wait"):
            await asyncio.wait_for(begun.wait(), 20)
        await asyncio.wait_for(ended.wait(), 20)


async def test_a_connection_that_goes_ends_its_calls() -> None:
    async with connected(METHODS) as connection:
        async with calling(connection, "/t.T/Repeat") as call:
            connection.close()
            with pytest.raises(ConnectionResetError):
                await call.receive()
