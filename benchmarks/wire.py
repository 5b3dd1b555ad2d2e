"""The requests that `docker exec` makes, without the docker CLI: what an engine takes of its time."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from typing import Any

from benchmarks.engines import CommandError, Engine


class Wire(HTTPConnection):
    """A connection to an engine's socket, kept over its requests."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("docker")
        self._path = str(engine.root / "docker.sock")

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, document: Any = None, **headers: str) -> bytes:
        """Send one request; return the answer's body, of a stream that takes the connection over all of it."""
        body = None if document is None else json.dumps(document)
        self.request(method, f"/v1.41{path}", body, {"Content-Type": "application/json", **headers})
        answer = self.getresponse()
        if answer.status >= 400:
            raise CommandError(f"{method} {path}: {answer.read().decode(errors='replace')}")
        return b"".join(iter(lambda: self.sock.recv(65536), b"")) if headers else answer.read()


def exec_true(engine: Engine, container: str) -> None:
    """Execute `true` in a container: ping, inspect, create, start with its output, exit status."""
    with closing(Wire(engine)) as kept, closing(Wire(engine)) as hijacked:
        kept.ask("HEAD", "/_ping")
        kept.ask("GET", f"/containers/{container}/json")
        asked = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["true"]}
        exec_id = json.loads(kept.ask("POST", f"/containers/{container}/exec", asked))["Id"]
        hijacked.ask("POST", f"/exec/{exec_id}/start", {"Detach": False}, Connection="Upgrade", Upgrade="tcp")
        if (code := json.loads(kept.ask("GET", f"/exec/{exec_id}/json"))["ExitCode"]) != 0:
            raise CommandError(f"exec on {engine.name}: exit status {code}")
