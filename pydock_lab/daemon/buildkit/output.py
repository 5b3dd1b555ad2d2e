"""What a build gives its client besides an image: the result's files, as a tar or into a directory.

Into a directory goes fsutil's protocol again (see filesync.py), with this side sending: every path
with what stat(2) says, and then the content of those files that the client asks for.

Source: moby/buildkit exporter/local, exporter/tar; tonistiigi/fsutil send.go.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

from pydock_lab.daemon.builder.export import merged_tar
from pydock_lab.daemon.builder.rootfs import Place, Rootfs
from pydock_lab.daemon.buildkit.filemode import go_mode
from pydock_lab.daemon.buildkit.grpc import Call, GrpcError, calling
from pydock_lab.daemon.buildkit.protos.session import DATA, ERROR, FIN, REQUEST, SEND, STAT, BytesMessage, Packet, Stat
from pydock_lab.daemon.buildkit.sessions import Session
from pydock_lab.errors import InvalidParameter, LabError

Progress = Callable[[int], None]

_CHUNK = 32 << 10  # as fsutil has it; a message of gRPC may not be larger than 4 MiB
_NUMBER = "buildkit-attachable-exporter-id"


async def send(session: Session, kind: str, number: int, layers: list[Path], progress: Progress) -> None:
    """Send what an image's layers look like together.

    Args:
        session: Of the client.
        kind: `tar` or `local`.
        number: Of the exporter among the build's.
        layers: Topmost first.
        progress: Gets the number of bytes that have gone.

    Raises:
        LabError: the client can't or won't take it.
    """
    if SEND not in session.methods:
        raise InvalidParameter(f"method {SEND} not supported by the client")
    try:
        async with calling(session.connection, SEND, [(_NUMBER, str(number))]) as call:
            await (_send_tar if kind == "tar" else _send_files)(call, layers, progress)
            await call.ended()
    except (GrpcError, ConnectionResetError) as error:
        raise LabError(f"failed to export: {error}") from None


async def _send_tar(call: Call, layers: list[Path], progress: Progress) -> None:
    chunks, size = merged_tar(layers), 0
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        await call.send(BytesMessage(chunk))
        progress(size := size + len(chunk))
    call.close()


async def _send_files(call: Call, layers: list[Path], progress: Progress) -> None:
    files: dict[int, Path] = {}
    count = size = 0
    rootfs = Rootfs(layers) if layers else None
    for place in rootfs.walk(rootfs.root) if rootfs is not None else ():
        if (said := _stat(place)) is None:
            continue
        await call.send(Packet(STAT, said))
        if stat.S_ISREG(place.status.st_mode):
            files[count] = place.real[0]
        count += 1
    await call.send(Packet(STAT))
    while (message := await call.receive()) is not None:
        packet = Packet.decode(message)
        if packet.type == FIN:
            await call.send(Packet(FIN))
            call.close()
            return
        if packet.type == ERROR:
            raise LabError(f"error from receiver: {packet.data.decode(errors='replace')}")
        if packet.type == REQUEST:
            size += await _send_file(call, packet.id, files.get(packet.id))
            progress(size)


async def _send_file(call: Call, number: int, path: Path | None) -> int:
    """Send one file's content; return its size."""
    if path is None:
        raise LabError(f"invalid file id {number}")
    size = 0
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            await call.send(Packet(DATA, id=number, data=data))
            size += len(data)
    await call.send(Packet(DATA, id=number))
    return size


def _stat(place: Place) -> Stat | None:
    """Describe a path; None for what no client takes (devices, sockets)."""
    status = place.status
    mode = go_mode(status.st_mode)
    if mode is None:
        return None
    link = str(place.real[0].readlink()) if stat.S_ISLNK(status.st_mode) else ""
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return Stat(place.path.lstrip("/"), mode, status.st_uid, status.st_gid, size, status.st_mtime_ns, link)
