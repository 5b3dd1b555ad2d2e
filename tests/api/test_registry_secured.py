"""Our registry with TLS and users: `docker login`, push and pull, and skopeo with credentials."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("secured")
    cert, key = root / "cert.pem", root / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "-q", "--addr", address]
    command += ["--root", str(root / "data"), "--user", "me:secret"]
    process = subprocess.Popen([*command, "--tls-cert", str(cert), "--tls-key", str(key)])
    context = ssl.create_default_context(cafile=str(cert))
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(f"https://{address}/v2/", context=context)
            except urllib.error.HTTPError as error:
                error.close()
                assert error.code == 401
                break
            except OSError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_login_push_and_pull(
    daemon: Daemon, busybox: str, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    name = f"{registry}/mine/app:1"
    assert daemon.docker("tag", busybox, name).returncode == 0
    refused = daemon.docker("push", name)
    assert refused.returncode == 1
    assert "no basic auth credentials" in refused.stderr
    wrong = daemon.docker("login", "-u", "me", "--password-stdin", registry, stdin="wrong")
    assert wrong.returncode == 1
    assert f"login attempt to https://{registry}/v2/ failed with status: 401 Unauthorized" in wrong.stderr
    done = daemon.docker("login", "-u", "me", "--password-stdin", registry, stdin="secret")
    assert (done.returncode, "Login Succeeded" in done.stdout) == (0, True), done.stderr
    pushed = daemon.docker("push", name)
    assert pushed.returncode == 0, pushed.stderr
    assert daemon.docker("rmi", name).returncode == 0
    assert daemon.docker("pull", name).returncode == 0
    assert daemon.docker("rmi", name).returncode == 0
    assert buildkit_build(daemon, f"FROM {name}\n").returncode == 0, "its session says who the client is"
    assert daemon.docker("rmi", name).returncode == 0
    assert daemon.docker("logout", registry).returncode == 0
    refused = daemon.docker("pull", name, stdin="")
    assert refused.returncode == 1
    assert "Username:" not in refused.stdout, "the CLI asks when it is told 401, and a script would hang"
    url = f"https://{registry}/v2/mine/app/manifests/1"
    assert refused.stderr.strip() == f'Error response from daemon: Head "{url}": no basic auth credentials'
    assert "no basic auth credentials" in buildkit_build(daemon, f"FROM {name}\n").stderr


def buildkit_build(daemon: Daemon, dockerfile: str) -> subprocess.CompletedProcess[str]:
    """Build without a context through BuildKit's protocol, which the CLI of the distribution has built in."""
    environment = os.environ | {"DOCKER_HOST": daemon.host, "DOCKER_BUILDKIT": "1"}
    command = ["/usr/bin/docker", "build", "--progress=plain", "-"]
    return subprocess.run(command, env=environment, input=dockerfile, capture_output=True, text=True, timeout=60)


def test_skopeo_with_credentials(daemon: Daemon, busybox: str, registry: str, tmp_path: Path) -> None:
    assert daemon.docker("save", "-o", str(tmp_path / "image.tar"), f"{busybox}:latest").returncode == 0
    there = f"docker://{registry}/skopeo/app:1"
    copy = ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"docker-archive:{tmp_path}/image.tar", there]
    assert subprocess.run(copy, capture_output=True).returncode == 1
    subprocess.run([*copy, "--dest-creds", "me:secret"], check=True, capture_output=True)
    inspect = ["skopeo", "list-tags", "--tls-verify=false", "--creds", "me:secret", there.rpartition(":")[0]]
    assert '"1"' in subprocess.run(inspect, check=True, capture_output=True, text=True).stdout
    delete = ["skopeo", "delete", "--tls-verify=false", "--creds", "me:secret", there]
    subprocess.run(delete, check=True, capture_output=True)
