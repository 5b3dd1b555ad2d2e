"""A runtime on real namespaces, and what its containers have left on the machine.

The fixtures `rootfs` and `machine` reach the tests through conftest.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import LaunchRequest, Log, OverlayRoot
from pydock_lab.daemon.trace import Trace

NEEDS = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("busybox") is None, reason="needs a static busybox"),
]

PARENT = f"pydock-test-{os.getpid()}"  # the cgroup above; other test runs have theirs
PASSWD = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1001:bob:/home/bob:/bin/sh\n"
GROUP = "root:x:0:\nbob:x:1001:\nstaff:x:50:bob\n"


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A busybox root file system, read-only by use."""
    root = tmp_path_factory.mktemp("rootfs")
    root.chmod(0o755)
    for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
        (root / name).mkdir()
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "passwd").write_text(PASSWD)
    (root / "etc" / "group").write_text(GROUP)
    (root / "bin" / "bad").write_text("#!/nowhere\n")
    (root / "bin" / "bad").chmod(0o755)
    (root / "etc" / "escape").symlink_to("/../../../../tmp")
    return root


class Machine:
    """A runtime under test with a factory of launch requests."""

    def __init__(self, runtime: Runtime, rootfs: Path, scratch: Path) -> None:
        self.runtime = runtime
        self.rootfs = rootfs
        self.scratch = scratch

    def request(self, script: str | list[str], **options: Any) -> LaunchRequest:
        """Describe a container that runs a shell script or an argument list."""
        id = secrets.token_hex(32)
        scratch = self.scratch / id[:12]
        for name in ("upper", "work"):
            (scratch / name).mkdir(parents=True)
        of_request = {
            key: options.pop(key)
            for key in ("stdin_open", "stdin_once", "attachments", "init", "console_size")
            if key in options
        }
        log = options.pop("log", None) or Log(path=str(scratch / "log"))
        args = ["sh", "-c", script] if isinstance(script, str) else script
        config = oci.default_config(args, hostname=id[:12], cgroups_path=f"/{PARENT}/{id}", **options)
        root = OverlayRoot([str(self.rootfs)], str(scratch / "upper"), str(scratch / "work"))
        bundle = str(self.runtime.exec_root / "containers" / id)
        return LaunchRequest(id, bundle, config, root, log=log, **of_request)

    async def attach(self, request: LaunchRequest, *, stdin: bool = False, initial: bytes = b"") -> socket.socket:
        """Attach a client before the launch; return its end."""
        ours, theirs = socket.socketpair()
        tty = request.config["process"]["terminal"]
        await self.runtime.attach(
            request.id, theirs.fileno(), stdin=stdin, stdout=True, stderr=True, tty=tty, initial=initial
        )
        theirs.close()
        ours.settimeout(10)
        return ours

    async def run(self, script: str | list[str], **options: Any) -> tuple[int, str, str]:
        """Run a container to its end; return status, stdout and stderr."""
        request = self.request(script, **options)
        client = await self.attach(request)
        await self.runtime.launch(request)
        exit_ = await asyncio.wait_for(self.runtime.wait(request.id), 20)
        raw = await read_all(client)
        await self.runtime.delete(request.id)
        out, err = frames(raw)
        return exit_.code, out.decode(), err.decode()


async def read_all(client: socket.socket) -> bytes:
    def read() -> bytes:
        chunks = []
        while chunk := client.recv(65536):
            chunks.append(chunk)
        client.close()
        return b"".join(chunks)

    return await asyncio.to_thread(read)


def frames(raw: bytes) -> tuple[bytes, bytes]:
    """Take Docker's stream apart."""
    streams = {1: b"", 2: b""}
    while raw:
        length = int.from_bytes(raw[4:8], "big")
        streams[raw[0]] += raw[8 : 8 + length]
        assert len(raw) >= 8 + length, "a frame is cut off"
        raw = raw[8 + length :]
    return streams[1], streams[2]


def leftovers(scratch: Path) -> dict[str, list[str]]:
    """What the containers of this process and scratch directory have left on the machine."""
    layout = cgroups.detect()
    parents = [f"{mount}/{PARENT}" for mount in {*layout.v1.values(), layout.unified} - {""}]
    parents = [parent for parent in parents if os.path.isdir(parent)]
    return {
        "cgroups": [name for parent in parents for name in os.listdir(parent) if len(name) == 64],
        "parents": parents,
        "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(scratch) in line],
    }


@pytest.fixture
async def machine(rootfs: Path, tmp_path: Path) -> AsyncIterator[Machine]:
    runtime = Runtime(tmp_path / "x", Trace())
    assert await runtime.start() == []
    yield Machine(runtime, rootfs, tmp_path)
    keeper = runtime._keeper
    await runtime.close(stop_keeper=True)
    assert keeper is not None and keeper.returncode == 0
    assert (tmp_path / "x" / "keeper.log").read_text() == ""
    left = leftovers(tmp_path)
    assert left["cgroups"] == left["parents"] == left["mounts"] == []
