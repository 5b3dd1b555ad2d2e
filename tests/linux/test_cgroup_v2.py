"""cgroup v2 alone, with controllers: a user-mode Linux kernel boots on this host's files and is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parent.parent.parent
GUEST = """
import os, sys
sys.path.insert(0, {root!r})
from pydock_lab.daemon.linux import cgroups
layout = cgroups.detect()
print("FACT version", layout.version)
cgroup = layout.cgroup("/pydock/guest")
cgroup.prepare()
cgroup.apply({{"memory": {{"limit": 33554432}}, "pids": {{"limit": 3}}, "cpu": {{"quota": 50000, "period": 100000}}}})
for name in ("memory.max", "pids.max", "cpu.max"):
    print("FACT", name, open("/sys/fs/cgroup/pydock/guest/" + name).read().strip())
open("/sys/fs/cgroup/pydock/guest/cgroup.procs", "w").write("0")
try:
    for _ in range(5):
        if os.fork() == 0:
            os.read(os.pipe()[0], 1)
except BlockingIOError:
    print("FACT fork refused", flush=True)
"""


def test_limits_are_set_and_enforced(tmp_path: Path) -> None:
    kernel = shutil.which("linux.uml")
    if kernel is None:
        pytest.skip("machine: no user-mode Linux for this processor")
    (tmp_path / "guest.py").write_text(GUEST.format(root=str(ROOT)))
    init = tmp_path / "init.sh"
    init.write_text(
        "#!/bin/sh\nmount -t proc p /proc; mount -t sysfs s /sys; mount -t cgroup2 c /sys/fs/cgroup\n"
        f"{sys.executable} -B {tmp_path}/guest.py; echo FACT end\necho o > /proc/sysrq-trigger; sleep 60\n"
    )
    init.chmod(0o755)
    command = [kernel, "mem=512M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}"]
    command += ["con=null", "con0=null,fd:1", "quiet"]
    guest = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": "/tmp"}, start_new_session=True,
    )  # fmt: skip
    facts = []
    try:
        assert guest.stdout is not None
        for line in guest.stdout:
            if b"FACT" in line:
                facts.append(line.decode().strip().partition("FACT ")[2])
            if b"FACT end" in line:
                break
    finally:
        os.killpg(guest.pid, 9)
        guest.wait()
        guest.stdout.close()
    limits = ["version 2", "memory.max 33554432", "pids.max 3", "cpu.max 50000 100000", "fork refused", "end"]
    assert facts == limits
