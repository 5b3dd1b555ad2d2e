"""Every flag of `container run` and its kin, seen from within the container, on our engine and on Docker's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.conftest import Engines
from tests.api.test_oracle import session

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

NAMESPACES = {
    "pid host": """
        run --rm --pid host busybox sh -c 'test $(cat /proc/1/comm) != sh && echo other'
        run --rm --pid host --init busybox sh -c 'test $(cat /proc/$PPID/comm) != docker-init && echo other'
    """,
    "pid of a container": """
        run -d --name one busybox sleep 1234
        run --rm --pid container:one busybox cat /proc/1/cmdline
        run --rm --pid container:no-such busybox true
        rm -f one
        run --rm --pid nonsense busybox true
    """,
    "ipc": """
        run -d --name giver --ipc shareable busybox sh -c 'echo x > /dev/shm/x; sleep 1d'
        exec giver sh -c 'until test -s /dev/shm/x; do :; done'
        run --rm --ipc container:giver busybox cat /dev/shm/x
        rm -f giver
        run -d --name keeper --ipc private busybox sleep 1d
        run --rm --ipc container:keeper busybox true
        rm -f keeper
        run --rm --ipc none busybox sh -c 'mount | grep -c shm'
        run --rm --ipc host busybox sh -c 'mount | grep -c mqueue; ls -d /dev/mqueue'
        run --rm --ipc nonsense busybox true
        run --rm --ipc container:no-such busybox true
    """,
    "uts": """
        run --rm --uts host -h box busybox true
        run --rm --uts nonsense busybox true
        run --rm --uts host busybox sh -c 'env | grep -c ^HOSTNAME'
        run --rm -h box.lan busybox sh -c 'hostname; cat /etc/hosts | tail -n 1 | cut -f2'
        run --rm -h box --domainname lan busybox sh -c 'hostname; cat /etc/hosts | tail -n 1 | cut -f2'
    """,
    "userns": """
        run --rm --userns host busybox echo runs
        run --rm --userns nonsense busybox true
    """,
    "network of a container": """
        run -d --name one -h shared busybox sleep 1d
        run --rm --network container:one busybox hostname
        run --rm --network container:one -h other busybox true
        run --rm --network container:one -p 80:80 busybox true
        run --rm --network container:one --dns 1.1.1.1 busybox true
        run --rm --network container:one --add-host a:1.1.1.1 busybox true
        run --rm --network container:one --expose 80 busybox true
        create --name two --network container:one busybox hostname
        inspect -f {{.Config.Hostname}} two
        start -a two
        inspect -f {{.Config.Hostname}} two
        rm two
        stop -t 0 one
        run --rm --network container:one busybox true
        rm one
    """,
    "network host": """
        run --rm --net host busybox sh -c 'test -e /sys/class/net/docker0 -o -e /sys/class/net/eth0 && echo sees'
        run --rm --net host -h box busybox hostname
        run --rm --net host --add-host a:1.2.3.4 busybox grep 1.2.3.4 /etc/hosts
        run --rm --net host -p 80:80 busybox echo runs
    """,
    "addresses": """
        run --rm --ip 172.17.0.99 busybox true
        run --rm --mac-address nonsense busybox true
        run --rm --network-alias a busybox true
    """,
    "names": """
        run --rm --dns nonsense busybox true
        run --rm --dns-option ndots:3 --dns 9.8.7.6 busybox cat /etc/resolv.conf
        run --rm --dns-search . --dns 9.8.7.6 busybox cat /etc/resolv.conf
        run --rm --add-host nonsense busybox true
        run --rm --add-host six:::1 busybox grep six /etc/hosts
        run --rm --add-host bad:1.2.3 busybox true
    """,
    "cgroupns": """
        run --rm --cgroupns host busybox echo runs
        run --rm --cgroupns private busybox echo runs
        run --rm --cgroupns nonsense busybox true
    """,
    "cgroup-parent": """
        run --rm --cgroup-parent /lab busybox sh -c 'grep -c /lab/ /proc/self/cgroup >/dev/null && echo in'
    """,
    "runtime and isolation": """
        run --rm --runtime no-such busybox true
        run --rm --isolation hyperv busybox true
        run --rm --isolation default busybox echo runs
        run --rm --storage-opt size=1g busybox true
    """,
    "legacy links": """
        run -d --name db -e PASSWORD=x --expose 5432 busybox sleep 1d
        run --rm --link db:store busybox sh -c 'env | grep -i store | sed s/[0-9.]*:/ADDR:/ | grep -v _ADDR | sort'
        run --rm --link db:store busybox sh -c 'grep -c store /etc/hosts'
        run --rm --link no-such busybox true
        run --rm --link db:store --net none busybox true
        run --rm --link db:store --net host busybox true
        rm -f db
    """,
}

MOUNTS = {
    "tmpfs": """
        run --rm --tmpfs /t busybox sh -c 'mount | grep " /t " | tr , "\\n" | grep -vE "^size|inode|relatime"'
        run --rm --tmpfs /t:size=1m,mode=700,uid=5 busybox sh -c 'ls -ld /t | cut -c1-30; df -k /t | tail -n 1 \
| cut -c22-34'
        run --rm --tmpfs /t:rw,exec busybox sh -c 'cp /bin/busybox /t/echo && /t/echo runs'
        run --rm --tmpfs /t busybox sh -c 'cp /bin/busybox /t/echo && /t/echo runs'
        run --rm --tmpfs /t:exec,noexec busybox grep -c ' /t .*noexec' /proc/mounts
        run --rm --tmpfs /t:nonsense busybox true
        run --rm --tmpfs t busybox true
    """,
    "mount type tmpfs": """
        run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700 busybox sh -c 'ls -ld /t | cut -c1-10; \
df -k /t | tail -n 1 | cut -c22-34'
        run --rm --mount type=tmpfs,dst=/t,readonly busybox touch /t/x
        run --rm --mount type=tmpfs,dst=/t busybox sh -c 'mount | grep " /t " | tr , "\\n" | grep -vE \
"^size|inode|relatime"'
        run --rm --mount type=tmpfs,src=x,dst=/t busybox true
    """,
    "mount type bind": """
        run --rm --mount type=bind,src=/no/such,dst=/t busybox true
        run --rm --mount type=bind,src=/usr,dst=/t,readonly busybox touch /t/x
        run --rm --mount type=bind,src=/usr,dst=/t,bind-propagation=rshared busybox sh -c 'grep " /t " \
/proc/self/mountinfo | grep -c shared:'
        run --rm --mount type=bind,src=/usr,dst=/t,bind-propagation=rslave busybox echo runs
        run --rm --mount type=bind,src=/usr,dst=/t,bind-propagation=nonsense busybox true
        run --rm --mount type=bind,src=usr,dst=/t busybox true
        run --rm --mount type=bind,dst=/t busybox true
        run --rm --mount type=bind,src=/usr busybox true
        run --rm --mount type=bind,src=/usr,dst=t busybox true
        run --rm --mount type=nonsense,src=/usr,dst=/t busybox true
        run --rm --mount type=bind,src=/usr,dst=/t,nonsense=1 busybox true
        run --rm --mount type=bind,src=/usr,dst=/t,volume-nocopy busybox true
        run --rm --mount type=bind,src=/etc/passwd,dst=/t busybox sh -c 'test -s /t && echo file'
        run --rm --mount type=bind,src=/usr,dst=/t --mount type=bind,src=/etc,dst=/t busybox true
        run --rm -v /usr:/t -v /etc:/t busybox true
    """,
    "mount type volume": """
        run --rm --mount type=volume,src=mv,dst=/t busybox sh -c 'echo kept > /t/x'
        run --rm --mount type=volume,src=mv,dst=/t,ro busybox cat /t/x
        run --rm --mount type=volume,src=mv,dst=/t,ro busybox touch /t/x
        run --rm --mount src=mv,dst=/t busybox cat /t/x
        run --rm --mount type=volume,dst=/t busybox ls /t
        run --rm --mount type=volume,src=ev,dst=/bin,volume-nocopy busybox true
        run --rm --mount type=volume,src=fv,dst=/bin busybox sh -c 'ls /bin | grep -c .'
        run --rm --mount type=volume,src=lv,dst=/t,volume-label=a=b busybox true
        volume inspect -f {{.Labels}} lv
        run --rm -v mv:/t:ro,nocopy busybox cat /t/x
        run --rm -v mv:/t:rw,ro busybox true
        run --rm -v mv:/t:shared busybox true
        volume rm mv ev fv lv
    """,
    "binds": """
        run --rm -v /usr:/t:ro busybox touch /t/x
        run --rm -v /usr:/t:z busybox echo runs
        run --rm -v /usr:/t:rshared busybox sh -c 'grep " /t " /proc/self/mountinfo | grep -c shared:'
        run --rm -v /usr:/t:rslave,ro busybox touch /t/x
        run --rm -v /usr:/t:shared,slave busybox true
        run --rm -v /etc/passwd:/etc/passwd:ro busybox sh -c 'head -n 1 /etc/passwd'
        run --rm -v /a:/b:ro:x busybox true
        run --rm -v /t busybox sh -c 'touch /t/x && echo writable'
    """,
    "volumes-from": """
        create --name donor -v /data -v /usr:/u:ro busybox
        run --rm --volumes-from donor busybox sh -c 'echo kept > /data/x; touch /u/x'
        run --rm --volumes-from donor:ro busybox sh -c 'cat /data/x; touch /data/y'
        run --rm --volumes-from donor:rw busybox cat /data/x
        run --rm --volumes-from donor:nonsense busybox true
        run --rm --volumes-from no-such busybox true
        run --rm --volumes-from donor -v /tmp:/data busybox echo runs
        rm -v donor
    """,
    "read-only": """
        run --rm --read-only busybox touch /x
        run --rm --read-only --tmpfs /run busybox touch /run/x
        run --rm --read-only -v /v busybox touch /v/x
        run --rm --read-only busybox sh -c 'touch /etc/hosts'
        run --rm --read-only busybox sh -c 'echo > /dev/null && touch /dev/shm/x && echo fine'
    """,
    "shm-size": """
        run --rm --shm-size 1m busybox sh -c 'df -k /dev/shm | tail -n 1 | cut -c22-34'
        run --rm busybox sh -c 'df -k /dev/shm | tail -n 1 | cut -c22-34'
        run --rm --shm-size -1 busybox true
        run --rm --shm-size 0 busybox sh -c 'df -k /dev/shm | tail -n 1 | cut -c22-34'
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

