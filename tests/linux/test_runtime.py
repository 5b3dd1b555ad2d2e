"""The runtime on real namespaces: what a container sees, what a client gets, what is left afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pydock_lab.daemon.linux import cgroups
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import LaunchError, Runtime
from pydock_lab.daemon.runtime.request import Attachment, ExecRequest, LaunchRequest, Log, OverlayRoot
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import Conflict, Unavailable

pytestmark = [
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


async def test_stdin_with_half_close(machine: Machine) -> None:
    """What came with the request is not lost, the end of input reaches the process, output goes on."""
    request = machine.request("cat; echo after", stdin_open=True, stdin_once=True)
    client = await machine.attach(request, stdin=True, initial=b"first ")
    await machine.runtime.launch(request)
    client.sendall(b"second\n")
    client.shutdown(socket.SHUT_WR)
    assert frames(await read_all(client))[0] == b"first second\nafter\n"
    assert (await machine.runtime.wait(request.id)).code == 0
    await machine.runtime.delete(request.id)


async def test_much_input_and_output(machine: Machine) -> None:
    request = machine.request(["cat"], stdin_open=True, stdin_once=True)
    client = await machine.attach(request, stdin=True)
    await machine.runtime.launch(request)
    payload = os.urandom(1 << 20) * 8

    def write() -> None:
        client.sendall(payload)
        client.shutdown(socket.SHUT_WR)

    writing = asyncio.create_task(asyncio.to_thread(write))
    out = frames(await read_all(client))[0]
    await writing
    assert out == payload
    await machine.runtime.wait(request.id)
    await machine.runtime.delete(request.id)


async def test_a_client_that_does_not_read_blocks_nobody(machine: Machine) -> None:
    request = machine.request("head -c 20000000 /dev/zero; echo done >&2")
    idle = await machine.attach(request)
    other = await machine.attach(request)
    await machine.runtime.launch(request)
    raw = await read_all(other)
    assert (await asyncio.wait_for(machine.runtime.wait(request.id), 20)).code == 0
    assert len(frames(raw)[0]) == 20_000_000
    # It has lost nothing either: what it did not read is waiting for it.
    assert len(frames(await read_all(idle))[0]) == 20_000_000
    await machine.runtime.delete(request.id)


async def test_pty(machine: Machine) -> None:
    request = machine.request(
        "tty; stty size; test -t 0 && ls -l /dev/console; read x; echo got $x; read y",
        tty=True,
        stdin_open=True,
        console_size=(33, 101),
    )
    client = await machine.attach(request, stdin=True)
    launched = await machine.runtime.launch(request)
    assert any(step.operation == "OpenPty" for step in launched.steps)
    text = b""
    while b"console" not in text:
        text += await asyncio.to_thread(client.recv, 4096)
    client.sendall(b"hello\r")
    while b"got hello" not in text:
        text += await asyncio.to_thread(client.recv, 4096)
    assert text.startswith(b"/dev/pts/0\r\n33 101\r\n")
    client.sendall(b"\x10\x11")
    assert await read_all(client) == b""
    await asyncio.wait_for(machine.runtime.detaches(request.id).wait(), 5)
    await machine.runtime.signal(request.id, signal.SIGKILL)
    await machine.runtime.wait(request.id)
    await machine.runtime.delete(request.id)


async def test_exec(machine: Machine) -> None:
    request = machine.request("sleep 100", cwd="/tmp")
    await machine.runtime.launch(request)

    async def execute(args: list[str], **options: Any) -> tuple[int, bytes, bytes]:
        process = oci.exec_process(request.config, args, **options)
        id = secrets.token_hex(32)
        ours, theirs = socket.socketpair()
        await machine.runtime.attach(id, theirs.fileno(), stdin=False, stdout=True, stderr=True, tty=False)
        theirs.close()
        try:
            await machine.runtime.exec(ExecRequest(id, request.id, process))
        except LaunchError:
            assert await read_all(ours) == b""
            raise
        exit_ = await machine.runtime.wait(id)
        return (exit_.code, *frames(await read_all(ours)))

    code, out, _ = await execute(["sh", "-c", "pwd; id -un; cat /proc/1/comm; ls /proc/self/fd | wc -l; exit 7"])
    assert (code, out) == (7, b"/tmp\nroot\nsleep\n4\n")
    _, out, _ = await execute(["grep", "-E", "CapEff|Seccomp:", "/proc/self/status"], user="bob", env=["A=b"])
    assert b"CapEff:\t0000000000000000" in out and b"Seccomp:\t2" in out
    _, cgroup, _ = await execute(["cat", "/proc/self/cgroup"])
    _, of_init, _ = await execute(["cat", "/proc/1/cgroup"])
    assert cgroup == of_init
    with pytest.raises(
        LaunchError, match=r'OCI runtime exec failed: exec failed: .*"nosuch": executable file not found'
    ):
        await execute(["nosuch"])
    assert len(await machine.runtime.processes(request.id)) >= 1
    await machine.runtime.signal(request.id, signal.SIGKILL)
    await machine.runtime.wait(request.id)
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
