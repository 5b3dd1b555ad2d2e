"""The keeper of the containers: what it prepares, what it keeps for the next daemon, what goes with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Unavailable
from tests.linux.runtime import NEEDS, Machine, leftovers

pytestmark = NEEDS


def spares(machine: Machine) -> list[int]:
    keeper = machine.runtime._keeper
    assert keeper is not None
    children = Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "pydock-spare\n"]


async def spare(machine: Machine) -> int:
    while not (found := spares(machine)):
        await asyncio.sleep(0.005)
    return found[0]


async def test_a_spare_becomes_the_container(machine: Machine) -> None:
    if cgroups.detect().version == 2:
        pytest.skip("machine: on cgroup v2 a process is born in its cgroup")
    prepared = await spare(machine)
    request = machine.request(["sleep", "100"])
    launched = await machine.runtime.launch(request)
    assert launched.pid == prepared
    assert len(os.listdir(f"/proc/{launched.pid}/fd")) == 3
    await machine.runtime.signal(request.id, signal.SIGKILL)
    await machine.runtime.wait(request.id)
    await machine.runtime.delete(request.id)
    assert await spare(machine) != prepared


async def test_a_launch_does_without_a_spare(machine: Machine) -> None:
    if cgroups.detect().version != 2:
        killed = await spare(machine)
        os.kill(killed, signal.SIGKILL)
        while killed in spares(machine):
            await asyncio.sleep(0.005)
    assert await machine.run("echo still here") == (0, "still here\n", "")


async def test_what_the_host_mounted_after_the_spare_was_made_is_there(machine: Machine, tmp_path: Path) -> None:
    late = tmp_path / "late"
    late.mkdir()
    if cgroups.detect().version != 2:
        await spare(machine)
    subprocess.run(["mount", "-t", "tmpfs", "late", str(late)], check=True)
    try:
        (late / "f").write_text("mounted\n")
        assert (await machine.run("cat /late/f", mounts=[oci.bind(str(late), "/late")]))[1] == "mounted\n"
    finally:
        subprocess.run(["umount", str(late)], check=True)


async def test_a_new_daemon_finds_what_an_old_one_left(machine: Machine) -> None:
    request = machine.request("sleep 0.3; echo late; exit 4")
    await machine.runtime.launch(request)
    other = Runtime(machine.runtime.exec_root, Trace())
    assert await other.start() == [request.id]
    assert (await other.wait(request.id)).code == 4
    await other.close(stop_keeper=False)
    log = [json.loads(line) for line in Path(request.log.path).read_text().splitlines()]
    assert [(record["log"], record["stream"]) for record in log] == [("late\n", "stdout")]
    await machine.runtime.wait(request.id)
    await machine.runtime.delete(request.id)


async def test_the_hosts_interpreter_can_not_be_written(machine: Machine) -> None:
    """Not even through the keeper's /proc/PID/exe, which a container could come to hold (CVE-2019-5736)."""
    await machine.run(["true"])
    assert machine.runtime._keeper is not None
    executable = f"/proc/{machine.runtime._keeper.pid}/exe"
    with pytest.raises(OSError, match="Read-only file system"):
        os.truncate(executable, os.stat(executable).st_size)


async def test_a_killed_keeper_takes_its_containers_along(rootfs: Path, tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "x", Trace())
    await runtime.start()
    request = Machine(runtime, rootfs, tmp_path).request("sleep 1000 & exec sleep 1000", user="bob")
    launched = await runtime.launch(request)
    assert runtime._keeper is not None
    runtime._keeper.kill()
    runtime._keeper.wait()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(runtime.wait(request.id), 5)
    for _ in range(100):
        if not Path(f"/proc/{launched.pid}").exists():
            break
        await asyncio.sleep(0.02)
    assert not Path(f"/proc/{launched.pid}").exists()
    successor = Runtime(tmp_path / "x", Trace())
    assert await successor.start() == []
    await successor.close(stop_keeper=True)
    assert leftovers(tmp_path)["cgroups"] == []
