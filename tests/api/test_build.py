"""`docker build` through the real CLI, docker-py and the bare protocol."""

import gzip
import io
import json
import os
import re
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from tests.conftest import Daemon, start_daemon

FLASKISH = """FROM busybox
WORKDIR /app
COPY requirements.txt requirements.txt
RUN echo installing $(cat requirements.txt) && echo done > /installed
COPY . .
ENV FLASK_APP=app.py
EXPOSE 5000
CMD ["sh", "-c", "cat /installed app.py; echo $FLASK_APP"]
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(FLASKISH)
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "app.py").write_text("print('hello')\n")
    (tmp_path / ".dockerignore").write_text("*.secret\n")
    (tmp_path / "key.secret").write_text("hidden")
    return tmp_path


def build(daemon: Daemon, context: Path, *flags: str, status: int = 0) -> str:
    done = daemon.docker("build", *flags, str(context))
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def request(daemon: Daemon, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    """One request over the socket; return status, headers and body."""
    head = f"{method} {path} HTTP/1.0\r\nHost: d\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(daemon.socket))
        connection.sendall(head + body)
        answer = b""
        while data := connection.recv(65536):
            answer += data
    lines, _, payload = answer.partition(b"\r\n\r\n")
    first, *rest = lines.decode().split("\r\n")
    return int(first.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}, payload


def test_build_and_run(daemon: Daemon, busybox: str, context: Path) -> None:
    output = build(daemon, context, "-t", "flaskish:1", "-t", "flaskish")
    assert "Step 4/8 : RUN echo installing" in output
    assert "installing flask\n" in output
    assert "Successfully tagged flaskish:1\nSuccessfully tagged flaskish:latest\n" in output
    done = daemon.docker("run", "--rm", "flaskish:1")
    assert done.stdout == "done\nprint('hello')\napp.py\n"
    listing = daemon.docker("run", "--rm", "flaskish", "ls", "-A", "/app").stdout.split()
    assert "key.secret" not in listing
    assert "requirements.txt" in listing


def test_the_second_build_is_cached_until_a_file_changes(daemon: Daemon, busybox: str, context: Path) -> None:
    build(daemon, context, "-t", "again")
    assert build(daemon, context, "-t", "again").count("---> Using cache") == 7
    for path in context.iterdir():
        os.utime(path, (1, 1))
    assert build(daemon, context).count("---> Using cache") == 7
    (context / "app.py").write_text("print('changed')\n")
    assert build(daemon, context).count("---> Using cache") == 3
    assert build(daemon, context, "--no-cache").count("---> Using cache") == 0


def test_records_explain_a_miss(daemon: Daemon, busybox: str, context: Path) -> None:
    build(daemon, context)
    (context / "requirements.txt").write_text("django\n")
    build(daemon, context)
    newest = json.loads(request(daemon, "GET", "/lab/builds")[2])[0]
    record = json.loads(request(daemon, "GET", f"/lab/builds/{newest['id']}")[2])
    reasons = {step["instruction"]: step["cache"]["reason"] for step in record["steps"] if step["cache"]
               and not step["cache"]["hit"]}  # fmt: skip
    assert reasons["COPY"]["field"] in ("file", "parent")
    miss = next(step for step in record["steps"] if step["number"] == 3)["cache"]["reason"]
    assert miss["text"] == "file requirements.txt changed"
    run = next(step for step in record["steps"] if step["instruction"] == "RUN")
    assert run["exit_code"] == 0
    assert run["output"] == "installing django\n"


def test_a_failing_command(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo before; exit 7\nRUN never\n")
    output = build(daemon, context, "-t", "failed", status=7)
    assert "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7" in output
    assert daemon.docker("image", "inspect", "failed").returncode == 1


def test_a_command_that_is_not_there(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text('FROM busybox\nRUN ["nope"]\n')
    assert 'exec: "nope": executable file not found in $PATH' in build(daemon, context, status=1)


def test_a_malformed_dockerfile(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\n\nRNU x\n")
    output = build(daemon, context, status=1)
    assert "dockerfile parse error on line 3: unknown instruction: RNU (did you mean RUN?)" in output


def test_stages_target_and_build_args(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "ARG BASE=nothing\nFROM $BASE AS one\nARG WHO=world\nRUN echo hello $WHO > /greeting\n"
        "FROM busybox\nCOPY --from=one /greeting /\nCMD cat /greeting\n"
    )
    build(daemon, context, "-t", "staged", "--build-arg", "BASE=busybox", "--build-arg", "WHO=moon")
    assert daemon.docker("run", "--rm", "staged").stdout == "hello moon\n"
    output = build(daemon, context, "--target", "one", "--build-arg", "BASE=busybox")
    assert "Step 5/" not in output


def test_run_is_isolated_and_leaves_no_mount_points_behind(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text('FROM scratch\nCOPY --from=busybox /bin /bin\nRUN ["/bin/busybox", "true"]\n')
    build(daemon, context, "-t", "bare")
    exported = daemon.docker("run", "--rm", "bare", "/bin/busybox", "ls", "/").stdout.split()
    assert "bin" in exported
    history = daemon.docker("history", "--format", "{{.Size}}", "bare").stdout.split()
    assert history[0] == "0B"
    assert "EMPTY" not in history


def test_a_run_without_words_leaves_the_keeper_alive(daemon: Daemon, busybox: str, context: Path) -> None:
    """It runs the image's command, as in dockerd; where there is none, runc's words."""
    (context / "Dockerfile").write_text(f'FROM {busybox}\nCMD ["touch", "/made"]\nRUN []\n')
    build(daemon, context, "-t", "wordless")
    assert daemon.docker("run", "--rm", "wordless", "ls", "/made").stdout == "/made\n"
    (context / "Dockerfile").write_text(f"FROM {busybox}\nCMD []\nRUN []\n")
    assert "args must not be empty" in build(daemon, context, status=1)


def test_a_dollar_in_a_label_flag_is_a_dollar(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nENV a=b\n")
    build(daemon, context, "-t", "dollar", "--label", "price=$a")
    shown = daemon.docker("inspect", "-f", '{{index .Config.Labels "price"}}', "dollar").stdout
    assert shown == "$a\n"


def test_network_none(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN ls /sys/class/net\n")
    assert "eth0" in build(daemon, context, "--no-cache")
    assert "eth0" not in build(daemon, context, "--no-cache", "--network", "none")


def test_add_host_and_limits(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN grep friend /etc/hosts; df -k /dev/shm | tail -1; ulimit -n\n"
    )
    output = build(
        daemon, context, "--no-cache", "--add-host", "friend:10.9.8.7", "--shm-size", "2m", "--ulimit", "nofile=99:99"
    )
    assert "10.9.8.7\tfriend" in output
    assert re.search(r"\b2048\b", output)
    assert "\n99\n" in output


def test_quiet_and_iidfile(daemon: Daemon, busybox: str, context: Path) -> None:
    iidfile = context.parent / f"{context.name}.iid"
    output = daemon.docker("build", "-q", str(context)).stdout
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", output)
    build(daemon, context, "--iidfile", str(iidfile))
    assert iidfile.read_text() == output.strip()


def test_dockerfile_from_stdin_and_another_name(daemon: Daemon, busybox: str, context: Path) -> None:
    done = daemon.docker("build", "-t", "stdin", "-", stdin="FROM busybox\nCMD echo from stdin\n")
    assert done.returncode == 0, done.stderr
    assert daemon.docker("run", "--rm", "stdin").stdout == "from stdin\n"
    (context / "Other").write_text("FROM busybox\nLABEL other=1\n")
    build(daemon, context, "-f", str(context / "Other"), "-t", "other")
    missing = daemon.docker("build", "-f", str(context / "Nope"), str(context))
    assert missing.returncode != 0


def test_docker_py(client: docker.DockerClient, busybox: str, context: Path) -> None:
    image, log = client.images.build(path=str(context), tag="py:1", buildargs={"A": "b"}, labels={"l": "v"})
    assert "py:1" in image.tags
    assert image.labels["l"] == "v"
    assert any("aux" in line for line in log)
    with pytest.raises(docker.errors.BuildError, match="non-zero code: 3"):
        (context / "Dockerfile").write_text("FROM busybox\nRUN exit 3\n")
        client.images.build(path=str(context))


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("remote=client-session", 400, "version=2"),
        ("remote=http://127.0.0.1:9/x", 500, "error downloading remote context http://127.0.0.1:9/x: "),
        ("platform=foobar", 400, '"foobar": unknown operating system or architecture'),
        ("squash=1", 400, "squash"),
        ("t=Bad", 400, "must be lowercase"),
        ("buildargs=%7B", 400, "buildargs"),
        ("dockerfile=Nope", 500, "Cannot locate specified Dockerfile: Nope"),
    ],
)
def test_what_is_refused(daemon: Daemon, query: str, status: int, message: str) -> None:
    got, _, body = request(daemon, "POST", f"/v1.47/build?{query}")
    assert got == status
    assert message in json.loads(body)["message"]


def test_a_body_that_is_no_tar(daemon: Daemon) -> None:
    status, _, body = request(daemon, "POST", "/build", b"no tar at all" * 100)
    assert status == 400
    assert json.loads(body)["message"]


def test_prune_and_cancel(daemon: Daemon, busybox: str, context: Path) -> None:
    build(daemon, context)
    for flag, words in (
        ("until=x", "\"until\" filter expects a duration (e.g., '24h')"),
        ("no=1", "invalid filter 'no'"),
    ):
        refused = daemon.docker("builder", "prune", "-f", "--filter", flag)
        assert refused.returncode == 1
        assert f"failed to prune build cache: {words}" in refused.stderr
    assert "Deleted" not in daemon.docker("builder", "prune", "-f", "--filter", "unused-for=1h").stdout
    status, _, body = request(daemon, "POST", "/build/prune")
    assert status == 200
    assert json.loads(body)["CachesDeleted"]
    body = request(daemon, "POST", "/build/prune")[2]
    assert json.loads(body) == {"CachesDeleted": None, "SpaceReclaimed": 0}, "as dockerd has it for nothing"
    assert request(daemon, "POST", "/build/cancel?id=unknown")[0] == 200
    assert request(daemon, "POST", "/build/cancel")[0] == 500


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_a_client_that_goes_away_cancels_its_build(daemon: Daemon, busybox: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo started; sleep 1000\n")
    command = ["docker", "build", "--no-cache", str(context)]
    environment = os.environ | {"DOCKER_HOST": daemon.host, "DOCKER_BUILDKIT": "0"}

    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if line == b"started\n":
                break
        client.kill()
    newest = json.loads(request(daemon, "GET", "/lab/builds")[2])[0]["id"]

    def state() -> str:
        return str(json.loads(request(daemon, "GET", f"/lab/builds/{newest}")[2])["state"])

    wait_for(lambda: state() == "canceled", "the build went on")
    wait_for(lambda: not list((daemon.data_root / "tmp").glob("build-*")), "scratch directories stayed")


def test_killed_in_the_middle_of_a_build(own_daemon: Callable[..., Daemon], tmp_path: Path, context: Path) -> None:

    daemon = own_daemon()
    assert daemon.docker("pull", "busybox").returncode == 0
    build(daemon, context, "-t", "kept")
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo one > /one\nRUN echo started; sleep 1000\n")
    environment = os.environ | {"DOCKER_HOST": daemon.host, "DOCKER_BUILDKIT": "0"}
    command = ["docker", "build", str(context)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        assert client.stdout is not None
        for line in client.stdout:
            if line == b"started\n":
                break
        daemon.kill()
    again = start_daemon(daemon.root)
    daemon.process = again.process
    assert daemon.docker("run", "--rm", "kept").stdout.startswith("done\n")
    wait_for(lambda: not list((daemon.data_root / "tmp").glob("build-*")), "scratch directories stayed")
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo one > /one\nRUN cat /one\n")
    output = build(daemon, context)
    assert output.count("Using cache") == 1
    assert "\none\n" in output


def test_the_answer_names_the_build(daemon: Daemon) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("Dockerfile")
        text = b"FROM scratch\nLABEL named=1\n"
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    status, headers, body = request(daemon, "POST", "/build?nocache=1", gzip.compress(buffer.getvalue()))
    assert status == 200
    assert body.endswith(b"\r\n")
    record = json.loads(request(daemon, "GET", f"/lab/builds/{headers['x-pydock-build']}")[2])
    assert record["state"] == "succeeded"
    assert record["image"] in body.decode()
