"""`pydock compose` on our engine and on the distribution's: the same project, names and messages on both."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.conftest import Engines
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

# SIGKILL: sleep, as PID 1, ignores SIGTERM, and nothing is to be waited for here.
FILE = """
name: shop
services:
  web:
    image: busybox
    command: httpd -f -p 80 -h /etc
    stop_signal: SIGKILL
    depends_on: [db]
    environment: {A: b}
    ports: ["127.0.0.1::80"]
    networks: {front: {aliases: [www]}, back: }
  db:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["data:/data", "/anon"]
    networks: [back]
networks:
  front:
  back: {internal: true}
volumes:
  data:
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


class Project:
    """A directory with a Compose file, and an engine to bring it up on."""

    def __init__(self, engine: Daemon, directory: Path) -> None:
        self.engine = engine
        self.directory = directory

    def write(self, text: str, name: str = "compose.yaml") -> None:
        (self.directory / name).write_text(text)

    def popen(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pydock_lab.client.cli", "compose", *words],
            env=os.environ | {"DOCKER_HOST": self.engine.host},
            cwd=self.directory,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.popen(*words)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return subprocess.CompletedProcess(words, code, out, err)

    def ids(self, *words: str) -> list[str]:
        return self.run("ps", "-q", *words).stdout.split()

    def inspect(self, name: str) -> dict[str, object]:
        done = self.engine.docker("inspect", name)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)[0]
        return found


@pytest.fixture
def project(request: pytest.FixtureRequest, engines: Engines, tmp_path: Path) -> Iterator[Project]:
    """The project on our engine, or on the real one where a test asks for both."""
    engine: Daemon = getattr(engines, getattr(request, "param", "ours"))
    found = Project(engine, tmp_path)
    found.write(FILE)
    yield found
    found.run("-p", "shop", "down", "-v", "-t", "0", "--remove-orphans")


on_both = pytest.mark.parametrize("project", ["ours", "docker"], indirect=True)


@on_both
def test_up_makes_what_compose_makes_and_down_takes_it_away(project: Project) -> None:
    said = project.run("up", "-d").stderr
    assert " Container shop-web-1  Started" in said
    assert said.index("shop-db-1  Started") < said.index("shop-web-1  Starting")
    web = project.inspect("shop-web-1")
    labels = web["Config"]["Labels"]  # type: ignore[index]
    assert labels["com.docker.compose.project"] == "shop"
    assert labels["com.docker.compose.depends_on"] == "db:service_started:false"
    assert labels["com.docker.compose.project.config_files"] == str(project.directory / "compose.yaml")
    assert set(web["NetworkSettings"]["Networks"]) == {"shop_front", "shop_back"}  # type: ignore[index]
    assert "www" in web["NetworkSettings"]["Networks"]["shop_front"]["Aliases"]  # type: ignore[index]
    assert project.run("port", "web", "80").stdout.startswith("127.0.0.1:")
    assert "hello" in project.run("exec", "-T", "web", "echo", "hello").stdout
    assert "Name:\tweb" in project.run("exec", "-T", "db", "nslookup", "web").stdout
    listed = json.loads(project.run("ls", "--format", "json", "--filter", "name=shop").stdout)
    assert [(one["Name"], one["Status"]) for one in listed] == [("shop", "running(2)")]
    said = project.run("down", "-v").stderr
    assert said.index("shop-web-1  Removed") < said.index("shop-db-1  Stopping")
    assert not project.ids("-a")
    assert "shop" not in project.engine.docker("volume", "ls", "-q").stdout
    assert "shop" not in project.engine.docker("network", "ls").stdout


@on_both
def test_up_again_replaces_only_what_changed_and_keeps_volumes(project: Project) -> None:
    project.run("up", "-d")
    web, db = project.ids("web"), project.ids("db")
    mounts = project.inspect("shop-db-1")["Mounts"]
    assert "Running" in project.run("up", "-d").stderr
    assert (project.ids("web"), project.ids("db")) == (web, db)
    project.write(FILE.replace("sleep 1000", "sleep 2000"))
    assert "shop-db-1  Recreated" in project.run("up", "-d").stderr
    assert project.ids("web") == web
    assert project.ids("db") != db

    def names(found: object) -> set[str]:
        return {mount["Name"] for mount in found}  # type: ignore[attr-defined]

    assert names(project.inspect("shop-db-1")["Mounts"]) == names(mounts)
    project.run("up", "-d", "--force-recreate", "--no-deps", "-t", "0", "web")
    assert project.ids("web") != web
    assert project.inspect("shop-web-1")["Name"] == "/shop-web-1"


