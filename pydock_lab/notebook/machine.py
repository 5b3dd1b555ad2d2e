"""A real virtual machine to put beside the containers: a Linux kernel booted on top of this one.

User-mode Linux (Debian's package user-mode-linux) is a kernel that runs as an
ordinary process, so it needs no privilege and no hardware support. It boots on
this host's own files, read-only: nothing is installed, copied or left behind.
What it says of itself on its console is what the view shows.

Source: Documentation/virt/uml/user_mode_linux_howto_v2.rst in the kernel.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydock_lab.errors import Unavailable

PROGRAM = "linux.uml"
_MEMORY = "96M"
_BOOT_TIMEOUT_S = 60.0
_MARK = b"PYDOCK "
# The guest's init: it says what it sees, runs one application, and stays. `[kthreads]` are counted, not named.
_INIT = """#!/bin/sh
mount -t proc proc /proc
hostname virtual-machine
echo "PYDOCK kernel $(uname -sr)"
sleep 86400 &
echo "PYDOCK process $$ init"
echo "PYDOCK process $! sleep 86400"
set -- /proc/[0-9]*
echo "PYDOCK processes $#"
read -r _ memory _ < /proc/meminfo
echo "PYDOCK memory_kib $memory"
echo "PYDOCK end"
while :; do wait; sleep 86400; done
"""

# Beside it waits a shell: when the notebook's kernel ends, however it ends, its pipe closes and nothing stays.
_KEEPER = """
scratch=$1; shift
"$@" </dev/null &
guest=$!
echo "PYDOCK pid $guest"
read -r _
rm -rf "$scratch"
kill -KILL $guest -$guest  # a group of processes, once it has begun
wait
"""


@dataclass(frozen=True)
class Guest:
    """What a booted machine says of itself.

    Attributes:
        pid: Its number on this host, where it is a process.
        kernel: `Linux 6.1.0`, its own.
        processes: (pid inside, command) of what its init started.
        process_count: All of its processes, kernel threads too.
        memory_bytes: What it takes for its hardware's memory.
        boot_ns: From the start of its process on this host to the first line of its init.
    """

    pid: int
    kernel: str
    processes: tuple[tuple[int, str], ...]
    process_count: int
    memory_bytes: int
    boot_ns: int


class Machine:
    """One virtual machine at most; it ends with the kernel of the notebook, however that ends.

    Attributes:
        guest: What it says of itself, once booted.
        container_start_ns: What a container took in the same minute for the same (views/container_start.py), or 0.
    """

    def __init__(self) -> None:
        self.guest: Guest | None = None
        self.container_start_ns = 0
        self._keeper: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_possible() -> bool:
        """Whether a program for it is installed."""
        return shutil.which(PROGRAM) is not None

    @property
    def is_running(self) -> bool:
        """Whether it has been booted and has not ended."""
        if self.guest is None:
            return False
        try:
            state = Path(f"/proc/{self.guest.pid}/stat").read_text().rpartition(") ")[2]
        except OSError:
            return False
        return not state.startswith("Z")

    @property
    def resident_bytes(self) -> int:
        """What it takes of this host's memory now; 0 where it doesn't run."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            if self.guest is not None:
                pages = int(Path(f"/proc/{self.guest.pid}/statm").read_text().split()[1])
                return pages * os.sysconf("SC_PAGE_SIZE")
        return 0

    def boot(self) -> Guest:
        """Boot it, or return the one that runs.

        Raises:
            Unavailable: nothing is installed to boot, or it does not come up.
        """
        if self.is_running and self.guest is not None:
            return self.guest
        program = shutil.which(PROGRAM)
        if program is None:
            raise Unavailable(
                "no virtual machine can be booted here: user-mode Linux is not installed",
                hint="on Debian and Ubuntu: apt-get install user-mode-linux",
            )
        self.stop()
        began_ns = time.monotonic_ns()
        self._keeper = _start(program)
        try:
            self.guest = _listen(self._keeper, began_ns)
        except BaseException:
            self.stop()
            raise
        return self.guest

    def stop(self) -> None:
        """Switch it off; its keeper removes what it needed."""
        self.guest = None
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None and keeper.stdout is not None:
            keeper.stdin.close()
            keeper.wait()
            keeper.stdout.close()


def _start(program: str) -> subprocess.Popen[bytes]:
    scratch = Path(tempfile.mkdtemp(prefix="pd-vm-"))
    init = scratch / "init"
    init.write_text(_INIT)
    init.chmod(0o755)
    command = [program, f"mem={_MEMORY}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
    command += [f"init={init}", f"uml_dir={scratch}", "con=null", "con0=null,fd:1", "quiet"]
    return subprocess.Popen(
        ["/bin/sh", "-c", _KEEPER, "keeper", str(scratch), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Its memory is a file that is mapped executable, which /dev/shm forbids in many a container.
        env={"PATH": os.defpath, "HOME": str(scratch), "TMPDIR": str(scratch)},
        start_new_session=True,
    )


def _listen(process: subprocess.Popen[bytes], began_ns: int) -> Guest:
    """Read the console until the guest's init has told everything."""
    assert process.stdout is not None
    facts: dict[str, str] = {}
    processes: list[tuple[int, str]] = []
    boot_ns = 0
    said: list[str] = []
    for line in _lines(process, time.monotonic() + _BOOT_TIMEOUT_S):
        if _MARK not in line:
            said.append(line.decode(errors="replace"))
            continue
        key, _, value = line.partition(_MARK)[2].decode(errors="replace").strip().partition(" ")
        if key == "kernel":
            boot_ns = time.monotonic_ns() - began_ns
        if key == "process":
            pid, _, command = value.partition(" ")
            processes.append((int(pid), command))
        elif key == "end":
            return Guest(
                pid=int(facts["pid"]),
                kernel=facts["kernel"],
                processes=tuple(processes),
                process_count=int(facts["processes"]),
                memory_bytes=int(facts["memory_kib"]) * 1024,
                boot_ns=boot_ns,
            )
        else:
            facts[key] = value
    raise Unavailable("the virtual machine did not come up\n" + "\n".join(f"  {text}" for text in said[-6:]))


def _lines(process: subprocess.Popen[bytes], deadline: float) -> Iterator[bytes]:
    """Yield lines of its console until it ends or time is up."""
    assert process.stdout is not None
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while ready.select(max(deadline - time.monotonic(), 0)):
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
