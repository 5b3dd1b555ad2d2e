"""HTTP/2 over a connection that was taken away from HTTP/1: its streams, as many at once as are wanted.

BuildKit's clients upgrade to `h2c` and then speak HTTP/2 from its preface on. On `/grpc`
they ask and this engine answers; on `/session` it is the other way round. The frames are the
h2 library's; here are the socket, the streams, and who waits for whom: a writer for the other
side's window, and the other side for what has been read here.

Source: RFC 9113; h2's documentation.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error, ProtocolError
from h2.settings import SettingCodes

Headers = list[tuple[str, str]]
Handler = Callable[["Stream"], Coroutine[None, None, None]]

_READ_BYTES = 1 << 18
_WINDOW_BYTES = 4 << 20


class Stream:
    """One request and its answer.

    Attributes:
        headers: What the other side began with: of the request here, of the answer where we have asked.
        trailers: What it ended with.
    """

    def __init__(self, connection: Connection, number: int) -> None:
        self.number = number
        self.headers: Headers = []
        self.trailers: Headers = []
        self._connection = connection
        self._chunks: list[bytes] = []
        self._unacknowledged = 0
        self._ended = False
        self._failure = ""
        self._news = asyncio.Event()

    @property
    def path(self) -> str:
        """What the request asks for."""
        return dict(self.headers).get(":path", "")

    async def started(self) -> None:
        """Wait until the other side's headers are here."""
        while not self.headers:
            self._check()
            if self._ended:
                raise ConnectionResetError("the stream ended without an answer")
            await self._wait()

    async def read(self) -> bytes:
        """Return what has arrived since the last time; wait for something; b"" at the end.

        Raises:
            ConnectionResetError: the stream was broken off.
        """
        while not self._chunks:
            self._check()
            if self._ended:
                return b""
            await self._wait()
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._connection.acknowledge(self, self._unacknowledged)
        self._unacknowledged = 0
        return data

    async def write(self, data: bytes) -> None:
        """Send data, as the other side's window allows. Raises ConnectionResetError."""
        view = memoryview(data)
        while view:
            self._check()
            sent = self._connection.send(self, view)
            view = view[sent:]
            if view and not sent:
                await self._wait()
        await self._connection.drain()

    def send_headers(self, headers: Headers, *, end: bool = False) -> None:
        """Send headers, or trailers at the end. Raises ConnectionResetError."""
        self._check()
        self._connection.send_headers(self, headers, end=end)

    def end(self) -> None:
        """Say that nothing more comes from here."""
        self._connection.end(self)

    def reset(self) -> None:
        """Break the stream off."""
        self._connection.reset(self)

    def take(self, event: DataReceived) -> None:
        """Note what has arrived."""
        self._chunks.append(event.data)
        self._unacknowledged += event.flow_controlled_length
        self._news.set()

    def notify(self, *, ended: bool = False, failure: str = "") -> None:
        """Wake up who waits: there are headers, a window, or an end."""
        self._ended = self._ended or ended
        if not self._ended:  # Go resets streams that have ended on its side while ours is still open
            self._failure = self._failure or failure
        self._news.set()

    def _check(self) -> None:
        if self._failure:
            raise ConnectionResetError(self._failure)

    async def _wait(self) -> None:
        self._news.clear()
        await self._news.wait()


