"""gRPC on a stream of HTTP/2: messages with their length before them, and a status at the end.

Source: grpc/grpc, doc/PROTOCOL-HTTP2.md; google.rpc.Status.
"""

from __future__ import annotations

import base64
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar
from urllib.parse import unquote

from pydock_lab.daemon.buildkit.http2 import Connection, Handler, Headers, Stream
from pydock_lab.errors import LabError
from pydock_lab.spec.protobuf import Message

log = logging.getLogger("pydock.buildkit")

OK, CANCELED, UNKNOWN, NOT_FOUND, UNIMPLEMENTED, UNAVAILABLE = 0, 1, 2, 5, 12, 14
_PREFIX = 5

M = TypeVar("M", bound=Message)
Method = Callable[["Call"], Awaitable[None]]


@dataclass
class Anything(Message):
    """google.protobuf.Any: a message and which one it is."""

    type_url: Annotated[str, 1] = ""
    value: Annotated[bytes, 2] = b""


@dataclass
class Status(Message):
    """google.rpc.Status."""

    code: Annotated[int, 1] = 0
    message: Annotated[str, 2] = ""
    details: Annotated[list[Anything], 3] = field(default_factory=list)


class GrpcError(LabError):
    """A call that ended with another status than OK."""

    def __init__(self, code: int, message: str, details: tuple[Anything, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class Call:
    """One call.

    Args:
        asks: It is this side that calls.
    """

    def __init__(self, stream: Stream, *, asks: bool = False) -> None:
        self._stream = stream
        self._buffer = b""
        self._messages: deque[bytes] = deque()
        self._begun = asks

    def metadata(self, name: str) -> str:
        """What the caller sent as a header; "" for nothing."""
        return dict(self._stream.headers).get(name, "")

    async def receive(self) -> bytes | None:
        """Return the next message, None at the end. Raises ConnectionResetError."""
        while not self._messages:
            data = await self._stream.read()
            if not data:
                return None
            self._buffer += data
            self._split()
        return self._messages.popleft()

    def _split(self) -> None:
        """Take the whole messages out of what has arrived."""
        buffer, at = self._buffer, 0
        while len(buffer) - at >= _PREFIX:
            end = at + _PREFIX + int.from_bytes(buffer[at + 1 : at + _PREFIX], "big")
            if len(buffer) < end:
                break
            if buffer[at]:
                raise GrpcError(UNIMPLEMENTED, "grpc: compressed messages are not supported")
            self._messages.append(buffer[at + _PREFIX : end])
            at = end
        self._buffer = buffer[at:]

    async def request(self, kind: type[M]) -> M:
        """Receive the one message of a call that has one."""
        return kind.decode(await self.receive() or b"")

    async def send(self, message: Message | bytes) -> None:
        """Send a message. Raises ConnectionResetError."""
        if not self._begun:
            self.start()
        content = message if isinstance(message, bytes) else message.encode()
        await self._stream.write(b"\0" + len(content).to_bytes(4, "big") + content)

    def start(self) -> None:
        """Begin the answer, where this is the side that answers."""
        self._begun = True
        self._stream.send_headers([(":status", "200"), ("content-type", "application/grpc")])

    def finish(self, error: GrpcError | None = None) -> None:
        """End the answer with a status."""
        head: Headers = [] if self._begun else [(":status", "200"), ("content-type", "application/grpc")]
        self._stream.send_headers([*head, *_status_headers(error)], end=True)

    async def ended(self) -> None:
        """Check how the call that we made has ended; what still comes is thrown away.

        Raises:
            GrpcError: with another status than OK.
        """
        while await self.receive() is not None:
            pass
        fields = dict(self._stream.trailers or self._stream.headers)
        code = int(fields.get("grpc-status", UNKNOWN))
        if code != OK:
            raise GrpcError(code, unquote(fields.get("grpc-message", "")))

    def close(self) -> None:
        """Say that no more messages come from here."""
        self._stream.end()


def _status_headers(error: GrpcError | None) -> Headers:
    if error is None:
        return [("grpc-status", str(OK))]
    headers = [("grpc-status", str(error.code)), ("grpc-message", _percent(error.message))]
    if error.details:
        status = Status(error.code, error.message, list(error.details)).encode()
        headers.append(("grpc-status-details-bin", base64.b64encode(status).decode().rstrip("=")))
    return headers


def _percent(text: str) -> str:
    """Write a message as a header takes it: what is no printable ASCII as %XX."""
    printable = (chr(byte) if 0x20 <= byte < 0x7F and byte != 0x25 else f"%{byte:02X}" for byte in text.encode())
    return "".join(printable)


@contextlib.asynccontextmanager
async def calling(connection: Connection, path: str, metadata: Headers | None = None) -> AsyncIterator[Call]:
    """Call a method of the other side; what is not over at the end is broken off.

    Args:
        connection: To the other side.
        path: `/package.Service/Method`.
        metadata: Sent as headers; a name may occur several times.
    """
    head = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    stream = connection.open(
        [*head, ("content-type", "application/grpc"), ("te", "trailers"), *(metadata or [])],
    )
    call = Call(stream, asks=True)
    try:
        yield call
    finally:
        stream.reset()


async def ask(connection: Connection, path: str, message: Message, answer: type[M]) -> M:
    """Call a method that takes one message and gives one.

    Raises:
        GrpcError: it ended with another status than OK.
        ConnectionResetError: the other side has gone.
    """
    async with calling(connection, path) as call:
        await call.send(message)
        call.close()
        said = await call.receive()
        await call.ended()
        return answer.decode(said or b"")


def unary(kind: type[M], answer: Callable[[M, Call], Awaitable[Message]]) -> Method:
    """Make the method of a function that takes one message and returns one."""

    async def method(call: Call) -> None:
        await call.send(await answer(await call.request(kind), call))

    return method


def server(methods: Mapping[str, Method]) -> Handler:
    """Return what answers the streams of a connection: each path with its method."""

    async def serve(stream: Stream) -> None:
        call, method = Call(stream), methods.get(stream.path)
        try:
            if method is None:
                service, _, name = stream.path.lstrip("/").rpartition("/")
                known = any(path.startswith(f"/{service}/") for path in methods)
                what = f"unknown method {name} for service {service}" if known else f"unknown service {service}"
                raise GrpcError(UNIMPLEMENTED, what)
            await method(call)
            call.finish()
        except ConnectionResetError:
            return
        except GrpcError as error:
            _finish(call, error)
        except LabError as error:
            _finish(call, GrpcError(UNKNOWN, error.message))
        except Exception as error:
            # A bug here: its call fails with it; the connection and its other calls go on.
            log.exception("%s failed", stream.path)
            _finish(call, GrpcError(UNKNOWN, f"{type(error).__name__}: {error}"))

    return serve


def _finish(call: Call, error: GrpcError) -> None:
    with contextlib.suppress(ConnectionResetError):
        call.finish(error)
