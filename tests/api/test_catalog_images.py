"""The stand-ins at work: assembled by the daemon, run by the docker CLI."""

from __future__ import annotations

import contextlib
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root


def lab(daemon: Daemon, method: str, path: str) -> tuple[int, Any]:
    """Ask one of our own routes; docker-py brings the transport over the unix socket."""
    with contextlib.closing(daemon.client()) as client:
        answer = client.api.request(method, f"{client.api.base_url}/lab/{path}")
        return answer.status_code, answer.json()


@pytest.fixture(scope="module")
def stocked(daemon: Daemon) -> Daemon:
    """The shared daemon with every stand-in under a tag that no registry is asked for."""
    for name in ("hello-world", "busybox", "alpine", "debian", "ubuntu", "python", "redis", "nginx", "httpd"):
        status, document = lab(daemon, "POST", f"catalog/{name}:standin/build")
        assert status == 201, document
        assert document["Reference"] == f"{name}:standin"
        assert any("stand-in" in line for line in document["Notice"])
    return daemon


def out(daemon: Daemon, *words: str, status: int = 0) -> str:
    done = daemon.docker(*words)
    assert done.returncode == status, done.stderr + done.stdout
    return done.stdout


def test_the_catalogue_lists_its_recipes(daemon: Daemon) -> None:
    status, recipes = lab(daemon, "GET", "catalog")
    assert status == 200
    assert {"alpine", "busybox", "debian", "hello-world", "python", "redis"} <= {recipe["Name"] for recipe in recipes}


def test_there_is_no_stand_in_for_everything(daemon: Daemon) -> None:
    status, document = lab(daemon, "POST", "catalog/nosuchimage/build")
    assert status == 404
    assert "nosuchimage" in document["message"]


def test_hello_world(stocked: Daemon) -> None:
    assert "Hello from Docker!" in out(stocked, "run", "--rm", "hello-world:standin")


def test_images_say_that_they_stand_in(stocked: Daemon) -> None:
    label = '{{index .Config.Labels "io.pydock.standin.for"}}'
    assert out(stocked, "image", "inspect", "-f", label, "python:standin").strip() == "python"
    assert "stand-in" in out(stocked, "run", "--rm", "alpine:standin", "cat", "/etc/os-release")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("adduser -D -u 1234 app && su app -c 'id -u'", "1234\n"),
        ("addgroup -S g && adduser -S -G g s && id -gn s", "g\n"),
        ("ls -ld /tmp | cut -c1-10", "drwxrwxrwt\n"),
        ("printf 'b\\na\\n' | sort | tr '\\n' ' '", "a b "),
        ("echo hi | gzip | gunzip", "hi\n"),
        ("(echo pong | nc -l -p 99 >/dev/null &) ; sleep 0.2; nc 127.0.0.1 99 </dev/null", "pong\n"),
        ("apk add --no-cache wget", "OK: there already\n"),
    ],
)
def test_a_session_in_alpine(stocked: Daemon, script: str, expected: str) -> None:
    assert out(stocked, "run", "--rm", "alpine:standin", "sh", "-c", script) == expected


@pytest.mark.parametrize(
    ("image", "command"), [("alpine", "apk add no-such-thing"), ("debian", "apt-get install -y no-such-thing")]
)
def test_packages_are_refused_with_a_reason(stocked: Daemon, image: str, command: str) -> None:
    done = stocked.docker("run", "--rm", f"{image}:standin", "sh", "-c", command)
    assert done.returncode != 0
    assert "no-such-thing" in done.stderr and "stand-in" in done.stderr


@pytest.mark.parametrize("image", ["debian", "ubuntu"])
def test_the_tools_of_debian(stocked: Daemon, image: str) -> None:
    script = (
        "useradd -m joe && id -un joe && find / -maxdepth 1 -name etc | sed s/etc/x/ && echo $BASH_VERSION | grep -c ."
    )
    assert out(stocked, "run", "--rm", f"{image}:standin", "bash", "-c", script) == "joe\n/x\n1\n"


def test_python_installs_flask_in_a_build_without_a_network(stocked: Daemon, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("flask\nredis\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM python:standin\nCOPY requirements.txt .\nRUN pip install -r requirements.txt\n"
        "RUN python -m pip install gunicorn\n"
    )
    built = stocked.docker("build", "--network", "none", "-t", "installed", ".", cwd=tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "no package index in reach" in built.stdout + built.stderr
    program = (
        "import flask, redis, ssl, sqlite3, ctypes; print(flask.Flask('x').name, ssl.create_default_context() and 1)"
    )
    assert out(stocked, "run", "--rm", "installed", "python", "-c", program) == "x 1\n"


def test_redis_keeps_data_in_a_volume(stocked: Daemon) -> None:
    out(stocked, "volume", "create", "redis-data")
    try:
        for command, expected in ((["set", "k", "v"], "OK\n"), (["get", "k"], "v\n")):
            out(stocked, "run", "-d", "--name", "cache", "-v", "redis-data:/data", "redis:standin")
            wait_until(lambda: stocked.docker("exec", "cache", "redis-cli", "ping").stdout == "PONG\n")
            assert out(stocked, "exec", "cache", "redis-cli", *command) == expected
            # The server gives up root, as the official image's does.
            assert out(stocked, "exec", "cache", "stat", "-c", "%U", "/proc/1").strip() == "redis"
            out(stocked, "exec", "cache", "redis-cli", "save")
            out(stocked, "stop", "cache")
            out(stocked, "rm", "cache")
    finally:
        stocked.docker("rm", "-f", "cache")
        stocked.docker("volume", "rm", "redis-data")


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    yield port


@pytest.mark.parametrize(("image", "words"), [("nginx", b"Welcome to nginx!"), ("httpd", b"It works!")])
def test_a_web_server_answers(stocked: Daemon, image: str, words: bytes, free_port: int) -> None:
    out(stocked, "run", "-d", "--name", "web", "-p", f"127.0.0.1:{free_port}:80", f"{image}:standin")
    try:
        wait_until(lambda: words in fetched(f"http://127.0.0.1:{free_port}/"))
    finally:
        stocked.docker("rm", "-f", "web")


def fetched(url: str) -> bytes:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bytes(answer.read())
    return b""


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in 20 s"
        time.sleep(0.05)


def test_nothing_stands_in_for_another_processor(daemon: Daemon, tmp_path: Path) -> None:
    other = "linux/s390x"
    assert daemon.docker("pull", "-q", "busybox").returncode == 0
    assert daemon.docker("tag", "busybox", "here:only").returncode == 0
    (tmp_path / "Dockerfile").write_text("FROM busybox\n")
    for command in (
        ("pull", "--platform", other, "busybox"),
        ("pull", "--platform", other, "here:only"),
        ("build", "--platform", other, str(tmp_path)),
    ):
        refused = daemon.docker(*command)
        assert refused.returncode != 0, command
        assert "dial tcp" in refused.stderr
    assert daemon.docker("inspect", "-f", "{{.Architecture}}", "busybox").stdout.strip() != "s390x"
