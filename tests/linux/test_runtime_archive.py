"""docker cp and export through the runtime: links stay inside, mounts are seen, kinds are kept."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.request import LaunchRequest
from pydock_lab.errors import InvalidParameter, NotFound
from tests.linux.runtime import NEEDS, Machine

pytestmark = NEEDS


async def get(machine: Machine, request: LaunchRequest, operation: str, pid: int | None, path: str) -> tarfile.TarFile:
    reader, writer = os.pipe()

    def read() -> bytes:
        with open(reader, "rb") as file:
            return file.read()

    reading = asyncio.create_task(asyncio.to_thread(read))
    try:
        await machine.runtime.archive(operation, writer, request, pid=pid, path=path)
    finally:
        os.close(writer)
        raw = await reading
    return tarfile.open(fileobj=io.BytesIO(raw))


async def put(machine: Machine, request: LaunchRequest, pid: int | None, path: str, tar: bytes, **options: Any) -> None:
    reader, writer = os.pipe()

    def write() -> None:
        with open(writer, "wb") as file:
            file.write(tar)

    writing = asyncio.create_task(asyncio.to_thread(write))
    try:
        await machine.runtime.archive("put", reader, request, pid=pid, path=path, options=options)
    finally:
        os.close(reader)
        await asyncio.gather(writing, return_exceptions=True)


def tar_of(**files: bytes) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mode, entry.mtime = len(data), 1234, 0o640, 1_000_000_000
            archive.addfile(entry, io.BytesIO(data))
    return raw.getvalue()


@pytest.mark.parametrize("running", [True, False])
async def test_there_and_back(machine: Machine, tmp_path: Path, running: bool) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "inside").write_text("of the volume")
    request = machine.request("sleep 100", mounts=[oci.bind(str(volume), "/vol")])
    pid = None
    if running:
        pid = (await machine.runtime.launch(request)).pid
    await put(machine, request, pid, "/tmp", tar_of(pd_a=b"A" * 100_000, pd_b=b"B"))
    got = await get(machine, request, "get", pid, "/tmp")
    assert got.getnames() == ["tmp", "tmp/pd_a", "tmp/pd_b"]
    a = got.getmember("tmp/pd_a")
    assert (a.size, a.uid, a.mode, a.mtime) == (100_000, 1234, 0o640, 1_000_000_000)
    assert (await get(machine, request, "get", pid, "/tmp/.")).getnames() == [".", "./pd_a", "./pd_b"]
    assert (await get(machine, request, "get", pid, "/vol/inside")).getnames() == ["inside"]
    assert await machine.runtime.archive("stat", -1, request, pid=pid, path="/etc/escape") == {
        "name": "escape",
        "size": len("/../../../../tmp"),
        "mode": 0o777 | 1 << 27,
        "mtime": (await machine.runtime.archive("stat", -1, request, pid=pid, path="/etc/escape"))["mtime"],
        "linkTarget": "/tmp",
    }
    assert not Path("/tmp/pd_a").exists()
    with pytest.raises(NotFound, match="Could not find the file /no/such in container"):
        await machine.runtime.archive("stat", -1, request, pid=pid, path="/no/such")
    with pytest.raises(NotFound):
        await put(machine, request, pid, "/no/such", tar_of(a=b""))
    with pytest.raises(InvalidParameter, match="cannot overwrite directory"):
        await put(machine, request, pid, "/", tar_of(tmp=b""), no_overwrite_dir_non_dir=True)
    exported = await get(machine, request, "export", pid, "/")
    assert {"bin/busybox", "tmp/pd_a"} <= set(exported.getnames())
    assert "./vol/inside" not in exported.getnames()
    assert not any(name.startswith("./proc/1") for name in exported.getnames())
    if running:
        await machine.runtime.signal(request.id, signal.SIGKILL)
        await machine.runtime.wait(request.id)
        await machine.runtime.delete(request.id)
