"""Flags of `container run` for what a container finds around it, on our engine and on Docker's: namespaces, mounts."""

from __future__ import annotations

import pytest

from tests.api.conftest import Engines
from tests.api.oracle import in_both, sessions

pytestmark = [pytest.mark.root, pytest.mark.oracle]

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


@sessions(namespaces=NAMESPACES, mounts=MOUNTS)
def test_same_from_within(engines: Engines, script: str) -> None:
    ours, theirs = in_both(engines, script)
    assert ours == theirs