def test_scale_orphans_and_states(project: Project) -> None:
    project.run("up", "-d", "--scale", "db=3")
    assert len(project.ids("db")) == 3
    project.run("up", "-d", "--scale", "db=1")
    assert project.run("ps", "--format", "{{.Name}}", "db").stdout.split() == ["shop-db-1"]
    project.run("pause", "db")
    assert project.run("ps", "--status", "paused", "--services").stdout.split() == ["db"]
    project.run("unpause", "db")
    project.run("stop")
    assert project.ids() == []
    project.run("start")
    assert len(project.ids()) == 2
    project.run("kill", "web")
    project.run("rm", "-f", "web")
    project.write(FILE.replace("  web:", "  shop:"))
    assert "Found orphan containers" not in project.run("up", "-d").stderr
    project.write("name: shop\nservices: {other: {image: busybox, command: sleep 1000, stop_signal: SIGKILL}}")
    assert "Found orphan containers" in project.run("up", "-d").stderr
    project.run("up", "-d", "--remove-orphans")
    assert len(project.ids("-a")) == 1


@on_both
def test_run_cp_logs_and_the_look_of_things(project: Project) -> None:
    project.write("""
name: shop
services:
  one: {image: busybox, command: "sh -c 'echo out; echo err >&2'", configs: [greeting], secrets: [word]}
configs: {greeting: {content: "hello $$HOME"}}
secrets: {word: {environment: WORD}}
""")
    (project.directory / ".env").write_text("WORD=secret\n")
    done = project.run("run", "--rm", "-T", "one", "cat", "/greeting", "/run/secrets/word")
    assert done.stdout == "hello $HOMEsecret"
    project.run("run", "--rm", "one", "sh", "-c", "exit 7", code=7)
    foreground = project.run("up")
    assert "one-1  | out" in foreground.stdout
    assert "one-1  | err" in foreground.stderr
    assert "one-1 exited with code 0" in foreground.stdout
    logs = project.run("logs")
    # Unlike `up`, `logs` writes errors where everything else goes, as Compose 2 does.
    assert (sorted(logs.stdout.splitlines()), logs.stderr) == (["one-1  | err", "one-1  | out"], "")
    assert project.run("ps", "-a", "--format", "{{.State}} {{.ExitCode}}").stdout == "exited 0\n"
    waited = project.run("wait", "one").stdout
    assert waited == f'container "{project.inspect("shop-one-1")["Id"]}" exited with status code 0\n'
    assert project.run("images", "--format", "json").stdout.startswith('[{"ID":"sha256:')
    project.run("up", "--exit-code-from", "one", "--abort-on-container-exit")


@on_both
def test_flags_of_later_composes(project: Project) -> None:
    """What Compose has learnt after 2.26, of which only the help is to be had here."""
    fails = FILE.replace("httpd -f -p 80 -h /etc", "sh -c 'exit 3'").replace("image: busybox", "build: .", 1)
    project.write(fails)
    project.write("from busybox\nENV A=b\n", "Dockerfile")
    project.write("WORD=read\n", "more.env")
    assert "ConsistentInstructionCasing" in project.run("build", "--check", code=1).stdout
    assert json.loads(project.run("build", "--print").stdout)["target"]["web"]["tags"] == ["shop-web"]
    said = project.run("up", "--abort-on-container-failure", "--quiet-build", "--yes", "--menu=false", code=3)
    assert "FROM busybox" not in said.stdout + said.stderr
    assert project.ids() == []  # the other has been stopped
    project.run("start", "db")
    assert project.run("volumes", "-q", "db").stdout.split()[-1] == "shop_data"
    assert project.run("exec", "--no-tty", "db", "echo", "said").stdout == "said\n"
    image = project.run("commit", "--message", "kept", "db").stdout.strip()
    assert project.engine.docker("rmi", "-f", image, "shop-web").returncode == 0
    project.run("export", "--output", "db.tar", "db")
    assert (project.directory / "db.tar").stat().st_size > 1_000_000
    once = project.run("run", "--rm", "--quiet", "--pull", "never", "--env-from-file", "more.env", "db", "env")
    assert "WORD=read" in once.stdout.split()
    assert once.stderr == ""
    assert project.run("config", "--networks").stdout.split() == ["back", "front"]
    told = project.run("events", "--since", "10m", "--until", "0s", "--json", "db").stdout.splitlines()
    assert {"create", "start"} <= {json.loads(line)["action"] for line in told}
    assert "Attestation is not supported" in project.run("build", "--sbom=true", code=1).stderr
    assert "config --format kubernetes" in project.run("bridge", "convert", code=1).stderr


@on_both
def test_dependencies_are_waited_for(project: Project) -> None:
    project.write("""
name: shop
services:
  web: {image: busybox, command: test -e /x/ready, depends_on: {db: {condition: service_healthy}}, volumes: ["x:/x"]}
  db:
    image: busybox
    command: sh -c "sleep 0.3; touch /x/ready; sleep 1000"
    stop_signal: SIGKILL
    volumes: ["x:/x"]
    depends_on: {job: {condition: service_completed_successfully}}
    healthcheck: {test: test -e /x/ready, interval: 100ms, retries: 100}
  job: {image: busybox, command: sleep 0.2}
volumes: {x: }
""")
    said = project.run("up", "-d").stderr
    assert said.index("shop-job-1  Exited") < said.index("shop-db-1  Starting")
    assert said.index("shop-db-1  Healthy") < said.index("shop-web-1  Starting")
    project.run("wait", "web")


