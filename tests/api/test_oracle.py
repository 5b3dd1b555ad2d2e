"""The same docker commands on our engine and on Docker's: status, output and errors must be the same.

Each case is a little session, one docker command a line. The commands of the
Docker notes come first, word for word.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.api.oracle import in_both, normal, sessions

pytestmark = [pytest.mark.root, pytest.mark.oracle]

NOTES = {
    "run and see": "run --rm alpine echo hello",
    "a file does not outlive its container": """
        run --rm alpine sh -c 'echo x > /made; ls /made'
        run --rm alpine ls /made
    """,
    "the second word after -e is the image": "container run -e FLASK_APP=app.py FLASK_DEBUG=1 alpine",
    "detached, logs, stop, rm": """
        run -d --name n1 alpine sh -c 'echo out; echo err >&2; sleep 1d'
        exec n1 sh -c 'sleep 0.3'
        container logs n1
        stop -t 0 n1
        ps -a --filter name=n1 --format {{.Names}}={{.State}}
        rm n1
    """,
    "stop and rm of nothing": """
        stop
        rm
    """,
    "container log is no command": "container log x",
    "a named volume": """
        volume create nv
        run --rm -v nv:/data alpine sh -c 'echo kept > /data/f'
        run --rm -v nv:/data alpine cat /data/f
        volume ls --filter name=nv --format {{.Driver}}/{{.Name}}
        volume rm nv
    """,
}

STATUS = {
    "exit status of the command": "run --rm busybox sh -c 'exit 7'",
    "killed by a signal": "run --rm busybox sh -c 'kill -9 $$'",
    "no such program": "run --rm busybox no-such-program",
    "no such program by path": "run --rm busybox /no/such/program",
    "a directory is no program": "run --rm busybox /etc",
    "a file is no program": "run --rm busybox /etc/passwd",
    "stdout and stderr stay apart": "run --rm busybox sh -c 'echo out; echo err >&2'",
    "wait gives the status": """
        run -d --name st busybox sh -c 'exit 3'
        wait st
        inspect -f {{.State.Status}}/{{.State.ExitCode}} st
        rm st
    """,
    "an exec's own status": """
        run -d --name st busybox sleep 1d
        exec st sh -c 'exit 9'
        exec -u nobody-here st true
        exec -e A=b st sh -c 'echo $A'
        rm -f st
        exec st true
    """,
    "exec in a stopped container": """
        create --name st busybox
        exec st true
        top st
        pause st
        kill st
        attach st
        rm st
    """,
}

CONTAINERS = {
    "an unknown flag": "run --no-such-flag busybox",
    "upper case in a name": "run --rm BusyBox true",
    "a bad tag": "run --rm busybox:b@d true",
    "a port that is no number": "run --rm -p abc:80 busybox true",
    "a port that is too large": "run --rm -p 99999:80 busybox true",
    "a container port that is no number": "run --rm -p 80:abc busybox true",
    "a working directory that is not absolute": "run --rm -w here busybox true",
    "a user that is not there": "run --rm -u nobody-here busybox true",
    "a mount to nowhere": "run --rm -v :/x busybox true",
    "a mount onto the root": "run --rm -v /tmp:/ busybox true",
    "a mount that is not absolute": "run --rm -v /tmp:x busybox true",
    "a mount mode nobody knows": "run --rm -v /tmp:/x:zz busybox true",
    "a volume name with odd letters": "run --rm -v 'a b:/x' busybox true",
    "too little memory": "run --rm -m 1k busybox true",
    "more processors than there are": "run --rm --cpus 1000 busybox true",
    "a network that is not there": """
        run --name nn --net no-such-net busybox true
        rm nn
    """,
    "the network of a container that is not there": "run --rm --net container:no-such busybox true",
    "a restart policy nobody knows": "run --rm --restart sometimes busybox true",
    "restart and rm exclude each other": "run --rm --restart always busybox true",
    "retries only with on-failure": "create --restart always:3 busybox",
    "a bad name": "create --name a/b busybox",
    "a name in use": """
        create --name twice busybox
        create --name twice busybox
        rename twice twice
        rename no-such other
        rm twice
    """,
    "nothing of that name": """
        rm no-such
        stop no-such
        start no-such
        kill no-such
        logs no-such
        inspect no-such
        wait no-such
        port no-such
        top no-such
        diff no-such
        restart no-such
        pause no-such
        cp no-such:/x /tmp/nowhere
        container inspect no-such
    """,
    "rm of a running container": """
        run -d --name busy busybox sleep 1d
        rm busy
        kill -s NOSUCH busy
        kill busy
        rm busy
        rm busy
    """,
    "pause and resume": """
        run -d --name busy busybox sleep 1d
        pause busy
        ps --filter name=busy --format {{.State}}
        exec busy true
        pause busy
        unpause busy
        unpause busy
        rm -f busy
    """,
    "files in and out": """
        run --name files busybox sh -c 'mkdir /d; echo a > /d/a; rm /etc/passwd'
        diff files
        cp files:/no/such /tmp/nowhere
        cp /no/such files:/
        rm files
    """,
    "a filter nobody knows": """
        ps --filter no=such
        ps --filter status=odd
        images --filter no=such
        volume ls --filter no=such
        network ls --filter no=such
    """,
    "what a container sees": """
        run --rm -h box busybox hostname
        run --rm -e A=1 -e B=2 busybox sh -c 'echo $A$B $HOME $PATH'
        run --rm -w /made/here busybox pwd
        run --rm -u 1234:77 busybox id
        run --rm --read-only busybox touch /x
        run --rm --tmpfs /t busybox sh -c 'touch /t/x && ls /t'
        run --rm busybox sh -c 'ls /sys/class/net | sort'
        run --rm --net none busybox sh -c 'ls /sys/class/net'
        run --rm busybox cat /proc/1/comm
        run --rm busybox sh -c 'ulimit -n >/dev/null && umask'
        run --rm busybox grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|Seccomp:' /proc/self/status
        run --rm --cap-drop ALL busybox grep CapEff /proc/self/status
        run --rm --cap-add NET_ADMIN busybox grep CapEff /proc/self/status
        run --rm busybox ls /dev
        run --rm busybox sh -c 'ls -la /dev/fd /dev/stdin /dev/ptmx | sed "s/.* \\//\\//"'
        run --rm busybox sh -c 'mount | cut -d" " -f3,5 | grep -v "^/ \\|resolv\\|host" | sort'
        run --rm --add-host here:10.9.8.7 busybox grep here /etc/hosts
        run --rm --dns 10.9.8.7 --dns-search lan busybox sort /etc/resolv.conf
    """,
    "logs": """
        run --name talk busybox sh -c 'for i in 1 2 3 4 5; do echo line $i; done'
        logs talk
        logs --tail 2 talk
        logs --tail 0 talk
        logs --since 1h talk
        logs --until 1h talk
        rm talk
    """,
}

IMAGES = {
    "nothing of that name": """
        rmi no-such
        tag no-such other
        history no-such
        image inspect no-such
        save -o /tmp/nowhere.tar no-such
    """,
    "a bad target": "tag busybox Upper",
    "tags come and go": """
        tag busybox mine:1
        tag busybox mine:2
        images --format {{.Repository}}:{{.Tag}} mine
        rmi mine:1
        rmi mine:2
        rmi mine:2
    """,
    "an image that is used": """
        tag busybox mine
        create --name uses mine
        rmi mine
        rm uses
    """,
}

VOLUMES = {
    "nothing of that name": """
        volume rm no-such
        volume inspect no-such
    """,
    "a bad name": "volume create 'a b'",
    "a driver nobody has": "volume create -d no-such v",
    "a volume in use": """
        volume create held
        create --name holds -v held:/x busybox
        volume rm held
        rm holds
        volume rm held
    """,
    "an anonymous volume goes with rm -v": """
        create --name holds -v /x busybox
        rm -v holds
    """,
    "networks": """
        network rm no-such
        network inspect no-such
        network create bridge
        network rm bridge
        network create -d no-such n
    """,
}

DOCKERFILES = {
    "nothing in it": "",
    "no FROM": "RUN true\n",
    "an unknown instruction": "FROM busybox\nFORM alpine\n",
    "FROM with too many words": "FROM busybox as x y\n",
    "COPY of what is not there": "FROM busybox\nCOPY nothing /\n",
    "COPY from above the context": "FROM busybox\nCOPY ../x /\n",
    "COPY with one word": "FROM busybox\nCOPY x\n",
    "a RUN that fails": "FROM busybox\nRUN exit 3\n",
    "a program that is not there": 'FROM busybox\nRUN ["no-such-program"]\n',
    "ENV without a value": "FROM busybox\nENV A\n",
    "EXPOSE of no port": "FROM busybox\nEXPOSE word\n",
    "a stage that is not there": "FROM busybox\nCOPY --from=5 /x /\n",
    "a flag nobody knows": "FROM busybox\nCOPY --no-such=1 x /\n",
}


@sessions(notes=NOTES, status=STATUS, containers=CONTAINERS, images=IMAGES, volumes=VOLUMES)
def test_same_status_and_output(engines: Engines, script: str) -> None:
    ours, theirs = in_both(engines, script)
    assert ours == theirs


@pytest.mark.parametrize("dockerfile", DOCKERFILES.values(), ids=DOCKERFILES.keys())
def test_same_refusal_of_a_dockerfile(engines: Engines, dockerfile: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    ours, theirs = (engine.docker("build", "-t", "refused", ".", cwd=tmp_path) for engine in engines)
    assert ours.returncode == theirs.returncode != 0
    assert normal(ours.stderr) == normal(theirs.stderr)
    assert engines.ours.docker("image", "inspect", "refused").returncode == 1
    # Both keep the container of a RUN that failed.
    left = [engine.docker("ps", "-aq").stdout.split() for engine in engines]
    assert len(left[0]) == len(left[1])
    for engine, ids in zip(engines, left, strict=True):
        assert not ids or engine.docker("rm", *ids).returncode == 0


@pytest.mark.parametrize("command", ["run", "create"])
def test_an_image_that_nobody_has(engines: Engines, command: str) -> None:
    """The reason depends on the network; the status and the first line don't."""
    ours, theirs = (engine.docker(command, "no-such-image-anywhere") for engine in engines)
    assert ours.returncode == theirs.returncode
    assert ours.stderr.splitlines()[0] == theirs.stderr.splitlines()[0]