class Connection:
    """One HTTP/2 connection.

    Args:
        reader, writer: The socket; HTTP/1 is over on it.
        handler: Answers the other side's requests, each in a task of its own; None where only we ask.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler | None = None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        # The other side is trusted with its own headers: they are checked by those who read them.
        self._h2 = H2Connection(
            H2Configuration(client_side=handler is None, header_encoding="utf-8", validate_inbound_headers=False)
        )
        # The preface comes before all else, whoever is the first to send.
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES})
        self._h2.increment_flow_control_window(4 * _WINDOW_BYTES)
        self._streams: dict[int, Stream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._flushes = False
        self.closed = False

    async def run(self) -> None:
        """Serve until the other side closes; then end all that goes on on it."""
        self._flush()
        try:
            while data := await self._reader.read(_READ_BYTES):
                for event in self._h2.receive_data(data):
                    self._on(event)
                self._flush()
        except (ProtocolError, OSError):
            self._flush()
        finally:
            await self._finish()

    async def _finish(self) -> None:
        self.closed = True
        for stream in self._streams.values():
            stream.notify(failure="the connection has been closed")
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def close(self) -> None:
        """Say goodbye; `run` returns."""
        with contextlib.suppress(H2Error):
            self._h2.close_connection()
        self._flush()
        self._reader.feed_eof()

    def open(self, headers: Headers) -> Stream:
        """Ask. Raises ConnectionResetError where the connection is gone."""
        if self.closed:
            raise ConnectionResetError("the connection has been closed")
        number = self._h2.get_next_available_stream_id()
        stream = self._streams[number] = Stream(self, number)
        self.send_headers(stream, headers, end=False)
        return stream

    def send_headers(self, stream: Stream, headers: Headers, *, end: bool) -> None:
        """Send headers of a stream."""
        try:
            self._h2.send_headers(stream.number, headers, end_stream=end)
        except H2Error as error:
            raise ConnectionResetError(str(error)) from None
        self._flush_soon()

    def send(self, stream: Stream, view: memoryview) -> int:
        """Send as much of the data as may go; return how much."""
        try:
            size: int = min(
                len(view), self._h2.local_flow_control_window(stream.number), self._h2.max_outbound_frame_size
            )
            if size > 0:
                self._h2.send_data(stream.number, bytes(view[:size]))
        except H2Error as error:
            raise ConnectionResetError(str(error)) from None
        self._flush_soon()
        return max(size, 0)

    def end(self, stream: Stream) -> None:
        """End our side of a stream; one that is broken already stays so."""
        with contextlib.suppress(H2Error):
            self._h2.end_stream(stream.number)
        self._flush_soon()

    def reset(self, stream: Stream) -> None:
        """Break a stream off, unless it has ended."""
        with contextlib.suppress(H2Error):
            self._h2.reset_stream(stream.number, ErrorCodes.CANCEL)
        self._streams.pop(stream.number, None)
        self._flush_soon()

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Let the other side send as much again as has been read."""
        with contextlib.suppress(H2Error):
            self._h2.acknowledge_received_data(size, stream.number)
        self._flush_soon()

    async def drain(self) -> None:
        """Wait while the socket is full."""
        if not self._writer.is_closing():
            await self._writer.drain()

    def _on(self, event: Event | object) -> None:
        """Do what one frame asks for."""
        if isinstance(event, DataReceived):
            if (stream := self._streams.get(event.stream_id or 0)) is not None:
                stream.take(event)
            else:
                with contextlib.suppress(H2Error):
                    self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        elif isinstance(event, RequestReceived):
            self._begin(event.stream_id or 0, _texts(event.headers))
        elif isinstance(event, (ResponseReceived, TrailersReceived)):
            self._note_headers(event)
        elif isinstance(event, StreamEnded):
            self._tell(event.stream_id or 0, ended=True)
        elif isinstance(event, StreamReset):
            self._tell(event.stream_id or 0, failure="the other side has broken the stream off")
            if (task := self._tasks.get(event.stream_id or 0)) is not None:
                task.cancel()
        elif isinstance(event, WindowUpdated):
            for stream in [self._streams[event.stream_id]] if event.stream_id in self._streams else self._all():
                stream.notify()
        elif isinstance(event, RemoteSettingsChanged):
            for stream in self._all():
                stream.notify()
        elif isinstance(event, ConnectionTerminated):
            self._reader.feed_eof()

    def _all(self) -> list[Stream]:
        return list(self._streams.values())

    def _note_headers(self, event: ResponseReceived | TrailersReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        headers = _texts(event.headers)
        if isinstance(event, TrailersReceived):
            stream.trailers = headers
        else:
            stream.headers = headers
        stream.notify()

    def _tell(self, number: int, *, ended: bool = False, failure: str = "") -> None:
        if (stream := self._streams.get(number)) is not None:
            stream.notify(ended=ended, failure=failure)

    def _begin(self, number: int, headers: Headers) -> None:
        assert self._handler is not None
        stream = self._streams[number] = Stream(self, number)
        stream.headers = headers
        task = asyncio.create_task(self._handler(stream))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._forget(number))

    def _forget(self, number: int) -> None:
        self._tasks.pop(number, None)
        self._streams.pop(number, None)

    def _flush_soon(self) -> None:
        """Send what many small writes have left in one."""
        if not self._flushes:
            self._flushes = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushes = False
        data = self._h2.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)


def _texts(headers: Iterable[tuple[object, object]] | None) -> Headers:
    return [(str(name), str(value)) for name, value in headers or ()]