def test_hooks_run_at_every_start_and_before_every_stop(project: Project) -> None:
    project.write("""
name: shop
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    volumes: ["x:/x"]
    post_start: [{command: sh -c "echo started >>/x/log"}]
    pre_stop: [{command: [sh, -c, "echo $$WHY >>/x/log"], environment: [WHY=stopping]}]
  reader: {image: busybox, command: cat /x/log, volumes: ["x:/x"], profiles: [reader]}
volumes: {x: }
""")
    project.run("up", "-d")
    project.run("stop")
    project.run("start")
    project.run("down")
    assert project.run("run", "--rm", "reader").stdout.split() == ["started", "stopping"] * 2


@pytest.mark.parametrize(
    ("db", "condition", "message"),
    [
        (
            "command: sh -c 'exit 3'",
            "service_completed_successfully",
            'service "db" didn\'t complete successfully: exit 3',
        ),
        (
            "command: sleep 1000, stop_signal: SIGKILL, healthcheck: {test: 'false', interval: 50ms, retries: 1}",
            "service_healthy",
            "dependency failed to start: container shop-db-1 is unhealthy",
        ),
        (
            "command: sleep 1000, stop_signal: SIGKILL",
            "service_healthy",
            "container shop-db-1 has no healthcheck configured",
        ),
    ],
)
def test_a_dependency_that_fails_is_named(project: Project, db: str, condition: str, message: str) -> None:
    text = f"""
name: shop
services:
  db: {{image: busybox, {db}}}
  web: {{image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {{db: {{condition: {condition}}}}}}}
"""
    project.write(text)
    failed = project.run("up", "-d", code=1)
    assert message in failed.stderr
    assert project.run("ps", "-a", "--format", "{{.State}}", "web").stdout.strip() == "created"
    project.write(text.replace(condition, "service_started"))
    project.run("up", "-d")
    assert project.run("ps", "--services").stdout.split()[-1] == "web"


def test_a_taken_port_and_a_missing_network_are_said_and_the_next_up_goes_on(project: Project) -> None:
    project.run("up", "-d")
    address = project.run("port", "web", "80").stdout.strip()
    other = "name: other\nservices: {web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, %s}}"
    (project.directory / "other").mkdir()
    second = Project(project.engine, project.directory / "other")
    second.write(other % f"ports: ['{address}:80']")
    assert "port is already allocated" in second.run("up", "-d", code=1).stderr
    second.write(other % "networks: [away]" + "\nnetworks: {away: {external: true}}")
    assert "network away declared as external, but could not be found" in second.run("up", "-d", code=1).stderr
    second.write(other % "ports: ['127.0.0.1::80']")
    second.run("up", "-d")
    second.run("down", "-t", "0")


def test_an_interrupt_in_the_middle_leaves_what_the_next_up_completes(project: Project) -> None:
    project.write("""
name: shop
services:
  db:
    image: busybox
    command: sleep 1000
    stop_signal: SIGKILL
    healthcheck: {test: 'false', interval: 50ms, retries: 10000}
  web: {image: busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {db: {condition: service_healthy}}}
""")
    process = project.popen("up", "-d")
    assert process.stderr is not None
    for line in process.stderr:
        if "shop-db-1  Waiting" in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=60)
    assert process.returncode == 130
    project.write((project.directory / "compose.yaml").read_text().replace("service_healthy", "service_started"))
    project.run("up", "-d")
    assert len(project.ids()) == 2


def test_ctrl_c_in_the_foreground_stops_the_project(project: Project) -> None:
    process = project.popen("up")
    assert process.stdout is not None
    attached = next(line for line in process.stdout if line.startswith("Attaching to"))
    assert attached == "Attaching to db-1, web-1\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Gracefully stopping" in err
    assert project.ids() == []
    assert len(project.ids("-a")) == 2


def test_the_project_is_known_without_its_file(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    project.run("up", "-d")
    elsewhere = Project(project.engine, tmp_path_factory.mktemp("elsewhere"))
    assert elsewhere.run("-p", "shop", "ps", "--services").stdout.split() == ["db", "web"]
    elsewhere.run("-p", "shop", "down", "-t", "0")
    assert project.ids("-a") == []
    elsewhere.run("ps", code=14)


def test_events_tell_of_the_project_alone(project: Project) -> None:
    process = project.popen("events", "--json")
    assert process.stdout is not None
    seen: list[str] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            seen.append(f"{event['service']} {event['action']}")
            if event["service"] == "web" and event["action"] == "start":
                process.send_signal(signal.SIGINT)

    reader = threading.Thread(target=read)
    reader.start()
    project.run("up", "-d")
    # The stream may not have been open yet: make something happen until it is heard.
    for _ in range(50):
        reader.join(timeout=0.2)
        if not reader.is_alive():
            break
        project.run("restart", "-t", "0", "web")
    process.communicate(timeout=30)
    assert "web start" in seen
