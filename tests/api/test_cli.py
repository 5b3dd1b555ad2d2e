"""`pydock` beside the docker CLI, both on our engine: the same output, messages and exit statuses."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import import_image
from tests.conftest import Daemon


@pytest.fixture(scope="module")
def box(daemon: Daemon, rootfs_tar: Path) -> Iterator[str]:
    """A container that runs in the shared daemon while this module's tests look at it."""
    import_image(daemon, rootfs_tar)
    command = "run -d --name cli-box -p 127.0.0.1::80 -e A=b --label x=y -v cli-vol:/data busybox sleep 1000"
    done = daemon.docker(*command.split())
    assert done.returncode == 0, done.stderr
    yield "cli-box"
    daemon.docker("rm", "-f", "-v", "cli-box")
    daemon.docker("volume", "rm", "cli-vol")


def pydock(daemon: Daemon, *words: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run our command line against a daemon."""
    return subprocess.run(
        [sys.executable, "-m", "pydock_lab.client.cli", *words],
        env=os.environ | {"DOCKER_HOST": daemon.host},
        input=stdin,
        text=True,
        capture_output=True,
        timeout=120,
        cwd=cwd,
    )


def steady(text: str) -> str:
    """Take out what differs between two runs: ids, ages, and the program's name."""
    text = re.sub(r"\bpydock\b", "docker", text)
    text = re.sub(r"\n*\nHint: .*\n", "\n", text)
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text)
    text = re.sub(r"(Less than a second|About an? \w+|\d+ seconds?|\d+ minutes?)( ago)?( +)", "AGE ", text)
    return re.sub(r" {2,}", "  ", text).strip()


SAME = """\
ps -a --filter name=cli-box
ps -a --filter name=cli-box --no-trunc -q
ps -a --filter name=cli-box --format '{{.Names}} {{.Ports}} {{.Mounts}} {{.Label "x"}}'
ps -a --filter name=cli-box --format 'table {{.Names}}\\t{{.State}}'
ps --filter foo
ps --filter foo=bar
images busybox
image ls --format '{{.Repository}}:{{.Tag}} {{.Size}}' busybox
history busybox
inspect cli-box
inspect nosuch
container inspect -f '{{.State.Status}} {{json .Config.Env}}' cli-box
image inspect -f '{{.Foo}}' busybox
volume ls --filter name=cli-vol
volume inspect cli-vol
network ls
network inspect bridge -f '{{.Name}} {{.Driver}}'
port cli-box
port cli-box 99
top cli-box -o pid,args
logs cli-box
run --rm busybox echo hi
run --rm -i busybox cat
run --rm busybox sh -c 'echo out; echo err >&2; exit 3'
run --rm busybox nosuch
run --rm busybox /etc
run --rm -t busybox echo hi
run --rm -it busybox true
run --rm --entrypoint echo busybox x y
run --rm -w /tmp -u 1 busybox pwd
run --foo busybox
run
run -e FLASK_APP=app.py FLASK_DEBUG=1 busybox
run -p foo busybox
run --rm --restart=always busybox
run --rm -v foo: busybox
run -d --name cli-box busybox
exec cli-box echo hi
exec cli-box sh -c 'exit 7'
exec cli-box nosuch
exec nosuch ls
stop
stop nosuch
rm nosuch nosuch2
rm cli-box
start nosuch
kill -s FOO cli-box
rename cli-box
tag busybox A:b
tag nosuch a:b
rmi nosuch
volume rm cli-vol
cp a b
cp cli-box:/nosuch x
wait nosuch
update cli-box
pull A
load -i /nosuch
attach nosuch
nope
container nope
container log cli-box
version -f '{{.Server.Version}}'
info -f '{{.Driver}}'
rm --help
cp --help
login --help
logout --help
context create --help
volume create --help"""


@pytest.mark.parametrize("line", SAME.splitlines())
def test_pydock_answers_as_docker_does(daemon: Daemon, box: str, line: str) -> None:
    real, ours = daemon.docker(*shlex.split(line)), pydock(daemon, *shlex.split(line))
    assert (ours.returncode, steady(ours.stdout), steady(ours.stderr)) == (
        real.returncode,
        steady(real.stdout),
        steady(real.stderr),
    )


def ok(daemon: Daemon, line: str, **options: object) -> str:
    """Run a command that must succeed with nothing on stderr; return what it printed."""
    done = pydock(daemon, *shlex.split(line), **options)  # type: ignore[arg-type]
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.strip()


def test_a_containers_life(daemon: Daemon, box: str) -> None:
    identifier = ok(daemon, "create --name cli-life busybox sleep 1000")
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert ok(daemon, "start cli-life") == "cli-life"
    assert ok(daemon, "pause cli-life") == "cli-life"
    assert "(Paused)" in ok(daemon, "ps --filter name=cli-life --format '{{.Status}}'")
    ok(daemon, "unpause cli-life")
    ok(daemon, "rename cli-life cli-life2")
    ok(daemon, "restart -t 0 cli-life2")
    ok(daemon, "kill cli-life2")
    assert ok(daemon, "wait cli-life2") == "137"
    assert ok(daemon, "rm cli-life2") == "cli-life2"


