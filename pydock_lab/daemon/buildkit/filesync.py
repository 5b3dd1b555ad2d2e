"""fsutil's protocol, receiving: a client lists a directory, and sends those files that are asked for.

    client → engine   STAT …   every path, in order, with what stat(2) says; an empty one at the end
    engine → client   REQ n    the n-th path's content, please
    client → engine   DATA n   a piece of it; an empty one at its end
    engine → client   FIN      nothing more is wanted; the client says the same and ends

Source: tonistiigi/fsutil send.go, receive.go; moby/buildkit session/filesync.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from urllib.parse import quote_plus

from pydock_lab.daemon.builder.mirror import Known, Mirror
from pydock_lab.daemon.buildkit.filemode import unix_mode
from pydock_lab.daemon.buildkit.grpc import Call, GrpcError, calling
from pydock_lab.daemon.buildkit.http2 import Headers
from pydock_lab.daemon.buildkit.protos.session import DATA, DIFF_COPY, ERROR, FIN, REQUEST, STAT, Packet, Stat
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.errors import InvalidParameter, LabError

Progress = Callable[[int], None]


async def receive(
    session: Session,
    name: str,
    mirror: Mirror,
    *,
    follow: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Progress = lambda size: None,
) -> None:
    """Bring a mirror up to what a client's directory is now.

    Args:
        session: Of the client.
        name: `context`, `dockerfile`, or of a named context.
        mirror: Opened.
        follow: These paths and patterns alone; links are followed by the client. Empty: all.
        exclude: Lines of a .dockerignore.
        progress: Gets the number of bytes that have come.

    Raises:
        LabError: the client can't or won't send it.
    """
    if DIFF_COPY not in session.methods:
        raise InvalidParameter("no local sources enabled")
    metadata: Headers = [("dir-name", name)]
    metadata += _listed("followpaths", follow) + _listed("exclude-patterns", exclude)
    try:
        async with calling(session.connection, DIFF_COPY, metadata) as call:
            await _Receiver(call, mirror, progress).run()
    except ConnectionResetError as error:
        raise LabError(f"failed to load {name}: {error}") from None


def _listed(key: str, values: Sequence[str]) -> Headers:
    """Write a list as headers; what is no ASCII makes all of it escaped."""
    if all(value.isascii() for value in values):
        return [(key, value) for value in values]
    return [*((key, quote_plus(value)) for value in values), (f"{key}-encoded", "1")]


def _known(said: Stat) -> Known | None:
    """Return what a client says of a path; None for what is no part of a context: devices and sockets."""
    mode = unix_mode(said.mode)
    if mode is None:
        return None
    return Known(mode, 0 if stat.S_ISDIR(mode) else said.size, said.modified_ns, said.linkname)


class _File:
    """A file that is coming in."""

    def __init__(self, mirror: Mirror, path: str) -> None:
        self._mirror = mirror
        self._path = path
        self._digest: hashlib._Hash = mirror.begin_digest(path)
        self.fd = mirror.create(path)

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def finish(self) -> None:
        self._mirror.fill(self._path, self.fd, f"sha256:{self._digest.hexdigest()}")
        os.close(self.fd)


class _Receiver:
    def __init__(self, call: Call, mirror: Mirror, progress: Progress) -> None:
        self._call = call
        self._mirror = mirror
        self._progress = progress
        self._wanted: dict[int, str] = {}
        self._files: dict[int, _File] = {}
        self._count = 0
        self._listing = True

    async def run(self) -> None:
        size = 0
        try:
            while True:
                message = await self._call.receive()
                if message is None:
                    await self._call.ended()
                    raise LabError("the client stopped sending")
                size += len(message)
                self._progress(size)
                if await self._take(message):
                    break
            self._mirror.close()
            self._call.close()
            await self._call.ended()
        except GrpcError as error:
            raise LabError(error.message) from None
        finally:
            for file in self._files.values():
                os.close(file.fd)

    async def _take(self, message: bytes) -> bool:
        """Take one packet; return whether it was the last one."""
        packet = Packet.decode(message)
        if packet.type == STAT:
            await self._stat(packet.stat)
        elif packet.type == DATA:
            await self._data(packet.id, packet.data)
        elif packet.type == ERROR:
            raise LabError(f"error from sender: {packet.data.decode(errors='replace')}")
        return packet.type == FIN

    async def _stat(self, said: Stat | None) -> None:
        if said is None:
            self._listing = False
            await self._finish()
            return
        if (known := _known(said)) is not None and self._mirror.list(said.path, known):
            self._wanted[self._count] = said.path
            await self._call.send(Packet(REQUEST, id=self._count))
        self._count += 1

    async def _data(self, number: int, data: bytes) -> None:
        if number not in self._files:
            if number not in self._wanted:
                raise LabError(f"invalid file request {number}")
            self._files[number] = _File(self._mirror, self._wanted[number])
        if data:
            self._files[number].add(data)
            return
        self._files.pop(number).finish()
        del self._wanted[number]
        await self._finish()

    async def _finish(self) -> None:
        if not self._listing and not self._wanted:
            await self._call.send(Packet(FIN))
