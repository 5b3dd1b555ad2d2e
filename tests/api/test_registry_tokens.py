"""Bearer tokens: the distribution's registry trusts a token server of ours, which knows one user."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import secrets
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Engines
from tests.api.test_registry import digest_of, out

pytestmark = pytest.mark.root

SERVICE, ISSUER = "classroom", "token server of the tests"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(http.server.ThreadingHTTPServer):
    """Signs what a user may do: everything for `me:secret`, pull for nobody in particular.

    Attributes:
        asked: The scopes of every request, with the user.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.asked: list[tuple[str, list[str]]] = []
        self.key, self.cert = root / "key.pem", root / "cert.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"]
        subprocess.run([*command, "-keyout", str(self.key), "-out", str(self.cert)], check=True, capture_output=True)

    def token(self, user: str, scopes: list[str]) -> str:
        """Sign a token as distribution's "Token Authentication Implementation" describes."""
        pem = self.cert.read_text().split("-----")[2]
        header = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            public = not name.startswith("private/")
            granted = [action for action in actions.split(",") if user or (action == "pull" and public)]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims: dict[str, Any] = {"iss": ISSUER, "sub": user, "aud": SERVICE, "access": access}
        claims |= {"iat": now - 60, "nbf": now - 60, "exp": now + 300, "jti": secrets.token_hex(16)}
        signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        done = subprocess.run(command, input=signed.encode(), check=True, capture_output=True)
        return f"{signed}.{encoded(done.stdout)}"


class TokenHandler(http.server.BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        user, scopes = "", [each for scope in query.get("scope", []) for each in scope.split(" ")]
        if authorization := self.headers.get("Authorization", ""):
            user, _, password = base64.b64decode(authorization.partition(" ")[2]).decode().partition(":")
            if (user, password) != ("me", "secret"):
                self.answer(401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]})
                return
        self.server.asked.append((user, scopes))
        assert query["service"] == [SERVICE]
        self.answer(200, {"token": self.server.token(user, scopes)})

    def answer(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TokenServer, str]]:
    """The token server, and the address of a registry that believes it."""
    root = tmp_path_factory.mktemp("tokens")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with TokenServer(root) as tokens:
        threading.Thread(target=tokens.serve_forever, daemon=True).start()
        auth = {
            "realm": f"http://127.0.0.1:{tokens.server_port}/token",
            "service": SERVICE,
            "issuer": ISSUER,
            "rootcertbundle": str(tokens.cert),
        }
        storage = {"filesystem": {"rootdirectory": f"{root}/data"}}
        config = {"version": "0.1", "storage": storage, "http": {"addr": address}, "auth": {"token": auth}}
        (root / "config.yml").write_text(json.dumps(config))  # JSON is YAML
        with (root / "log").open("wb") as log:
            process = subprocess.Popen(["docker-registry", "serve", str(root / "config.yml")], stdout=log, stderr=log)
        try:
            for _ in range(200):
                with contextlib.suppress(OSError), socket.create_connection(address.split(":")):  # type: ignore[arg-type]
                    break
                time.sleep(0.05)
            yield tokens, address
        finally:
            process.terminate()
            process.wait()
            tokens.shutdown()


@pytest.mark.oracle
def test_a_token_for_every_right(
    engines: Engines, guarded: tuple[TokenServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tokens, address), daemon = guarded, engines.ours
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    first, second = f"{address}/team/app:1", f"{address}/other/app:1"
    for name in (first, second):
        out(daemon, "tag", "busybox", name)
    out(engines.docker, "tag", "busybox", first)
    refused, oracle = daemon.docker("push", first), engines.docker.docker("push", first)
    assert refused.returncode == oracle.returncode == 1
    assert refused.stderr == oracle.stderr
    private = f"{address}/private/app:1"  # not even its name is for everyone
    hidden, oracle = daemon.docker("pull", private), engines.docker.docker("pull", private)
    assert hidden.returncode == oracle.returncode == 1
    assert hidden.stderr == oracle.stderr
    wrong = daemon.docker("login", "-u", "me", "--password-stdin", address, stdin="wrong")
    assert (wrong.returncode, "unauthorized" in wrong.stderr) == (1, True)
    assert daemon.docker("login", "-u", "me", "--password-stdin", address, stdin="secret").returncode == 0
    out(daemon, "push", first)
    assert ("me", ["repository:team/app:pull,push"]) in tokens.asked
    # A mount needs the right to read the other repository, too.
    assert "Mounted from team/app" in out(daemon, "push", second)
    assert digest_of(daemon, first) == digest_of(daemon, second)
    out(engines.docker, "pull", first)
    assert digest_of(engines.docker, first) == digest_of(daemon, first)
    out(daemon, "logout", address)
    out(daemon, "rmi", first, second)
    out(engines.docker, "rmi", first)
    tokens.asked.clear()
    out(daemon, "pull", first)
    assert tokens.asked == [("", ["repository:team/app:pull"])], "one token serves the whole pull"
    out(daemon, "rmi", first)
