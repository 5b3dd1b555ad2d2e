"""Pulls, pushes and the registry's magic in a notebook: bars that move, a picture that stays, few messages."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient

from pydock_lab.notebook.failure import CommandFailed
from tests.conftest import Daemon
from tests.notebooks.conftest import lesson_shell
from tests.notebooks.test_messages import kernel, run
from tests.throttle import throttled

__all__ = ["kernel"]

pytestmark = pytest.mark.root


def archive(name: str, layers: int) -> bytes:
    """A `docker save` of one image with layers of a megabyte that nothing compresses."""
    parts, diff_ids = {}, []
    for number in range(layers):
        content = os.urandom(1_000_000)
        parts[f"{number}.tar"] = packed({f"part{number}": content})
        diff_ids.append(f"sha256:{hashlib.sha256(parts[f'{number}.tar']).hexdigest()}")
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    table = [{"Config": "config.json", "RepoTags": [name], "Layers": list(parts)}]
    return packed(parts | {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(table).encode()})


def packed(files: dict[str, bytes]) -> bytes:
    """A tar of them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def pushed(daemon: Daemon) -> Iterator[str]:
    """An image of three layers in the engine's own registry, and nowhere else."""
    client = daemon.client()
    url = f"{client.api.base_url}/lab/registry"
    address = client.api.post(url).json()["Address"]
    name = f"{address}/transfers/many:1"
    client.images.load(archive(name, 3))
    assert daemon.docker("push", name).returncode == 0
    assert daemon.docker("rmi", name).returncode == 0
    yield name
    client.api.delete(url)


def test_a_slow_pull_sends_ten_messages_a_second(kernel: BlockingKernelClient, daemon: Daemon, pushed: str) -> None:
    address, _, image = pushed.partition("/")
    with throttled(address, bytes_per_s=500_000) as slow:
        told = run(kernel, f"%docker pull {slow}/{image}")
        assert told.status == "ok"
        assert daemon.docker("rmi", f"{slow}/{image}").returncode == 0
    assert len(told.at) > 8, "it moves"
    assert told.busiest_second <= 11  # ten, and the last one that stays


@pytest.fixture
def shell(daemon: Daemon, busybox: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    with lesson_shell(daemon, monkeypatch) as shell:
        yield shell


def test_the_registry_magic(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.run_cell("up = %registry up").success
    address = str(shell.user_ns["up"]).split()[2]
    try:
        name = f"{address}/magic/box:1"
        assert shell.run_cell(f"%docker tag busybox {name}\n%docker push -q {name}").success
        capsys.readouterr()
        assert shell.run_cell("%registry ls").success
        assert "magic/box" in capsys.readouterr().out
        assert shell.run_cell("%registry gc --dry-run").success
        assert "0 blobs" in capsys.readouterr().out
        done = shell.run_cell("%registry gc --wrong")
        assert isinstance(done.error_in_exec, CommandFailed)
        assert "unknown argument: --wrong" in str(done.error_in_exec)
        assert shell.run_cell(f"%docker rmi {name}").success
    finally:
        assert shell.run_cell("down = %registry down").success
    assert "registry stopped; its images stay in" in str(shell.user_ns["down"])
    done = shell.run_cell("%registry nonsense")
    assert "unknown command: nonsense" in str(done.error_in_exec)
    assert shell.run_cell("page = %registry --help").success
    assert "up [--port PORT]" in str(shell.user_ns["page"])