PROCESS = {
    "entrypoint": """
        run --rm --entrypoint echo busybox a b
        run --rm --entrypoint '' busybox echo cleared
        run --rm --entrypoint '' busybox
        run --rm --entrypoint no-such busybox
        run --rm --entrypoint /bin/echo busybox 'two words'
    """,
    "workdir": """
        run --rm -w /new/place busybox sh -c 'pwd; ls -ld . | cut -c1-10'
        run --rm -w /new/place -u 1000 busybox sh -c 'ls -ldn /new/place | cut -c1-30'
        run --rm -w /etc/passwd busybox true
        run --rm -w /a/../b busybox pwd
    """,
    "environment": """
        run --rm -e A=1 -e A=2 busybox sh -c 'echo $A'
        run --rm -e =x busybox true
        run --rm -e '' busybox true
        run --rm --env-file /no/such busybox true
        run --rm -e PATH=/x busybox echo no
        run --rm -e HOME=/x busybox sh -c 'echo $HOME'
        run --rm -e HOSTNAME=x busybox sh -c 'echo $HOSTNAME'
        run --rm -t busybox sh -c 'echo $TERM'
        run --rm busybox sh -c 'env | cut -d= -f1 | sort'
        run --rm -u 1000 busybox sh -c 'echo $HOME'
    """,
    "labels and annotations": """
        create --name lab -l a -l b=c --label '' busybox
        create --name lab -l a -l b=c busybox
        inspect -f '{{json .Config.Labels}}' lab
        ps -a --filter label=a --format {{.Names}}
        ps -a --filter label=b=c --format {{.Names}}
        ps -a --filter label=b=d --format {{.Names}}
        rm lab
        run --rm --label-file /no/such busybox true
    """,
    "log drivers": """
        run --name quiet --log-driver none busybox echo seen
        logs quiet
        rm quiet
        run --name local --log-driver local busybox echo seen
        logs local
        rm local
        run --rm --log-driver no-such busybox true
        run --rm --log-opt no-such=1 busybox true
        run --rm --log-opt max-size=nonsense busybox true
        run --rm --log-opt max-file=nonsense busybox true
        run --rm --log-opt max-file=2 busybox true
        run --rm --log-opt max-size=1k --log-opt max-file=0 busybox true
        run --rm --log-opt mode=non-blocking busybox echo seen
        run --rm --log-opt mode=nonsense busybox true
        run --rm --log-opt mode=non-blocking --log-opt max-buffer-size=x busybox true
        run --rm --log-opt max-size=-5 busybox true
        run --rm --log-opt compress=true --log-opt max-size=1k busybox true
        run --rm --log-opt compress=x --log-opt max-size=1k --log-opt max-file=2 busybox true
        run --rm --log-driver local --log-opt max-file=1 busybox true
        run --rm --log-opt 'tag={{.Nosuch}}' busybox true
        run --rm --log-opt 'tag={{' busybox true
        run --name chosen --log-opt labels-regex=^a --log-opt env-regex=Q -l abc=1 -l xyz=2 -e AQ=/ -e R=4 busybox \
echo x
        logs --details chosen
        rm chosen
        run --name tagged --log-opt 'tag={{.Name}}/{{.ImageName}}/{{ .Command }}' busybox echo seen
        logs --details tagged
        rm tagged
        run --name kept --log-opt labels=a,b --log-opt env=E -l a=1 -e E=2 busybox echo seen
        logs --details kept
        rm kept
        run --name rot --log-opt max-size=1k --log-opt max-file=3 busybox sh -c 'seq 1 1000'
        rm rot
    """,
    "pull and platform": """
        run --rm --pull never no-such-image true
        run --rm --pull nonsense busybox true
        run --rm --pull missing busybox echo runs
    """,
    "health": """
        create --name hh --health-cmd 'exit 1' --health-interval 1s --health-timeout 2s --health-retries 3 \
--health-start-period 4s busybox
        inspect -f '{{json .Config.Healthcheck}}' hh
        rm hh
        create --name hh --no-healthcheck busybox
        inspect -f '{{json .Config.Healthcheck}}' hh
        rm hh
        create --health-interval 1us busybox
        create --health-retries -1 --health-cmd x busybox
        create --health-timeout 1us --health-cmd x busybox
        create --no-healthcheck --health-cmd x busybox
    """,
    "stop-signal and stop-timeout": """
        run -d --name ss --stop-signal KILL busybox sleep 1d
        stop ss
        inspect -f {{.State.ExitCode}} ss
        rm ss
        create --stop-signal NOSUCH busybox
        run -d --name ss --stop-signal 77 busybox sleep 1d
        kill -s 77 ss
        stop -t 1 ss
        inspect -f {{.State.ExitCode}} ss
        rm ss
        run -d --name ss --stop-timeout 0 busybox sleep 1d
        stop ss
        inspect -f {{.State.ExitCode}} ss
        rm ss
        run -d --name ss --stop-signal USR1 busybox sh -c 'trap "exit 5" USR1; while :; do sleep 0.01; done'
        exec ss sleep 0.3
        stop ss
        inspect -f {{.State.ExitCode}} ss
        rm ss
    """,
    "ports": """
        create --name pp -P --expose 80 --expose 90-92/udp busybox
        inspect -f '{{json .Config.ExposedPorts}}' pp
        rm pp
        create --name pp -p 127.0.0.1:45900-45902:80-82 busybox
        inspect -f '{{json .HostConfig.PortBindings}}' pp
        port pp
        rm pp
        create -p 1-2:1-3 busybox
        create --expose nonsense busybox
        run --rm -p 45903:80/nonsense busybox true
    """,
    "restart": """
        run --rm --restart on-failure busybox true
        create --restart no:1 busybox
        create --restart on-failure:nonsense busybox
        create --restart on-failure:-1 busybox
        create --name rr --restart on-failure:2 busybox false
        start rr
        wait rr
        wait rr
        wait rr
        inspect -f {{.RestartCount}}/{{.State.ExitCode}}/{{.State.Status}} rr
        rm -f rr
        run -d --name rr --restart always busybox sh -c 'sleep 0.01; false'
        wait rr
        wait rr
        wait rr
        wait rr
        wait rr
        wait rr
        exec rr true
        pause rr
        top rr
        start rr
        inspect -f {{.State.Status}} rr
        stop rr
        inspect -f {{.State.Status}}/{{.State.ExitCode}} rr
        rm rr
        run -d --name rr --restart always busybox sleep 1d
        update --restart no rr
        inspect -f {{.HostConfig.RestartPolicy}} rr
        kill rr
        inspect -f {{.State.Status}} rr
        rm -f rr
    """,
    "detached with an attachment": """
        run -d --rm -a stdout busybox true
        run -a nonsense busybox true
        run -d --rm --name e1 busybox sleep 1d
        rm -f e1
    """,
    "standard input": """
        run --rm -i busybox cat
        run --rm -it busybox cat
        run --rm -a stdin -a stdout -i busybox cat
    """,
}

