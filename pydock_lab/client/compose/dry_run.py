"""`compose --dry-run`: a connection that asks the engine what there is, and only pretends to change it.

What would be made is remembered, so that what comes after it finds it: an image
"built" can be looked at, a container "started" runs and is healthy. Compose has a
client of this kind too. Source: docker/compose pkg/dryrun/dryrunclient.go.
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.connection import Connection
from pydock_lab.client.hijack import HijackedStream
from pydock_lab.client.wire import Response
from pydock_lab.spec import reference

_NO_EXEC = "interactive exec is not supported in dry-run mode"
_RUNNING = {"Status": "running", "Running": True, "ExitCode": 0, "Health": {"Status": "healthy"}}


class DryRun(Connection):
    """A connection through which nothing is changed.

    Args:
        real: The connection to the engine.
    """

    def __init__(self, real: Connection) -> None:
        super().__init__()
        vars(self).update(vars(real))
        self._documents: dict[str, dict[str, Any]] = {}

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        body: bytes | Iterable[bytes] | None = None,
        stream: bool = False,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Response:
        """Ask the engine, or answer as it would; as `Connection.request`."""
        if method in ("GET", "HEAD"):
            if (found := self._documents.get(path)) is not None:
                return _answer(found)
            return super().request(method, path, document, body=body, stream=stream, headers=headers, query=query)
        return _answer(self._pretended(method, path, document or {}, query or {}))

    def hijack(self, path: str, document: dict[str, Any] | None = None, **query: str | int) -> HijackedStream:
        """Refuse: there is no process to talk to."""
        raise CommandError(_NO_EXEC)

    def _pretended(self, method: str, path: str, document: Mapping[str, Any], query: Mapping[str, Any]) -> Any:
        if path.endswith("/exec"):
            raise CommandError(_NO_EXEC)
        if path.endswith("/wait"):
            return {"StatusCode": 0}
        if path == "/build":
            for tag in query["t"]:
                self._have(tag)
        elif path == "/images/create":
            self._have(query["fromImage"])
        elif started := re.fullmatch(r"(/containers/[^/]+)/(start|restart)", path):
            self._documents[f"{started[1]}/json"] = {"State": _RUNNING}
        elif method == "POST" and path.endswith("/create"):
            name = str(query.get("name") or document.get("Name"))
            return {"Id": hashlib.sha256(name.encode()).hexdigest(), "Name": name, "Warnings": []}
        return {}

    def _have(self, image: str) -> None:
        self._documents[f"/images/{reference.parse(image).familiar}/json"] = {"Id": pretended_id(image)}


def pretended_id(image: str) -> str:
    """`dryRun-…`: the id of an image that was not built."""
    return f"dryRun-{hashlib.sha256(image.encode()).hexdigest()[:40]}"


def _answer(document: Any) -> Response:
    """An answer like those that come from an engine."""
    ours, theirs = socket.socketpair()
    content = json.dumps(document).encode()
    with theirs:
        theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content))
    return Response(ours).loaded()
