"""`pydock` beyond a socket of its own: TCP and TLS hosts, contexts, the catalogue, Tab, what goes on until Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.api.test_cli import pydock
from tests.conftest import Daemon

PYDOCK = [sys.executable, "-m", "pydock_lab.client.cli"]


def run(*words: str, environment: dict[str, str] | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    env = plain | (environment or {})
    return subprocess.run([*PYDOCK, *words], env=env, input=stdin, text=True, capture_output=True, timeout=60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


WITHOUT_UNIX = """
import os, socket, sys
sys.modules |= dict.fromkeys(("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"))  # None: it can't be imported
for name in ("fork", "geteuid", "getuid", "pidfd_open", "setsid"):
    delattr(os, name)
del socket.AF_UNIX
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell()
shell.run_line_magic("load_ext", "pydock_lab")
ran = shell.run_cell("%docker run --rm busybox echo from elsewhere")
shell.run_line_magic("unload_ext", "pydock_lab")
sys.exit(not ran.success)
"""
"""What the notebook side has to do without on Windows."""


def test_an_engine_on_tcp(own_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    port = free_port()
    daemon = own_daemon("-H", f"tcp://127.0.0.1:{port}")
    host = {"DOCKER_HOST": f"tcp://127.0.0.1:{port}"}
    assert daemon.docker("pull", "busybox").returncode == 0
    done = run("run", "--rm", "-i", "busybox", "cat", environment=host, stdin="through\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "through\n", "")
    elsewhere = os.environ | host | {"IPYTHONDIR": str(tmp_path), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", WITHOUT_UNIX]
    done = subprocess.run(command, env=elsewhere, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0 and done.stdout.startswith("from elsewhere\n"), done.stderr
    assert run("ps", "-aq", environment=host).stdout == ""
    refused = run("-H", f"tcp://127.0.0.1:{free_port()}", "ps")
    assert refused.returncode == 1 and "Is the docker daemon running?" in refused.stderr


@pytest.fixture
def tls_host(daemon: Daemon, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The shared daemon behind a TLS server that wants a client's certificate; its address and certificates."""
    if not shutil.which("openssl"):
        pytest.skip("machine: no openssl to make certificates with")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    shutil.copy(tmp_path / "cert.pem", tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, context, str(daemon.socket)), daemon=True).start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", tmp_path
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, path: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_serve, args=(plain, context, path), daemon=True).start()


