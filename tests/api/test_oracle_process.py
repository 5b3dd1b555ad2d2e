"""Flags of `container run` for what runs, what becomes of its output and how it ends, on our engine and on Docker's."""

from __future__ import annotations

import pytest

from tests.api.conftest import Engines
from tests.api.oracle import in_both, sessions

pytestmark = [pytest.mark.root, pytest.mark.oracle]

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


@sessions(process=PROCESS)
def test_same_from_within(engines: Engines, script: str) -> None:
    ours, theirs = in_both(engines, script)
    assert ours == theirs
