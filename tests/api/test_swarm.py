"""`stack`, `service`, `node` and their kin: pydock beside the docker CLI on a real swarm, and on our engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engines import dockerd, dockerd_is_installed
from tests.api.conftest import import_image
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

FILE = """
services:
  web:
    image: busybox
    command: sh -c 'echo hello from $$A; exec sleep 1000'
    environment: {A: "1", B: two}
    hostname: web
    labels: {team: blue}
    ports: ["${PORT}:80", "${UDP}:53/udp"]
    stop_grace_period: 1s
    healthcheck: {test: "true", interval: 200ms, timeout: 1m30s, retries: 4}
    extra_hosts: ["there:10.1.2.3"]
    dns: 10.0.0.53
    cap_add: [NET_ADMIN]
    ulimits: {nofile: {soft: 100, hard: 200}, nproc: 300}
    configs: [{source: page, target: /page, mode: 0440}]
    secrets: [token]
    volumes:
      - data:/data
      - /anonymous
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1048576}}
    networks: {front: {aliases: [www]}, default: }
    deploy:
      replicas: 2
      labels: {tier: front}
      endpoint_mode: vip
      restart_policy: {condition: on-failure, delay: 1s, max_attempts: 3, window: 5s}
      update_config: {parallelism: 2, delay: 1s, order: start-first, monitor: 1s, max_failure_ratio: 0.5}
      resources: {limits: {cpus: "0.5", memory: 32M, pids: 50}, reservations: {memory: 8M}}
      placement: {constraints: [node.role == manager], max_replicas_per_node: 4}
  db:
    image: busybox
    command: sleep 1000
    user: "1000"
    init: true
    restart: always
    stop_signal: SIGKILL
    logging: {driver: json-file, options: {max-size: 1m}}
    deploy: {mode: global}
networks: {front: {labels: {a: b}, attachable: true}}
volumes: {data: {labels: {kept: "yes"}}}
configs: {page: {file: ./page.txt}}
secrets: {token: {file: ./token.txt}}
"""


@pytest.fixture(scope="module")
def swarm(rootfs_tar: Path) -> Iterator[Daemon]:
    """A dockerd in a network namespace of its own, as a swarm of one machine that `pydock swarm init` made."""
    if not dockerd_is_installed():
        pytest.skip("machine: no dockerd to make a swarm of")
    with dockerd(own_network=True) as engine:
        real = Daemon(engine.root, engine.process, engine.root / "docker.sock")
        import_image(real, rootfs_tar)
        said = pydock(real, "swarm", "init", "--advertise-addr", "127.0.0.1")
        assert re.match(r"Swarm initialized: current node \(\w{25}\) is now a manager\.\n\nTo add a worker", said)
        yield real
        assert pydock(real, "swarm", "leave", "--force") == "Node left the swarm.\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "page.txt").write_text("a page")
    (tmp_path / "token.txt").write_text("a secret")
    path = tmp_path / "compose.yaml"
    path.write_text(FILE)
    return path


def run(engine: Daemon, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command line; "docker" or "pydock" is its first word."""
    program = [sys.executable, "-m", "pydock_lab.client.cli"] if words[0] == "pydock" else [words[0]]
    environment = os.environ | {"DOCKER_HOST": engine.host} | variables
    return subprocess.run([*program, *words[1:]], env=environment, input="", text=True, capture_output=True, timeout=60)


