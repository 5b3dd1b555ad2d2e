"""HTTP/1.1 on a socket: as much of it as the Docker Engine API takes.

A command is one or a few small requests. Importing docker-py (which learners get
as `connection.client`) or http.client costs more than such a command takes, so
the commands speak for themselves: one connection a request, answers by length, in
chunks or to the end. Source: RFC 9112.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydock_lab.client.commands.failure import CommandError, EngineError

_CHUNK = 65536
_MAX_HEAD = 1 << 20
_DEFAULT_PORT, _DEFAULT_TLS_PORT = 2375, 2376


class TLSFiles(NamedTuple):
    """What a TLS connection is made with.

    Attributes:
        ca, cert, key: Absolute paths of PEM files, or "".
        verify: Check the engine's certificate and name.
    """

    ca: str
    cert: str
    key: str
    verify: bool


class Endpoint(NamedTuple):
    """Where an engine listens.

    Attributes:
        address: `unix:///path`, `tcp://host:port`, `http://…` or `https://…`.
        tls: None for a plain connection.
    """

    address: str
    tls: TLSFiles | None = None


class Reader:
    """Reads lines and pieces from a socket, and knows what it took from it and has not given away yet.

    Args:
        connection: The connected socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._taken = b""

    def line(self) -> bytes:
        """Return a line with its end; a cut one at the end of the stream."""
        while (end := self._taken.find(b"\n")) < 0 and (piece := self._socket.recv(_CHUNK)):
            self._taken += piece
            if len(self._taken) > _MAX_HEAD:
                raise ValueError("a line without an end")
        cut = end + 1 if end >= 0 else len(self._taken)
        found, self._taken = self._taken[:cut], self._taken[cut:]
        return found

    def some(self, size: int) -> bytes:
        """Return up to `size` bytes as soon as there are any; b"" at the end of the stream."""
        if not self._taken:
            return self._socket.recv(size)
        found, self._taken = self._taken[:size], self._taken[size:]
        return found

    def rest(self) -> bytes:
        """Give away what has been taken from the socket."""
        found, self._taken = self._taken, b""
        return found


class Response:
    """An answer: its head, and its body as it is read.

    Args:
        connection: The connected socket, at an answer's beginning; closed at the body's end.
        bodiless: There is no body whatever the head says (HEAD).

    Attributes:
        status_code: The HTTP status.
    """

    def __init__(self, connection: socket.socket, *, bodiless: bool = False) -> None:
        self._socket = connection
        self._reader = Reader(connection)
        self._loaded: bytes | None = None
        self.status_code, self._headers = self._head()
        self._chunked = "chunked" in self.header("Transfer-Encoding").lower()
        length = self.header("Content-Length")
        # Bytes left of the body or of the chunk; None: the body ends with the connection.
        self._left = 0 if self._chunked else int(length) if length else None
        self._ended = bodiless or self.status_code in (204, 304) or (self._left == 0 and not self._chunked)
        if self._ended:
            self.close()

    def header(self, name: str) -> str:
        """A header's value, or ""."""
        return self._headers.get(name.lower(), "")

    def read(self, size: int = _CHUNK) -> bytes:
        """Return up to `size` bytes of the body as soon as there are any; b"" at its end.

        Raises:
            CommandError: the connection broke before the end.
        """
        if self._ended:
            return b""
        try:
            if self._chunked and not self._left:
                self._left = int(self._reader.line().partition(b";")[0], 16)
                if not self._left:
                    return self._end()
            data = self._reader.some(size if self._left is None else min(size, self._left))
            if self._left is None:
                return data or self._end()
            if not data:
                raise ConnectionResetError
            self._left -= len(data)
            if not self._left and self._chunked:
                self._reader.line()  # the line end behind a chunk
            elif not self._left:
                self._end()
        except (OSError, ValueError) as error:  # ValueError: no size where a chunk should begin
            self.close()
            raise hung_up() from error
        return data

    def iter_content(self, size: int | None = None) -> Iterator[bytes]:
        """Yield the body's pieces as they come, none larger than `size`."""
        while data := self.read(size or _CHUNK):
            yield data

    def iter_lines(self) -> Iterator[bytes]:
        """Yield the body's lines as they come, without their ends."""
        rest = b""
        while data := self.read():
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.removesuffix(b"\r") for line in lines)
        if rest:
            yield rest

    @property
    def content(self) -> bytes:
        """The body, or what is left of it where some has been read already."""
        if self._loaded is None:
            self._loaded = b"".join(self.iter_content())
        return self._loaded

    def loaded(self) -> Response:
        """Read the body now and let the connection go."""
        _ = self.content
        return self

    @property
    def text(self) -> str:
        """The content as text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The content, decoded."""
        return json.loads(self.content)

    def take_over(self) -> tuple[socket.socket, bytes]:
        """Give the connection away: the socket, and what came behind the head already."""
        self._ended = True
        return self._socket, self._reader.rest()

    def close(self) -> None:
        """Close the connection; wakes a reader in another thread."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> bytes:
        self.close()
        return b""

    def _head(self) -> tuple[int, dict[str, str]]:
        try:
            while True:
                status = int(self._reader.line().split(None, 2)[1])
                headers: dict[str, str] = {}
                while (line := self._reader.line()).strip():
                    name, _, value = line.decode("latin-1").partition(":")
                    headers[name.strip().lower()] = value.strip()
                if not line:
                    raise ConnectionResetError
                if status >= 200 or status == 101:  # other 1xx announce the answer proper
                    return status, headers
        except (OSError, ValueError, IndexError) as error:
            raise hung_up() from error


def exchange(
    endpoint: Endpoint,
    method: str,
    target: str,
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Send a request on a connection of its own and return the answer when its head is there.

    Args:
        endpoint: Of the engine.
        method: `GET`, …
        target: Path and query, quoted.
        body: Bytes, or pieces that are sent as chunks.
        headers: Beside Host and those of the body.

    Raises:
        OSError: nobody listens there.
        EngineError: the engine answered with an error.
        CommandError: it hung up.
    """
    connection = connect(endpoint)
    try:
        response = _exchange(connection, method, target, body, headers or {})
    except BaseException:
        connection.close()
        raise
    if response.status_code >= 400:
        with response:
            raise engine_error(response)
    return response


