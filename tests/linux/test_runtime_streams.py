"""What a client of a container, or of a program started in it, sends and gets."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from typing import Any

import pytest

from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import LaunchError
from pydock_lab.daemon.runtime.request import ExecRequest
from tests.linux.runtime import NEEDS, Machine, frames, read_all

pytestmark = NEEDS


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
