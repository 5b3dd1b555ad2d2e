"""Flags of `container run` for what a container may do and how much it may take, on our engine and on Docker's."""

from __future__ import annotations

import pytest

from tests.api.conftest import Engines
from tests.api.oracle import in_both, sessions

pytestmark = [pytest.mark.root, pytest.mark.oracle]

RIGHTS = {
    "cap-add by its full name, in any case": "run --rm --cap-add cap_net_admin busybox grep CapEff /proc/self/status",
    "cap-drop ALL, then one back": "run --rm --cap-drop ALL --cap-add CHOWN busybox grep CapEff /proc/self/status",
    "an unknown capability": "run --rm --cap-add NO_SUCH busybox true",
    "an unknown capability to drop": "create --cap-drop NO_SUCH busybox true",
    "user and capabilities": """
        run --rm -u 1000 busybox grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status
        run --rm -u 1000 --cap-add NET_ADMIN busybox grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status
    """,
    "no-new-privileges": """
        run --rm --security-opt no-new-privileges busybox grep NoNewPrivs /proc/self/status
        run --rm --security-opt no-new-privileges:true busybox grep NoNewPrivs /proc/self/status
        run --rm --security-opt no-new-privileges:false busybox grep NoNewPrivs /proc/self/status
        run --rm --security-opt no-new-privileges=false busybox grep NoNewPrivs /proc/self/status
    """,
    "seccomp": """
        run --rm --security-opt seccomp=unconfined busybox grep Seccomp: /proc/self/status
        run --rm --security-opt seccomp:unconfined busybox grep Seccomp: /proc/self/status
        run --rm --security-opt seccomp=/no/such/file busybox true
        run --rm busybox unshare -m true
        run --rm --security-opt seccomp=unconfined --cap-add SYS_ADMIN busybox unshare -m echo unshared
    """,
    "other security options": """
        run --rm --security-opt label=disable busybox echo runs
        run --rm --security-opt apparmor=unconfined busybox echo runs
        run --rm --security-opt nosuch=1 busybox true
        run --rm --security-opt nosuch busybox true
        create --security-opt credentialspec=1 busybox true
        create --security-opt no-new-privileges=x busybox true
        create --name open --security-opt apparmor=unconfined --pid host busybox
        inspect -f '{{json .HostConfig.SecurityOpt}}' open
        rm open
        create --name open --ipc host busybox
        inspect -f '{{json .HostConfig.SecurityOpt}}' open
        rm open
    """,
    "systempaths": """
        run --rm --security-opt systempaths=unconfined busybox sh -c 'test -w /proc/sys/kernel && echo writable'
    """,
    "devices": """
        run --rm --device /dev/null:/dev/mine busybox ls -l /dev/mine
        run --rm --device /dev/zero:/dev/mine:r busybox sh -c 'head -c 3 /dev/mine | wc -c; echo > /dev/mine'
        run --rm --device /dev/no-such busybox true
        run --rm --device /dev/zero:/dev/mine:q busybox true
        run --rm --device-cgroup-rule 'c 1:* rmw' busybox echo runs
        run --rm --device-cgroup-rule 'nonsense' busybox true
        run --rm --device-read-bps /dev/no-such:1mb busybox true
        run --rm --device-read-bps /dev/null:1mb busybox true
    """,
    "gpus": """
        create --name gg --gpus all busybox true
        start -a gg
        rm gg
    """,
    "sysctl": """
        run --rm --sysctl net.core.somaxconn=77 busybox cat /proc/sys/net/core/somaxconn
        run --rm --sysctl kernel.msgmax=4096 busybox cat /proc/sys/kernel/msgmax
        run --rm --sysctl kernel.no_such=1 busybox true
        run --rm --sysctl net.no_such=1 busybox true
        run --rm --sysctl vm.swappiness=1 busybox true
    """,
    "groups": """
        run --rm --group-add 55 --group-add 66 busybox id -G
        run --rm --group-add root busybox id -G
        run --rm --group-add no-such-group busybox true
        create --name uu -u no-such-user busybox true
        start -a uu
        inspect -f '{{.State.ExitCode}} {{.State.Status}}' uu
        rm uu
        run --rm -u 7 busybox id
        run --rm -u 7:8 busybox id
        run --rm -u root busybox id
        run --rm -u root:8 busybox id
        run --rm -u :8 busybox id
        run --rm -u 99999999999 busybox id
        run --rm -u root:no-such busybox id
    """,
}

