"""Ways to a registry: a proxy from the environment, a mirror of Docker Hub, a credential helper."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.api.conftest import import_image
from tests.api.test_registry import out, serving
from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("registry")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "-q", "--addr", address]
    with serving(address, [*command, "--root", str(root / "data")], root / "log"):
        yield address


class Proxy(ThreadingHTTPServer):
    """A proxy on loopback that takes every host for one registry, and notes what it was asked for."""

    def __init__(self, registry: str) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.registry = registry
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path))
        assert self.path.startswith("http://"), "a proxy is asked with the whole URL"
        connection = http.client.HTTPConnection(self.server.registry, timeout=20)
        connection.request(self.command, "/" + self.path.split("/", 3)[3], headers=dict(self.headers))
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("date", "server", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        connection.close()

    do_HEAD = do_GET

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.command, self.path))
        if not self.path.startswith("tunnel.test:"):
            self.send_error(502)
            return
        self.send_response(200)
        self.end_headers()
        host, _, port = self.server.registry.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            pair = {self.connection: there, there: self.connection}
            while True:
                for one in select.select(list(pair), [], [], 20)[0]:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    pair[one].sendall(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy(registry: str) -> Iterator[Proxy]:
    with Proxy(registry) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_proxy_from_the_environment(
    own_daemon: Callable[..., Daemon], registry: str, proxy: Proxy, rootfs_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registries elsewhere are asked through it, those of this machine are not."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    engine = own_daemon("--insecure-registry", "registry.test:5000")
    import_image(engine, rootfs_tar)
    image_id = out(engine, "images", "-q", "busybox")
    out(engine, "tag", "busybox", f"{registry}/proxied/app:1")
    out(engine, "push", "-q", f"{registry}/proxied/app:1")
    assert proxy.asked == []
    out(engine, "pull", "-q", "registry.test:5000/proxied/app:1")
    assert out(engine, "images", "-q", "registry.test:5000/proxied/app") == image_id
    assert proxy.asked[0] == ("CONNECT", "registry.test:5000")
    assert ("GET", "http://registry.test:5000/v2/proxied/app/manifests/1") in proxy.asked
    refused = engine.docker("pull", "elsewhere.test/app:1")
    assert (refused.returncode, proxy.asked[-1]) == (1, ("CONNECT", "elsewhere.test:443"))
    assert 'Get "https://elsewhere.test/v2/": ' in refused.stderr


def test_a_proxy_that_is_away(own_daemon: Callable[..., Daemon], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    done = own_daemon().docker("pull", "elsewhere.test/app:1")
    text = 'Get "https://elsewhere.test/v2/": proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused'
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, f"Error response from daemon: {text}")


def test_a_mirror_of_docker_hub(
    own_daemon: Callable[..., Daemon], registry: str, rootfs_tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for what is on Docker Hub and nothing else; the first that has it serves it."""
    engine = own_daemon("--registry-mirror", "http://127.0.0.1:1", "--registry-mirror", f"http://{registry}/")
    import_image(engine, rootfs_tar)
    image_id = out(engine, "images", "-q", "busybox")
    out(engine, "tag", "busybox", f"{registry}/library/mirrored:1")
    out(engine, "push", "-q", f"{registry}/library/mirrored:1")
    out(engine, "rmi", f"{registry}/library/mirrored:1")
    assert out(engine, "pull", "mirrored:1").splitlines()[-1] == "docker.io/library/mirrored:1"
    assert out(engine, "images", "-q", "mirrored") == image_id
    assert out(engine, "info", "--format", "{{json .RegistryConfig.Mirrors}}") == json.dumps(
        ["http://127.0.0.1:1", f"http://{registry}/"], separators=(",", ":")
    )
    assert "127.0.0.1:2" in engine.docker("pull", "127.0.0.1:2/library/mirrored:1").stderr
    engine.docker("rmi", "mirrored:1")


def test_a_credential_helper_of_the_daemon_s_user(
    own_daemon: Callable[..., Daemon], rootfs_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends no login gets the daemon's own; docker-credential-NAME is looked up on PATH."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "-q", "--addr", address]
    command += ["--root", str(tmp_path / "data"), "--user", "me:secret"]
    helper = tmp_path / "docker-credential-toy"
    answer = json.dumps({"ServerURL": address, "Username": "me", "Secret": "secret"})
    helper.write_text(f"#!/bin/sh\n[ \"$1 $(cat)\" = 'get {address}' ] && echo '{answer}'\n")
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {address: "toy"}}))
    with serving(address, command, tmp_path / "log"):
        with monkeypatch.context() as daemon_only:
            daemon_only.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
            daemon_only.setenv("DOCKER_CONFIG", str(tmp_path))
            engine = own_daemon()
        import_image(engine, rootfs_tar)
        out(engine, "tag", "busybox", f"{address}/helped:1")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "none"))
        out(engine, "push", "-q", f"{address}/helped:1")
        out(engine, "rmi", f"{address}/helped:1")
        out(engine, "pull", "-q", f"{address}/helped:1")