def engine_error(response: Response) -> EngineError:
    """Read an answer that is an error."""
    text = response.text.strip()
    try:
        document = json.loads(text)
        return EngineError(response.status_code, str(document["message"]).strip(), hint=document.get("hint"))
    except (ValueError, KeyError, TypeError):
        return EngineError(response.status_code, text or f"the engine answered with status {response.status_code}")


def connect(endpoint: Endpoint) -> socket.socket:
    """Connect to an engine.

    Raises:
        OSError: nobody listens there.
        CommandError: the address is of a kind that can't be used.
    """
    scheme, _, rest = endpoint.address.partition("://")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(rest)
        except BaseException:
            connection.close()
            raise
        return connection
    if scheme not in ("tcp", "http", "https"):
        raise CommandError(f"unable to parse docker host `{endpoint.address}`")
    host, port = _host_and_port(rest, _DEFAULT_TLS_PORT if endpoint.tls else _DEFAULT_PORT)
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.tls is None and scheme != "https":
        return connection
    try:
        return _secured(connection, host, endpoint.tls)
    except BaseException:
        connection.close()
        raise


def _exchange(
    connection: socket.socket,
    method: str,
    target: str,
    body: bytes | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> Response:
    lines = [f"{method} {target} HTTP/1.1", "Host: docker"]
    if "User-Agent" not in headers:
        lines.append("User-Agent: pydock_lab")
    if "Connection" not in headers:
        lines.append("Connection: close")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    whole = body if isinstance(body, bytes) else b""
    if isinstance(body, bytes) or (body is None and method in ("POST", "PUT")):
        lines.append(f"Content-Length: {len(whole)}")
    elif body is not None:
        lines.append("Transfer-Encoding: chunked")
    try:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + whole)
        if body is not None and not isinstance(body, bytes):
            for piece in body:
                if piece:
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass  # it may have refused the body before its end: its answer says why
    return Response(connection, bodiless=method == "HEAD")


def hung_up() -> CommandError:
    """The error of a connection that ended before its answer did."""
    return CommandError("error during connect: the engine closed the connection")


def _host_and_port(text: str, default: int) -> tuple[str, int]:
    host, _, port = text.split("/", 1)[0].rpartition(":")
    if not host or text.endswith("]"):
        host, port = text.split("/", 1)[0], str(default)
    return host.strip("[]") or "127.0.0.1", int(port) if port.isdecimal() else default


def _secured(connection: socket.socket, host: str, files: TLSFiles | None) -> socket.socket:
    import ssl

    context = ssl.create_default_context(cafile=(files and files.ca) or None)
    if files and not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files and files.cert:
        context.load_cert_chain(files.cert, files.key or None)
    return context.wrap_socket(connection, server_hostname=host)
