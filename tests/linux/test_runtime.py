"""The runtime on real namespaces: what a container sees, what it may do, what is left afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import LaunchError
from pydock_lab.daemon.runtime.request import Attachment
from pydock_lab.errors import Conflict
from tests.linux.runtime import NEEDS, Machine, frames, leftovers, read_all

pytestmark = NEEDS


async def test_status_and_streams(machine: Machine) -> None:
    assert await machine.run("echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")


async def test_a_signal_is_128_and_its_number(machine: Machine) -> None:
    request = machine.request(["sleep", "100"])
    launched = await machine.runtime.launch(request)
    assert Path(f"/proc/{launched.pid}/comm").read_text() == "sleep\n"
    await machine.runtime.signal(request.id, signal.SIGKILL)
    exit_ = await machine.runtime.wait(request.id)
    assert (exit_.code, exit_.signal) == (137, 9)
    await machine.runtime.delete(request.id)
    assert not Path(request.bundle).exists()


async def test_isolation_is_dockers(machine: Machine) -> None:
    """Facts read from within, as Docker 20.10 and later show them."""
    code, out, _ = await machine.run(
        "grep -E '^(Cap(Prm|Eff|Bnd|Amb)|Seccomp|NoNewPrivs):' /proc/self/status; echo pid $$; hostname;"
        "ls /proc/self/fd | wc -l; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls -d /proc/[0-9]* | wc -l"
    )
    assert code == 0
    facts = re.sub(r"\s+", " ", out)
    for fact in ("CapPrm: 00000000a80425fb", "CapEff: 00000000a80425fb", "CapBnd: 00000000a80425fb"):
        assert fact in facts
    assert "CapAmb: 0000000000000000" in facts and "NoNewPrivs: 0" in facts and "Seccomp: 2" in facts
    assert "pid 1 " in facts
    # stdin, stdout, stderr, and ls's own: no descriptor leaks into the container.
    assert out.splitlines()[-3] == "4"


@pytest.mark.parametrize(
    "script",
    [
        "unshare -U true",
        "unshare -m true",
        "mount -t tmpfs x /tmp",
        "echo 1 > /proc/sys/kernel/sysrq",
        "echo b > /proc/sysrq-trigger",
        "mkdir $(ls -d /sys/fs/cgroup/pids || echo /sys/fs/cgroup)/x",
        "hostname other",
        "dd if=/proc/kcore of=/dev/null bs=1 count=1 2>&1 | grep -q '^1+0'",
        "mknod /tmp/sda b 8 0 && dd if=/tmp/sda of=/dev/null count=1",
    ],
)
async def test_a_container_may_not(machine: Machine, script: str) -> None:
    code, _, err = await machine.run(script)
    assert code != 0, err


async def test_users(machine: Machine) -> None:
    script = "id -u; id -g; id -G; echo $HOME; grep CapEff /proc/self/status; echo x > /dev/stdout"
    code, out, err = await machine.run(script, user="bob", groups=["7"])
    assert code == 0, err
    uid, gid, groups, home, effective, _ = out.splitlines()
    assert (uid, gid, sorted(groups.split()), home) == ("1000", "1001", ["1001", "50", "7"], "/home/bob")
    assert effective.endswith("0000000000000000")
    assert (await machine.run("id -u; id -g; echo $HOME", user="12:34"))[1] == "12\n34\n/\n"


@pytest.mark.parametrize(
    ("args", "options", "code", "words"),
    [
        (["nosuch"], {}, 127, 'exec: "nosuch": executable file not found in $PATH: unknown'),
        (["/nosuch"], {}, 127, 'exec: "/nosuch": stat /nosuch: no such file or directory: unknown'),
        (["/etc/passwd"], {}, 126, 'exec: "/etc/passwd": permission denied: unknown'),
        (["/bin"], {}, 126, 'exec: "/bin": permission denied: unknown'),
        (["true"], {"user": "eve"}, 128, "unable to find user eve: no matching entries in passwd file"),
        (["true"], {"user": "0:eve"}, 128, "unable to find group eve: no matching entries in group file"),
        (["true"], {"cwd": "/etc/passwd"}, 128, "Cannot mkdir: /etc/passwd is not a directory"),
        (["true"], {"mounts": [oci.bind("/no/where", "/x")]}, 128, "no such file or directory"),
    ],
)
async def test_what_cannot_start(
    machine: Machine, args: list[str], options: dict[str, Any], code: int, words: str
) -> None:
    request = machine.request(args, **options)
    with pytest.raises(LaunchError) as caught:
        await machine.runtime.launch(request)
    assert words in caught.value.message
    assert caught.value.exit_code == code
    assert caught.value.steps[-1].error
    assert leftovers(machine.scratch)["cgroups"] == []


async def test_a_missing_interpreter_is_told_on_stderr(machine: Machine) -> None:
    assert await machine.run(["/bin/bad"]) == (255, "", "exec /bin/bad: no such file or directory\n")


async def test_working_directory_is_made(machine: Machine) -> None:
    assert (await machine.run("pwd", cwd="/a/b"))[1] == "/a/b\n"


async def test_nothing_of_the_host_is_reached_through_links_of_the_image(machine: Machine) -> None:
    """While the host's root lies on the container's, `/..` is the host's root for the kernel."""
    name = f"pd-{secrets.token_hex(6)}"
    assert (await machine.run("pwd", cwd=f"/etc/escape/{name}"))[1] == f"/tmp/{name}\n"
    assert not Path("/tmp", name).exists()
    mounts = [oci.tmpfs(f"/etc/escape/{name}/mnt")]
    assert (await machine.run(f"grep -c {name} /proc/mounts", mounts=mounts))[1] == "1\n"
    assert not Path("/tmp", name).exists()


