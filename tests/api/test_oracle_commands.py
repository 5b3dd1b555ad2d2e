"""Commands for a container that is there already, with their flags, on our engine and on Docker's."""

from __future__ import annotations

import pytest

from tests.api.conftest import Engines
from tests.api.oracle import in_both, sessions

pytestmark = [pytest.mark.root, pytest.mark.oracle]

_MEMORY = "cat /sys/fs/cgroup/memory/memory"
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


@sessions(afterwards=AFTERWARDS)
def test_same_from_within(engines: Engines, script: str) -> None:
    ours, theirs = in_both(engines, script)
    assert ours == theirs
