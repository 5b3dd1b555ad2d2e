"""What separates a container from the host, read from within; the same in ours and in Docker's engine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

STATUS = "grep -E '^(Cap|Seccomp:|NoNewPrivs)' /proc/self/status"
KNOCK = """
for try in 'unshare -U true' 'unshare -m true' 'unshare -n true' 'mount -t tmpfs x /tmp' 'mount -o remount,rw /sys'
do $try 2>/dev/null && echo "$try: possible" || echo "$try: refused"; done
"""
WRITE = """
for file in /proc/sys/kernel/sysrq /proc/sysrq-trigger /proc/sys/vm/drop_caches /sys/kernel/uevent_seqnum \
  /proc/bus/x /proc/irq/default_smp_affinity /sys/fs/cgroup/x /proc/self/oom_score_adj
do (echo 0 > $file) 2>/dev/null && echo "$file: written" || echo "$file: refused"; done
"""
READ = """
for file in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /proc/scsi /sys/firmware /dev/mem /dev/kmsg
do echo "$file: $(cat $file 2>/dev/null | head -c 9 | wc -c) $(ls $file 2>/dev/null | head -3)"; done
"""
DEVICES = """
ls -l /dev | sed 's/  */ /g' | cut -d' ' -f1,3-6,10- | sort
mknod /dev/sdz b 8 0 && (head -c1 /dev/sdz >/dev/null 2>&1 && echo read || echo refused)
mknod /dev/null2 c 1 3 && echo x > /dev/null2 && echo works
"""

FACTS: dict[str, tuple[str, ...]] = {
    "capabilities, seccomp, no_new_privs": ("sh", "-c", STATUS),
    "of a user": ("-u", "1000", "sh", "-c", STATUS),
    "none at all": ("--cap-drop", "ALL", "sh", "-c", STATUS),
    "one more, one less": ("--cap-add", "SYS_PTRACE", "--cap-drop", "CHOWN", "sh", "-c", STATUS),
    "no-new-privileges": ("--security-opt", "no-new-privileges", "sh", "-c", STATUS),
    "seccomp=unconfined": ("--security-opt", "seccomp=unconfined", "sh", "-c", STATUS),
    "no further namespaces or mounts": ("sh", "-c", KNOCK),
    "nor for SYS_ADMIN without the system calls' filter": (
        "--cap-add", "SYS_ADMIN", "sh", "-c", "unshare -m true && mount -t tmpfs x /tmp && echo possible"),
    "kernel settings are read-only": ("sh", "-c", WRITE),
    "secrets are masked": ("sh", "-c", READ),
    "devices": ("sh", "-c", DEVICES),
    "file descriptors": ("sh", "-c", "cd /proc/self/fd; for fd in *; do [ -e $fd ] && echo $fd; done; true"),
    "descriptors of pid 1": ("sleep", "0"),
    "no new privileges by set-uid": (
        "-u", "1000", "--security-opt", "no-new-privileges", "sh", "-c", "id -u; grep NoNew /proc/self/status"),
    "a read-only root": ("--read-only", "sh", "-c", "(echo > /x) 2>&1; echo > /dev/shm/x && echo shm"),
    "limits": ("--ulimit", "nofile=100:200", "--pids-limit", "30", "-m", "32m", "--cpus", "0.5", "sh", "-c",
               ("ulimit -n; ulimit -Hn; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max "
               "/sys/fs/cgroup/cpu/cpu.cfs_quota_us")),
    "environment": ("-e", "HOSTNAME=h", "env"),
    "mounts' flags": ("sh", "-c", ("awk '$2 ~ /^.(proc|sys|dev)/ && $2 !~ /asound|acpi|interrupts|powercap/ "
                      "{print $2, $3, $4}' /proc/mounts | sed 's/,size=[0-9]*k//; s/,inode64//' | sort")),
}  # fmt: skip


def facts(engine: Daemon, arguments: tuple[str, ...]) -> tuple[int, str]:
    flags = 0
    while arguments[flags].startswith("-"):
        flags += 1 if arguments[flags] == "--read-only" else 2
    words = (*arguments[:flags], "busybox", *arguments[flags:])
    done = engine.docker("run", "--rm", "--network", "none", *words)
    return done.returncode, "\n".join(sorted(done.stdout.splitlines()) if arguments[-1] == "env" else [done.stdout])


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_is_the_same(engines: Engines, name: str) -> None:
    ours, dockers = (facts(engine, FACTS[name]) for engine in engines)
    assert ours == dockers


def test_facts_are_dockers_defaults(daemon: Daemon, busybox: str) -> None:
    """Where there is no engine to compare with, the known values."""
    _, out = facts(daemon, ("sh", "-c", STATUS + KNOCK))
    assert "CapEff:\t00000000a80425fb" in out and "CapBnd:\t00000000a80425fb" in out
    assert "Seccomp:\t2" in out and "NoNewPrivs:\t0" in out
    assert "possible" not in out and out.count("refused") == 5


def test_memory_beyond_the_limit_is_oom(daemon: Daemon, busybox: str) -> None:
    script = "head -c 200000000 /dev/zero | tail | wc -c"
    daemon.docker("run", "--name", "greedy", "-m", "16m", "--memory-swap", "16m", busybox, "sh", "-c", script)
    try:
        shown = daemon.docker("inspect", "-f", "{{.State.OOMKilled}}", "greedy").stdout
        assert shown == "true\n"
    finally:
        daemon.docker("rm", "-f", "greedy")


def test_processes_beyond_the_limit_are_refused(daemon: Daemon, busybox: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all"
    done = daemon.docker("run", "--rm", "--pids-limit", "6", busybox, "sh", "-c", script)
    assert "all" not in done.stdout and "can't fork" in done.stderr


@pytest.mark.parametrize("through", ["init", "exec"])
def test_the_hosts_interpreter_is_out_of_reach(daemon: Daemon, busybox: str, through: str) -> None:
    """CVE-2019-5736: a program that is /proc/self/exe runs what started it, and may not write to it."""
    before = Path(os.path.realpath("/proc/self/exe")).stat()
    if through == "init":
        done = daemon.docker("run", "--rm", busybox, "/proc/self/exe", "-c", "import os; os.open('/proc/self/exe', 1)")
    else:
        daemon.docker("run", "-d", "--name", "held", busybox, "sleep", "1000")
        try:
            done = daemon.docker("exec", "held", "/proc/self/exe", "-c", "import os; os.open('/proc/self/exe', 1)")
        finally:
            daemon.docker("rm", "-f", "held")
    assert done.returncode != 0
    after = Path(os.path.realpath("/proc/self/exe")).stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_a_working_directory_stays_inside(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    """An image's link through /.. leads to the container's own root, never to the host's."""
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nRUN ln -s /../../../..{tmp_path} /way-out\n")
    assert daemon.docker("build", "-q", "-t", "way-out", str(tmp_path)).returncode == 0
    try:
        done = daemon.docker("run", "--rm", "-w", "/way-out/made", "way-out", "pwd")
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/made\n")
        assert not (tmp_path / "made").exists()
        done = daemon.docker("run", "--rm", "--tmpfs", "/way-out/other", "way-out", "ls", str(tmp_path))
        assert (done.returncode, done.stdout) == (0, "other\n")
        assert not (tmp_path / "other").exists()
    finally:
        daemon.docker("rmi", "-f", "way-out")


@pytest.fixture
def shared_mount(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host whose mounts are shared."""
    subprocess.run(["mount", "-t", "tmpfs", "pd-test", str(tmp_path)], check=True)
    subprocess.run(["mount", "--make-shared", str(tmp_path)], check=True)
    yield tmp_path
    subprocess.run(["umount", "-R", str(tmp_path)], check=True)


def test_mounts_go_where_propagation_lets_them(daemon: Daemon, busybox: str, shared_mount: Path) -> None:
    """One made in the container, in a volume that is shared, is seen by the host and by a slave, not by the others."""
    script = "mkdir /shared/new; mount -t tmpfs t /shared/new; grep -o ' /[a-z]*/new ' /proc/self/mountinfo"
    volumes = ("-v", f"{shared_mount}:/shared:rshared", "-v", f"{shared_mount}:/slave:rslave")
    volumes += ("-v", f"{shared_mount}:/alone")
    done = daemon.docker("run", "--rm", *volumes, "--cap-add", "SYS_ADMIN", busybox, "sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == ["/shared/new", "/slave/new"]
    assert (shared_mount / "new").is_mount()