_MEMORY = "cat /sys/fs/cgroup/memory/memory"
LIMITS = {
    "memory": f"""
        run --rm -m 64m busybox {_MEMORY}.limit_in_bytes
        run --rm -m 64m busybox {_MEMORY}.memsw.limit_in_bytes
        run --rm -m 64m --memory-swap -1 busybox {_MEMORY}.memsw.limit_in_bytes
        run --rm -m 64m --memory-swap 64m busybox {_MEMORY}.memsw.limit_in_bytes
        run --rm --memory-reservation 32m busybox {_MEMORY}.soft_limit_in_bytes
        run --rm --memory-swappiness 7 busybox {_MEMORY}.swappiness
        run --rm -m 64m --memory-swap 32m busybox true
        run --rm --memory-swap 64m busybox true
        run --rm -m 64m --memory-reservation 128m busybox true
        run --rm --memory-reservation 1m busybox true
        run --rm --memory-swappiness 101 busybox true
        run --rm -m 64m --oom-kill-disable busybox grep disable /sys/fs/cgroup/memory/memory.oom_control
        run --rm --oom-kill-disable busybox echo runs
        run --rm -m nonsense busybox true
    """,
    "out of memory": """
        run --name fat -m 16m --memory-swap 16m busybox sh -c 'x=a; while :; do x=$x$x; done'
        inspect -f {{.State.OOMKilled}}/{{.State.ExitCode}}/{{.State.Status}} fat
        rm fat
    """,
    "processors": """
        run --rm --cpus 0.5 busybox cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us
        run --rm --cpu-quota 5000 --cpu-period 10000 busybox cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us \
/sys/fs/cgroup/cpu/cpu.cfs_period_us
        run --rm --cpu-shares 1 busybox echo runs
        run --rm --cpu-shares 77 -c 78 busybox cat /sys/fs/cgroup/cpu/cpu.shares
        run --rm --cpuset-cpus 0 busybox cat /sys/fs/cgroup/cpuset/cpuset.cpus
        run --rm --cpuset-mems 0 busybox cat /sys/fs/cgroup/cpuset/cpuset.mems
        run --rm --cpuset-cpus 999 busybox true
        run --rm --cpuset-mems 9 busybox true
        run --rm --cpuset-cpus nonsense busybox true
        run --rm --cpus 0.5 --cpu-quota 5000 busybox true
        run --rm --cpus 0.5 --cpu-period 5000 busybox true
        run --rm --cpu-period 5 busybox true
        run --rm --cpu-quota 5 busybox true
        run --rm --cpus -1 busybox true
        run --rm --cpus nonsense busybox true
    """,
    "pids": """
        run --rm --pids-limit 9 busybox cat /sys/fs/cgroup/pids/pids.max
        run --rm --pids-limit 0 busybox cat /sys/fs/cgroup/pids/pids.max
        run --rm --pids-limit -1 busybox cat /sys/fs/cgroup/pids/pids.max
    """,
    "ulimits": """
        run --rm --ulimit nofile=77:88 busybox sh -c 'ulimit -Sn; ulimit -Hn'
        run --rm --ulimit nofile=77 busybox sh -c 'ulimit -Sn; ulimit -Hn'
        run --rm --ulimit core=0 busybox sh -c 'ulimit -c'
        run --rm --ulimit nonsense=1 busybox true
        run --rm --ulimit nofile=88:77 busybox true
    """,
    "oom-score-adj": """
        run --rm --oom-score-adj 77 busybox cat /proc/self/oom_score_adj
        run --rm --oom-score-adj 1001 busybox true
    """,
    "block devices": """
        run --rm --blkio-weight 5 busybox true
        run --rm --blkio-weight 1001 busybox true
    """,
    "init": """
        run --rm --init busybox sh -c 'cat /proc/1/comm; echo $$ | grep -c -v ^1$'
        run --rm --init busybox sh -c 'exit 9'
    """,
}


@sessions(rights=RIGHTS, limits=LIMITS)
def test_same_from_within(engines: Engines, script: str) -> None:
    ours, theirs = in_both(engines, script)
    assert ours == theirs
