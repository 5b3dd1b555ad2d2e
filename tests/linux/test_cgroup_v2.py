"""cgroup v2 alone, with controllers: a user-mode Linux kernel boots on this host's files, and the daemon runs in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engines import write_rootfs_tar

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parent.parent.parent
INIT = """#!/bin/sh
mount -t proc p /proc; mount -t sysfs s /sys; mount -t cgroup2 c /sys/fs/cgroup
mount -t tmpfs t /run; mount -t tmpfs t {scratch}; mount -t devpts d /dev/pts; ip link set lo up
for module in $(find /usr/lib/uml/modules -name overlay.ko); do {busybox} insmod $module; done
{python} -B {root}/tests/linux/guest_v2.py {root} {scratch} {tar}
echo FACT end; echo o > /proc/sysrq-trigger; sleep 60
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the guest tells, by name."""
    kernel = shutil.which("linux.uml")
    if kernel is None:
        pytest.skip("machine: no user-mode Linux for this processor")
    outside = tmp_path_factory.mktemp("guest")
    scratch, tar, init = outside / "scratch", outside / "rootfs.tar", outside / "init.sh"
    scratch.mkdir()
    write_rootfs_tar(tar)
    words = {"scratch": scratch, "root": ROOT, "python": sys.executable, "tar": tar}
    init.write_text(INIT.format(busybox=shutil.which("busybox"), **words))
    init.chmod(0o755)
    command = [kernel, "mem=512M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", f"init={init}"]
    guest = subprocess.Popen(
        [*command, "con=null", "con0=null,fd:1", "quiet"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | {"TMPDIR": "/tmp"}, start_new_session=True,
    )  # fmt: skip
    told, console = [], b""
    try:
        assert guest.stdout is not None
        for line in guest.stdout:
            console += line
            if b"FACT end" in line:
                break
            if b"FACT " in line:
                told.append(json.loads(line.decode().strip().partition("FACT ")[2]))
    finally:
        os.killpg(guest.pid, 9)
        guest.wait()
        guest.stdout.close()
    assert ["left", []] in told, console.decode(errors="replace")
    return dict(told)


def test_limits_are_set_and_seen_inside(facts: dict[str, Any]) -> None:
    assert facts["version"] == "2" and facts["warnings"] == []
    inside = facts["inside"]
    assert inside[:7] == ["0::/", "33554432", "16777216", "16777216", "50000 100000", "20", "6"]
    assert inside[7:] == [
        "mkdir: can't create directory 'x': Read-only file system",
        "cat: can't open '/tmp/m': Operation not permitted",
        "sh: can't fork: Resource temporarily unavailable",
    ]


def test_out_of_memory_is_told(facts: dict[str, Any]) -> None:
    assert facts["greedy"] == [True, 137]


def test_stats_are_dockers_on_v2(facts: dict[str, Any]) -> None:
    assert facts["memory keys"] == ["limit", "stats", "usage"]  # Go leaves a failcnt of 0 out
    assert facts["limit"] == 64 << 20
    assert facts["used"] == [True, True]
    assert facts["pids"]["current"] in (1, 2) and facts["pids"]["limit"] == 2**64 - 1


def test_update_pause_exec_and_kill(facts: dict[str, Any]) -> None:
    assert facts["updated"] == [str(48 << 20), "0", "30000 100000", "7"]
    assert facts["paused"] == ["paused", "1"]
    assert facts["exec"] == "0::/\n"
    assert facts["killed"] == 137