AFTERWARDS = {
    "update": f"""
        run -d --name uu -m 64m busybox sleep 1d
        update -m 32m uu
        exec uu {_MEMORY}.limit_in_bytes
        update -m 32m --memory-swap 48m uu
        exec uu {_MEMORY}.limit_in_bytes
        exec uu {_MEMORY}.memsw.limit_in_bytes
        update --memory-reservation 16m uu
        exec uu {_MEMORY}.soft_limit_in_bytes
        update -m 1g uu
        update -m 1m uu
        update -m 32m --memory-swap -1 uu
        update -m 16m uu
        update -m 4m uu
        update --memory-reservation 12m uu
        update --cpu-shares 98 uu
        update -m 32m --memory-swap 48m uu
        update --cpus 0.5 uu
        exec uu cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us
        update --cpu-shares 99 uu
        exec uu cat /sys/fs/cgroup/cpu/cpu.shares
        update --cpuset-cpus 0 uu
        exec uu cat /sys/fs/cgroup/cpuset/cpuset.cpus
        update --pids-limit 50 uu
        exec uu cat /sys/fs/cgroup/pids/pids.max
        update --pids-limit -1 uu
        exec uu cat /sys/fs/cgroup/pids/pids.max
        update --cpu-rt-runtime 1000 uu
        update --cpu-rt-period 500 uu
        inspect -f '{{{{.HostConfig.CpuRealtimeRuntime}}}} {{{{.HostConfig.CpuRealtimePeriod}}}}' uu
        update --cpu-quota 5000 uu
        update --blkio-weight 5 uu
        update no-such
        update uu
        update --cpus 1 no-such
        inspect -f {{{{.HostConfig.Memory}}}}/{{{{.HostConfig.MemorySwap}}}}\
/{{{{.HostConfig.NanoCpus}}}}/{{{{.HostConfig.CpuShares}}}} uu
        rm -f uu
        run -d --name uu busybox sleep 1d
        update -m 64m uu
        rm -f uu
        run -d --rm --name uu busybox sleep 1d
        update --restart always uu
        rm -f uu
    """,
    "networks of one that runs": """
        network create --internal ainternal
        network create zopen
        run -d --name nn --net ainternal --expose 81 -p 80 busybox sleep 1d
        inspect -f '{{len (index .NetworkSettings.Ports "80/tcp")}} {{len .NetworkSettings.Ports}}' nn
        network connect zopen nn
        inspect -f '{{len (index .NetworkSettings.Ports "80/tcp")}} {{len .NetworkSettings.Ports}}' nn
        exec nn sh -c 'ip route | grep default | cut -d" " -f4,5'
        network connect bridge nn
        inspect -f '{{len (index .NetworkSettings.Ports "80/tcp")}} {{len .NetworkSettings.Ports}}' nn
        exec nn sh -c 'ip route | grep default | cut -d" " -f4,5'
        restart -t 0 nn
        exec nn sh -c 'ip addr show $(ip route | grep default | cut -d" " -f5) | grep -c $(hostname -i | cut -d" " -f1)'
        network disconnect bridge nn
        inspect -f '{{len (index .NetworkSettings.Ports "80/tcp")}} {{len .NetworkSettings.Ports}}' nn
        exec nn sh -c 'ip route | grep -c default'
        network disconnect ainternal nn
        exec nn sh -c 'ip route | grep -c default'
        rm -f nn
        network rm ainternal zopen
    """,
    "the network of one that ended": """
        create --name nn busybox true
        inspect -f '{{len (index .NetworkSettings.Networks "bridge").NetworkID}}' nn
        start -a nn
        inspect -f '{{len (index .NetworkSettings.Networks "bridge").NetworkID}}' nn
        rm nn
    """,
    "rename": """
        create --name a1 busybox
        create --name a2 busybox
        rename a1 a2
        rename a1 b!
        rename a1 ''
        rename a1 a3
        inspect -f {{.Name}} a3
        rm a3 a2
    """,
    "wait": """
        create --name ww busybox sh -c 'exit 4'
        wait ww
        start ww
        wait ww
        rm ww
    """,
    "top": """
        run -d --name tt busybox sleep 1234
        top tt -o cmd
        top tt --nonsense
        rm -f tt
    """,
    "commit": """
        run --name cc busybox touch /made
        commit -c 'ENV A=1' -c 'CMD ["echo","hi"]' -c 'EXPOSE 80' -c 'LABEL x=y' -c 'WORKDIR /w' -c 'USER 5' -c \
'VOLUME /v' -a me -m note cc made:1
        inspect -f '{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.ExposedPorts}} {{.Author}} \
{{.Comment}} {{.Config.User}} {{.Config.WorkingDir}} {{json .Config.Volumes}}' made:1
        run --rm made:1
        inspect -f '{{.Config.Image}} {{.Config.Hostname}} {{.Config.AttachStdout}}' made:1
        commit -c 'NONSENSE x' cc
        commit -c 'RUN x' cc
        commit no-such
        commit cc Upper
        rmi made:1
        rm cc
    """,
    "exec": """
        run -d --name ee -u 5:6 -e A=1 -w /tmp -m 64m busybox sleep 1d
        exec ee sh -c 'id -u; pwd; echo $A'
        exec -u 7 ee id -u
        exec -u root ee id
        exec -u 0 ee sh -c 'grep CapEff /proc/self/status'
        exec -w /etc ee pwd
        exec -w /no/such ee pwd
        exec -w rel ee pwd
        exec -e A=2 -e B=3 ee sh -c 'echo $A$B'
        exec ee /etc/passwd
        exec ee sh -c 'exit 5'
        exec ee sh -c 'kill -9 $$'
        exec -d ee sh -c 'touch /tmp/detached'
        exec ee sh -c 'until test -e /tmp/detached; do :; done; echo there'
        exec -i ee cat
        exec ee sh -c 'cat /proc/self/cgroup | grep -c docker >/dev/null; ulimit -c'
        exec no-such true
        exec ee
        exec --env-file /no/such ee true
        exec --detach-keys nonsense ee true
        rm -f ee
    """,
    "kill": """
        run -d --name kk busybox sh -c 'trap "echo usr1" USR1; while :; do sleep 0.01; done'
        exec kk sleep 0.3
        kill -s USR1 kk
        exec kk sleep 0.2
        logs kk
        kill -s 0 kk
        kill -s SIGNOSUCH kk
        kill -s 9 kk
        kill kk
        inspect -f {{.State.ExitCode}} kk
        rm kk
    """,
    "start": """
        create --name ss busybox sh -c 'echo hi; exit 3'
        start -a ss
        start ss
        wait ss
        start -a ss
        start no-such ss
        wait ss
        rm ss
        create -i --name ss busybox cat
        start -ai ss
        rm ss
    """,
    "ps": """
        run -d --name p1 -l x=1 -v pv:/d --expose 80 busybox sleep 1d
        run --name p2 -l x=2 busybox sh -c 'exit 3'
        create --name p3 busybox
        ps -a --format '{{.Names}} {{.State}} {{.Image}} {{.Command}} {{.Labels}} {{.LocalVolumes}} \
{{.Networks}} {{.Ports}}' --filter name=p1 --filter name=p2 --filter name=p3
        ps -a --filter status=exited --filter name=^/p[123]$ --format {{.Names}}
        ps -aq --filter volume=pv --filter name=^/p[123]$ --format {{.Names}}
        ps --filter volume=/d --format {{.Names}}
        ps -a --filter before=p2 --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter since=p1 --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter ancestor=busybox --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter ancestor=nonsense --format {{.Names}}
        ps --filter network=bridge --filter name=^/p[123]$ --format {{.Names}}
        ps --filter network=nonsense --format {{.Names}}
        ps -a --filter expose=80 --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter publish=80 --format {{.Names}}
        ps -a --filter publish=80-x
        ps -a --filter 'name=[' --format {{.Names}}
        ps -a --filter health=none --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter health=nonsense
        ps -a --filter is-task=true --format {{.Names}}
        ps -a --filter is-task=nonsense
        ps -a --filter exited=nonsense
        ps -a --filter name=^/p1$ --format {{.Names}}
        ps -a --filter name=^p1$ --format {{.Names}}
        ps -a --filter isolation=default --filter name=^/p[123]$ --format {{.Names}}
        ps -a --filter label=x --format {{.Names}}
        ps -n 1 --format {{.Names}}
        ps -l --format {{.Names}}
        ps -n -1 --filter name=^/p[123]$ --format {{.Names}}
        ps --no-trunc --filter name=p1 --format {{.Command}}
        rm -f p1 p2 p3
        volume rm pv
    """,
    "logs": """
        run --name ll busybox sh -c 'echo out; echo err >&2; printf unfinished'
        logs ll
        logs --tail nonsense ll
        logs --tail -5 ll
        logs --since nonsense ll
        logs -f ll
        rm ll
        run -t --name ll busybox sh -c 'echo out; echo err >&2'
        logs ll
        rm ll
        create --name ll busybox
        logs ll
        rm ll
    """,
    "prune": """
        run --name pr -l gone=1 busybox true
        container prune -f --filter label=gone=2
        container prune -f --filter nonsense=1
        container prune -f --filter label=gone
        inspect pr
    """,
    "pause": """
        run -d --name pa busybox sleep 1d
        pause pa
        inspect -f {{.State.Status}}/{{.State.Paused}}/{{.State.Running}} pa
        start pa
        restart -t 0 pa
        inspect -f {{.State.Status}} pa
        pause pa
        stop -t 0 pa
        inspect -f {{.State.Status}}/{{.State.ExitCode}} pa
        rm -f pa
        run -d --name pa busybox sleep 1d
        pause pa
        rm pa
        rm -f pa
    """,
}

TABLES = {
    "rights": RIGHTS,
    "namespaces": NAMESPACES,
    "mounts": MOUNTS,
    "limits": LIMITS,
    "process": PROCESS,
    "afterwards": AFTERWARDS,
}


@pytest.mark.parametrize(
    "script",
    [pytest.param(script, id=f"{group}: {name}") for group, table in TABLES.items() for name, script in table.items()],
)
def test_same_from_within(engines: Engines, script: str) -> None:
    with ThreadPoolExecutor(2) as both:
        ours, theirs = both.map(session, engines, (script, script))
    assert ours == theirs