def test_logs_follow_to_the_end(daemon: Daemon, box: str) -> None:
    ok(daemon, "run -d --name cli-logs busybox sh -c 'for i in 1 2 3; do echo $i; echo e$i >&2; sleep 0.1; done'")
    done = pydock(daemon, "logs", "-f", "cli-logs")
    assert done.stdout.split() == ["1", "2", "3"] and done.stderr.split() == ["e1", "e2", "e3"]
    assert pydock(daemon, "logs", "--tail", "1", "cli-logs").stderr + pydock(
        daemon, "logs", "--tail", "1", "cli-logs"
    ).stdout in ("e3\n", "3\n")
    ok(daemon, "rm cli-logs")


def test_stdin_goes_in_and_ends(daemon: Daemon, box: str) -> None:
    text = "line\n" * 20_000
    assert pydock(daemon, "run", "--rm", "-i", "busybox", "wc", "-l", stdin=text).stdout.strip() == "20000"
    assert pydock(daemon, "exec", "-i", box, "cat", stdin=text).stdout == text


def test_files_go_both_ways(daemon: Daemon, box: str, tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "a").write_text("in")
    ok(daemon, f"cp tree {box}:/tree", cwd=tmp_path)
    ok(daemon, f"cp tree/. {box}:/tree", cwd=tmp_path)
    ok(daemon, f"cp tree {box}:/tree", cwd=tmp_path)
    assert sorted(ok(daemon, f"exec {box} find /tree -name a").split()) == ["/tree/below/a", "/tree/tree/below/a"]
    ok(daemon, f"cp {box}:/tree/below/a out", cwd=tmp_path)
    ok(daemon, f"cp {box}:/tree copy", cwd=tmp_path)
    assert (tmp_path / "out").read_text() == (tmp_path / "copy" / "below" / "a").read_text() == "in"


def test_a_build_from_each_place_a_dockerfile_can_be(daemon: Daemon, box: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.txt").write_text("a")
    (context / "left-out").write_text("x")
    (context / ".dockerignore").write_text("left-*\n")
    (context / "Dockerfile").write_text("FROM busybox\nCOPY . /ctx\nRUN ls -A /ctx\n")
    said = ok(daemon, "build -t cli-build .", cwd=context)
    assert "Successfully tagged cli-build:latest" in said and "left-out" not in said and "a.txt" in said
    identifier = ok(daemon, "build -q .", cwd=context)
    assert identifier == ok(daemon, "image inspect -f '{{.Id}}' cli-build")
    piped = pydock(daemon, "build", "-f", "-", ".", stdin="FROM busybox\nCOPY . /c\nRUN ls -A /c\n", cwd=context)
    assert piped.returncode == 0 and "a.txt" in piped.stdout and ".dockerfile" not in piped.stdout
    failed = pydock(daemon, "build", "-", stdin="FROM busybox\nRUN exit 3\n")
    assert failed.returncode == 3 or failed.returncode == 1
    assert "The command '/bin/sh -c exit 3' returned a non-zero code: 3" in failed.stderr
    ok(daemon, "rmi cli-build")


def test_images_as_archives(daemon: Daemon, box: str, tmp_path: Path) -> None:
    ok(daemon, "tag busybox cli-saved:1")
    ok(daemon, "save -o saved.tar cli-saved:1", cwd=tmp_path)
    ok(daemon, "rmi cli-saved:1")
    assert ok(daemon, "load -i saved.tar", cwd=tmp_path) == "Loaded image: cli-saved:1"
    ok(daemon, "rmi cli-saved:1")


def test_hints_follow_the_message(daemon: Daemon) -> None:
    done = pydock(daemon, "run", "-e", "FLASK_APP=app.py", "FLASK_DEBUG=1", "busybox")
    assert done.returncode == 125
    assert "must be lowercase" in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[-1].startswith("Hint: -e takes one variable")


def test_a_nobody_behind_the_address(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pydock_lab.client.cli", "-H", f"unix://{tmp_path}/x.sock", "ps"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot connect to the Docker daemon at unix://{tmp_path}/x.sock.")


def test_doctor_and_explain(daemon: Daemon, box: str) -> None:
    assert "namespaces" in ok(daemon, "doctor")
    explained = ok(daemon, f"explain {box}")
    assert len(explained.splitlines()) > 5 and "ms" in explained
    missing = pydock(daemon, "explain", "nosuch")
    assert missing.returncode == 1 and "No such container: nosuch" in missing.stderr


def test_a_broken_pipe_is_quiet(daemon: Daemon) -> None:
    command = f"{sys.executable} -m pydock_lab.client.cli -H {daemon.host} --help | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("Usage:  pydock") and done.stderr == ""