def _serve(plain: socket.socket, context: ssl.SSLContext, path: str) -> None:
    with plain, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
        with context.wrap_socket(plain, server_side=True) as client:
            engine.connect(path)
            back = threading.Thread(target=_copy, args=(engine, client))
            back.start()
            _copy(client, engine)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_an_engine_behind_tls(tls_host: tuple[str, Path], busybox: str) -> None:
    host, certificates = tls_host
    good = {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    done = run("run", "--rm", busybox, "echo", "sealed", environment=good)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sealed\n", "")
    flags = [f"--tls{name}={certificates}/{name.removeprefix('ca') or 'ca'}.pem" for name in ("cert", "key")]
    done = run("-H", host, "--tlsverify", f"--tlscacert={certificates}/ca.pem", *flags, "version")
    assert done.returncode == 0, done.stderr
    stranger = {"DOCKER_HOST": host, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nonexistent"}
    done = run("ps", environment=stranger)
    assert done.returncode == 1 and "CERTIFICATE_VERIFY_FAILED" in done.stderr and "Traceback" not in done.stderr


def test_a_context_leads_docker_and_pydock_to_one_engine(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    assert run("context", "create", "class", "--docker", f"host={daemon.host}", environment=environment).returncode == 0
    assert run("context", "use", "class", environment=environment).returncode == 0
    ours = run("images", "-q", busybox, environment=environment)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    theirs = subprocess.run(
        ["docker", "images", "-q", busybox], env=plain | environment, capture_output=True, text=True
    )
    assert ours.stdout == theirs.stdout != ""
    assert json.loads(run("context", "inspect", environment=environment).stdout) == json.loads(
        subprocess.run(["docker", "context", "inspect"], env=plain | environment, capture_output=True).stdout
    )


def test_the_catalogue_is_listed_built_and_exported(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    assert "python" in pydock(daemon, "catalog", "ls").stdout
    built = pydock(daemon, "catalog", "build", "hello-world")
    assert built.returncode == 0 and "stand-in" in built.stdout, built.stderr
    archive = tmp_path / "class.tar"
    done = pydock(daemon, "catalog", "export", str(archive), "hello-world:latest", f"{busybox}:latest")
    assert done.returncode == 0, done.stderr
    with tarfile.open(archive) as saved:
        manifest = saved.extractfile("manifest.json")
        assert manifest is not None
        names = {name for image in json.load(manifest) for name in image["RepoTags"]}
    assert names == {"hello-world:latest", "busybox:latest"}
    assert daemon.docker("load", "-i", str(archive)).returncode == 0
    assert daemon.docker("tag", busybox, "learners:own").returncode == 0
    said = pydock(daemon, "catalog", "export", str(archive)).stdout
    daemon.docker("rmi", "learners:own")
    assert "hello-world:latest" in said and "busybox:latest" in said and "learners:own" not in said


def test_tab_knows_what_the_engine_has(daemon: Daemon, busybox: str) -> None:
    daemon.docker("volume", "create", "tab-volume")
    try:
        for line, expected in (
            ("pydock volume rm tab", "tab-volume\n"),
            ("pydock run -v tab", "tab-volume:\n"),
            ("pydock run --rm busybox:l", "busybox:latest\n"),
            ("pydock network inspect bri", "bridge\n"),
        ):
            assert pydock(daemon, "__complete", line, str(len(line))).stdout == expected
    finally:
        daemon.docker("volume", "rm", "tab-volume")


def test_bash_completes_with_the_script(daemon: Daemon, tmp_path: Path) -> None:
    script = pydock(daemon, "completion", "bash").stdout
    (tmp_path / "pydock").write_text(f'#!/bin/sh\nexec {sys.executable} -m pydock_lab.client.cli "$@"\n')
    (tmp_path / "pydock").chmod(0o755)
    asked = (
        'COMP_LINE="pydock container pru"; COMP_POINT=${#COMP_LINE}; COMP_WORDS=(pydock container pru); COMP_CWORD=2\n'
        '_pydock; echo "${COMPREPLY[*]}"'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_HOST": daemon.host}
    done = subprocess.run(["bash", "-c", f"{script}\n{asked}"], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("prune\n", "")


@pytest.mark.parametrize("command", [["events", "--since", "10m"], ["stats"], ["logs", "-f", "endless"]])
def test_ctrl_c_ends_what_goes_on_for_ever(daemon: Daemon, busybox: str, command: list[str]) -> None:
    daemon.docker("run", "-d", "--name", "endless", busybox, "sh", "-c", "echo here; exec sleep 1000")
    environment = os.environ | {"DOCKER_HOST": daemon.host}
    try:
        with subprocess.Popen(
            [*PYDOCK, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as going:
            assert going.stdout is not None
            seen = going.stdout.readline() + (going.stdout.readline() if command == ["stats"] else b"")
            assert seen
            going.send_signal(signal.SIGINT)
            _, errors = going.communicate(timeout=20)
        assert b"Traceback" not in errors
    finally:
        daemon.docker("rm", "-f", "endless")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """Our own registry as `pydock registry serve` runs it, for one user; its address."""
    address = f"localhost:{free_port()}"
    flags = ["--addr", address.replace("localhost", "127.0.0.1"), "--root", str(tmp_path / "registry"), "-q"]
    with subprocess.Popen([*PYDOCK, "registry", "serve", *flags, "--user", "me:secret"]) as server:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(address[10:]))):
                break
            time.sleep(0.02)
        yield address
        server.terminate()


def test_login_push_and_pull(daemon: Daemon, busybox: str, registry: str, tmp_path: Path) -> None:
    home = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": daemon.host}
    image = f"{registry}/team/box:1"
    run("tag", busybox, image, environment=home)
    try:
        refused = run("push", image, environment=home)
        assert refused.returncode == 1 and "no basic auth credentials" in refused.stderr, refused.stderr
        login = ("login", "-u", "me", "--password-stdin", registry)
        assert run(*login, environment=home, stdin="wrong\n").returncode == 1
        done = run(*login, environment=home, stdin="secret\n")
        assert done.returncode == 0 and done.stdout.endswith("Login Succeeded\n"), done.stderr
        pushed = run("push", image, environment=home)
        assert pushed.returncode == 0 and "digest: sha256:" in pushed.stdout, pushed.stderr
        daemon.docker("rmi", image)
        pulled = run("pull", image, environment=home)
        assert pulled.returncode == 0 and pulled.stdout.endswith(f"{image}\n"), pulled.stderr
        assert run("pull", "-q", image, environment=home).stdout == f"{image}\n"
        assert run("logout", registry, environment=home).stdout == f"Removing login credentials for {registry}\n"
        assert run("pull", image, environment=home).returncode == 1
    finally:
        daemon.docker("rmi", image)