def pydock(engine: Daemon, *words: str, **variables: str) -> str:
    done = run(engine, "pydock", *words, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def both(engine: Daemon, *words: str) -> tuple[str, str]:
    """What pydock and the docker CLI say to the same; times are levelled."""
    found = []
    for program in ("pydock", "docker"):
        done = run(engine, program, *words)
        said = (done.stdout + done.stderr).partition("\nHint:")[0].rstrip("\n").replace("pydock", "docker")
        found.append(re.sub(r"(Less than a|About a|\d+) (second|minute)s? ago *", "then ", said, flags=re.IGNORECASE))
    return found[0], found[1]


def deploy(program: str, engine: Daemon, file: Path, stack: str) -> subprocess.CompletedProcess[str]:
    port = "8081" if stack == "pydock" else "8082"
    words = ("stack", "deploy", "--resolve-image", "never", "-c", str(file), stack)
    done = run(engine, program, *words, PORT=port, UDP=port)
    assert done.returncode == 0, done.stderr
    return done


def spec(engine: Daemon, stack: str, service: str) -> dict[str, Any]:
    """A service as it is on the swarm; what differs by the stack's name or by chance is levelled."""
    found = json.loads(engine.docker("service", "inspect", f"{stack}_{service}").stdout)[0]["Spec"]
    text = re.sub(r'"(ConfigID|SecretID|Target)": "[a-z0-9]{25}"', r'"\1": "id"', json.dumps(found, sort_keys=True))
    found = json.loads(text.replace(f"{stack}_", "stack_").replace(f'"{stack}"', '"stack"').replace("8082", "8081"))
    assert isinstance(found, dict)
    return found


def until_running(engine: Daemon, stack: str, tasks: int) -> None:
    deadline = time.monotonic() + 30
    while engine.docker("stack", "ps", stack, "--format", "{{.CurrentState}}").stdout.count("Running") < tasks:
        assert time.monotonic() < deadline, engine.docker("stack", "ps", "--no-trunc", stack).stdout
        time.sleep(0.1)


def test_a_stack_from_the_file_that_compose_takes(swarm: Daemon, file: Path) -> None:
    ours, theirs = deploy("pydock", swarm, file, "pydock"), deploy("docker", swarm, file, "docker")
    assert sorted(ours.stdout.replace("pydock", "docker").split("\n")) == sorted(theirs.stdout.split("\n"))
    assert ours.stderr == theirs.stderr
    for service in ("web", "db"):
        assert spec(swarm, "pydock", service) == spec(swarm, "docker", service)
    for stack in ("pydock", "docker"):
        until_running(swarm, stack, 3)
    network = json.loads(swarm.docker("network", "inspect", "pydock_front").stdout)[0]
    assert (network["Driver"], network["Attachable"], network["Labels"]["a"]) == ("overlay", True, "b")
    again = deploy("pydock", swarm, file, "pydock").stdout
    assert [line.split()[:3] for line in again.splitlines()] == [
        ["Updating", "service", "pydock_db"],
        ["Updating", "service", "pydock_web"],
    ]
    _looks_the_same(swarm)
    _is_scaled(swarm)
    _is_removed(swarm)


def _looks_the_same(swarm: Daemon) -> None:
    for line in (
        "stack ls",
        "stack services pydock",
        "stack ps pydock",
        "stack ps --no-trunc --no-resolve pydock",
        "service ls",
        "service ls --format {{.Name}}:{{.Ports}}",
        "service ps pydock_web docker_db",
        "service inspect -f {{.Spec.Name}} pydock_web nothing",
        "node ls",
        "node ps",
        "node inspect self",
        "secret ls",
        "config ls --format json",
        "swarm join-token worker",
        "swarm join-token -q manager",
    ):
        ours, theirs = both(swarm, *line.split())
        assert ours == theirs, line
    logs = [sorted(text.splitlines()) for text in both(swarm, "service", "logs", "pydock_web")]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 2
    assert all(re.fullmatch(r"docker_web\.\d\.\w{12}@\S+    \| hello from 1", line) for line in logs[0])


def _is_scaled(swarm: Daemon) -> None:
    said = pydock(swarm, "service", "scale", "pydock_web=1").splitlines()
    assert said[0] == "pydock_web scaled to 1"
    assert said[-1] == "verify: Service pydock_web converged"
    assert "overall progress: 1 out of 1 tasks" in said


def _is_removed(swarm: Daemon) -> None:
    said = pydock(swarm, "stack", "rm", "pydock")
    theirs = swarm.docker("stack", "rm", "docker").stdout
    assert sorted(said.replace("pydock", "docker").splitlines()) == sorted(theirs.splitlines())
    assert "pydock" not in pydock(swarm, "stack", "ls")


def test_secrets_and_configs_by_hand(swarm: Daemon, file: Path) -> None:
    path = str(file.with_name("token.txt"))
    for kind in ("secret", "config"):
        identifier = pydock(swarm, kind, "create", "-l", "a=b", "mine", path).strip()
        assert json.loads(swarm.docker(kind, "inspect", "mine").stdout)[0]["ID"] == identifier
        assert pydock(swarm, kind, "rm", "mine") == "mine\n"


@pytest.mark.parametrize(
    "line",
    [
        "stack deploy x",
        "stack ps nothing",
        "stack rm nothing",
        "stack services nothing",
        "service ps nothing",
        "service inspect nothing",
        "service logs nothing",
        "service rm nothing",
        "service scale nothing=2",
        "service scale nothing",
        "service scale nothing=x",
        "node inspect nothing",
        "secret rm nothing",
        "config inspect nothing",
        "swarm join-token somebody",
        "swarm init",
        "swarm leave",
    ],
)
def test_what_is_wrong_is_said_as_docker_does(swarm: Daemon, line: str) -> None:
    ours, theirs = both(swarm, *line.split())
    assert ours == theirs


def test_a_swarm_builds_nothing(swarm: Daemon, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {build: .}}")
    done = run(swarm, "pydock", "stack", "deploy", "-c", str(tmp_path / "compose.yaml"), "built")
    assert done.returncode == 1
    assert "no image specified" in done.stderr
    assert "Hint: a swarm builds nothing" in done.stderr
    assert "built" not in pydock(swarm, "stack", "ls")
    assert "built" not in swarm.docker("network", "ls").stdout


@pytest.mark.parametrize(
    "line",
    [
        "stack ls",
        "stack ps x",
        "stack rm x",
        "stack services x",
        "service ls",
        "service inspect x",
        "service scale x=2",
        "service create busybox",
        "service logs x",
        "node ls",
        "node inspect self",
        "node update x",
        "secret ls",
        "config ls",
        "swarm join-token worker",
        "swarm ca",
        "swarm unlock-key",
        "swarm leave",
    ],
)
def test_our_engine_is_no_swarm_and_says_so_as_docker_does(daemon: Daemon, line: str) -> None:
    done = run(daemon, "docker", *line.split())
    assert "This node is not a swarm manager" in done.stderr or "This node is not part of a swarm" in done.stderr
    ours = run(daemon, "pydock", *line.split())
    assert ours.returncode == done.returncode == 1
    assert re.sub(r"^could not fetch unlock key: ", "", done.stderr).strip() in ours.stderr


def test_a_stack_on_our_engine_is_refused_before_anything_is_made(daemon: Daemon, file: Path) -> None:
    before = daemon.docker("network", "ls", "-q").stdout
    words = ("stack", "deploy", "--detach=true", "-c", str(file), "demo")
    done = run(daemon, "pydock", *words, PORT="8081", UDP="8082")
    assert done.returncode == 1
    assert 'this node is not a swarm manager. Use "docker swarm init"' in done.stderr
    assert "`docker compose up` runs the same file here" in done.stderr
    assert daemon.docker("network", "ls", "-q").stdout == before