async def test_mounts(machine: Machine, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    (source / "f").write_text("here\n")
    name = f"pd-{secrets.token_hex(6)}"
    mounts = [
        oci.bind(str(source), "/data"),
        oci.bind(str(source), "/ro", read_only=True),
        oci.bind(str(source / "f"), "/etc/new/file"),
        oci.tmpfs("/scratch", "size=64k,mode=700"),
        oci.bind(str(source), f"/etc/escape/{name}"),
    ]
    code, out, err = await machine.run(
        "cat /data/f /ro/f /etc/new/file; echo new > /data/g; echo no > /ro/h || echo refused;"
        f"stat -c %a /scratch; cat /tmp/{name}/f; grep -c ' - overlay ' /proc/self/mountinfo",
        mounts=mounts,
    )
    assert code == 0, err
    assert out.split() == ["here", "here", "here", "refused", "700", "here", "1"]
    assert (source / "g").read_text() == "new\n"
    assert not Path("/tmp", name).exists()


async def test_read_only_root(machine: Machine) -> None:
    code, _, err = await machine.run("echo x > /x || exit 9", read_only=True)
    assert code == 9 and "Read-only file system" in err


async def test_privileged(machine: Machine) -> None:
    code, out, err = await machine.run(
        "grep -E 'CapEff|Seccomp:' /proc/self/status; mount -t tmpfs x /tmp", privileged=True
    )
    assert code == 0, err
    assert "Seccomp:\t0" in out


@pytest.mark.parametrize("init", ["builtin", "python"])
async def test_init_reaps_and_forwards(machine: Machine, init: str) -> None:
    """Both kinds: the distribution's binary, and our own where there is none (`self`)."""
    script = (
        "trap 'echo term; exit 6' TERM; (sleep 0 &) ; sleep 1; set -- /proc/[0-9]*; echo $#;"
        "while :; do sleep 0.05; done"
    )
    request = machine.request(script, init="builtin" if init == "builtin" else "self")
    client = await machine.attach(request)
    launched = await machine.runtime.launch(request)
    own = launched.steps[-1].operation == "ExecuteUnderInit"
    assert own is (init == "python" or not os.path.exists("/usr/bin/docker-init"))
    first = await asyncio.to_thread(client.recv, 10)
    await machine.runtime.signal(request.id, signal.SIGTERM)
    assert (await asyncio.wait_for(machine.runtime.wait(request.id), 10)).code == 6
    # init and the shell; no zombie is left of the orphan.
    assert frames(first + await read_all(client))[0] == b"2\nterm\n"
    await machine.runtime.delete(request.id)


async def test_limits_are_in_force(machine: Machine) -> None:
    resources = {"memory": {"limit": 32 * 2**20, "swap": 32 * 2**20}, "pids": {"limit": 10}}
    request = machine.request("head -c 100m /dev/zero | tail >/dev/null; sleep 0.2; exit 5", resources=resources)
    launched = await machine.runtime.launch(request)
    exit_ = await machine.runtime.wait(request.id)
    assert launched.warnings == []
    assert exit_.oom_killed
    await machine.runtime.delete(request.id)


async def test_a_signal_waits_for_init_to_start_its_program(machine: Machine) -> None:
    """pid 1 misses what it has no handler for yet; this init stands still until it is told to go on."""
    init = machine.scratch / "slow-init"
    init.write_text('#!/bin/sh\nread go\ntrap "exit 9" TERM\nshift\n"$@" &\nwait\n')
    init.chmod(0o755)
    request = machine.request(["sleep", "100"], init=str(init), stdin_open=True)
    client = await machine.attach(request, stdin=True)
    await machine.runtime.launch(request)
    signalled = asyncio.create_task(machine.runtime.signal(request.id, signal.SIGTERM))
    await asyncio.sleep(0)
    await machine.runtime.resize(request.id, 24, 80)  # answered after the signal was asked for
    client.sendall(b"go\n")
    await signalled
    assert (await asyncio.wait_for(machine.runtime.wait(request.id), 20)).code == 9
    client.close()
    await machine.runtime.delete(request.id)


async def test_one_that_has_ended_can_not_be_paused(machine: Machine) -> None:
    """The daemon may not have heard of it yet: a commit freezes what it thinks is running."""
    request = machine.request("exit 0")
    await machine.runtime.launch(request)
    directories = cgroups.detect().cgroup(request.config["linux"]["cgroupsPath"]).paths().values()
    await machine.runtime.wait(request.id)
    for _ in range(1000):
        if not any(map(os.path.exists, directories)):
            break
        await asyncio.sleep(0.01)
    for change in (machine.runtime.pause, machine.runtime.resume):
        with pytest.raises(Conflict, match="is not running"):
            await change(request.id)
    await machine.runtime.delete(request.id)


async def test_pause_and_stats(machine: Machine) -> None:
    request = machine.request("while true; do :; done")
    await machine.runtime.launch(request)
    await machine.runtime.pause(request.id)
    before = (await machine.runtime.stats(request.id))["cpu"]["total"]
    await asyncio.sleep(0.1)
    assert (await machine.runtime.stats(request.id))["cpu"]["total"] == before
    await machine.runtime.resume(request.id)
    await asyncio.sleep(0.2)
    assert (await machine.runtime.stats(request.id))["cpu"]["total"] > before
    await machine.runtime.signal(request.id, signal.SIGKILL)
    await machine.runtime.wait(request.id)
    await machine.runtime.delete(request.id)


@pytest.fixture
def bridge() -> Callable[[], str]:
    name = f"pdt{secrets.token_hex(3)}"
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    subprocess.run(["ip", "addr", "add", "10.213.7.1/24", "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield name  # type: ignore[misc]
    subprocess.run(["ip", "link", "del", name], check=True)


async def test_bridge(machine: Machine, bridge: str) -> None:
    attachment = Attachment(
        bridge=bridge,
        host_ifname=f"v{bridge}",
        ifname="eth0",
        mac="02:42:0a:d5:07:02",
        address="10.213.7.2/24",
        gateway="10.213.7.1",
    )
    script = "ip -o addr; ip route; cat /sys/class/net/eth0/address; ping -c 1 -W 2 10.213.7.1"
    code, out, err = await machine.run(script, attachments=[attachment])
    assert code == 0, err + out
    assert "inet 10.213.7.2/24 brd 10.213.7.255" in out and "default via 10.213.7.1 dev eth0" in out
    assert "02:42:0a:d5:07:02" in out and "inet 127.0.0.1/8" in out
