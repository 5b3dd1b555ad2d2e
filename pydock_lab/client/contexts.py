"""Contexts: names for engines, kept where Docker's CLI keeps them.

`default` is not stored: it is DOCKER_HOST, else the user's own daemon. Every
other context is a `meta.json`, with its TLS files beside it. Source: docker/cli
cli/context/store.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.config import ClientConfig
from pydock_lab.client.wire import Endpoint, TLSFiles

DEFAULT = "default"
_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$")
_TLS_NAMES = ("ca.pem", "cert.pem", "key.pem")


class Context(NamedTuple):
    """One context.

    Attributes:
        name: `default` or as it was created.
        description: Free text, or "".
        host: `unix:///…`, `tcp://…`; "" for the user's own daemon.
        skip_tls_verify: Don't check the engine's certificate.
        metadata_path, tls_path: Where it lies; None for the default.
    """

    name: str
    description: str
    host: str
    skip_tls_verify: bool = False
    metadata_path: Path | None = None
    tls_path: Path | None = None

    @property
    def tls_files(self) -> tuple[str, ...]:
        """Names of its TLS files: `("ca.pem", "cert.pem", "key.pem")`."""
        folder = self.tls_path / "docker" if self.tls_path else None
        return tuple(name for name in _TLS_NAMES if folder and (folder / name).is_file())

    def endpoint(self) -> Endpoint:
        """Where its engine listens."""
        files = {name: str((self.tls_path or Path()) / "docker" / name) for name in self.tls_files}
        if not files and not self.skip_tls_verify:
            return Endpoint(self.host)
        ca, cert, key = (files.get(name, "") for name in _TLS_NAMES)
        return Endpoint(self.host, TLSFiles(ca, cert, key, not self.skip_tls_verify))


class ContextStore:
    """The contexts of one user.

    Args:
        config: The user's configuration.
        environment: Where DOCKER_HOST is looked up.
    """

    def __init__(self, config: ClientConfig, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._root = config.directory / "contexts"

    def default(self) -> Context:
        """The context that is always there."""
        host = self._environment.get("DOCKER_HOST", "")
        return Context(DEFAULT, "DOCKER_HOST" if host else "The engine of pydock_lab", host)

    def get(self, name: str) -> Context:
        """Return a context.

        Raises:
            CommandError: there is none of that name.
        """
        if name == DEFAULT:
            return self.default()
        folder = self._root / "meta" / _digest(name)
        try:
            document = json.loads((folder / "meta.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise CommandError(
                f'context "{name}": context not found: open {folder}/meta.json: no such file or directory'
            ) from None
        return self._read(document, folder)

    def all(self) -> list[Context]:
        """Every context by name, the default among them."""
        found = [self.default()]
        for path in (self._root / "meta").glob("*/meta.json"):
            found.append(self._read(json.loads(path.read_text("utf-8")), path.parent))
        return sorted(found)

    def put(self, context: Context, tls: Mapping[str, bytes]) -> None:
        """Store a context, replacing one of its name.

        Args:
            context: Its paths are not looked at.
            tls: Files by name (`ca.pem`, …).
        """
        digest = _digest(context.name)
        metadata: dict[str, Any] = {"Description": context.description} if context.description else {}
        endpoint = {"Host": context.host, "SkipTLSVerify": context.skip_tls_verify}
        document = {"Name": context.name, "Metadata": metadata, "Endpoints": {"docker": endpoint}}
        folder = self._root / "meta" / digest
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        (folder / "meta.json").write_text(json.dumps(document, separators=(",", ":")), "utf-8")
        shutil.rmtree(self._root / "tls" / digest, ignore_errors=True)
        if tls:
            files = self._root / "tls" / digest / "docker"
            files.mkdir(mode=0o700, parents=True)
            for name, data in tls.items():
                (files / name).touch(mode=0o600)
                (files / name).write_bytes(data)

    def remove(self, name: str) -> None:
        """Remove a context and its TLS files."""
        for kind in ("meta", "tls"):
            shutil.rmtree(self._root / kind / _digest(name), ignore_errors=True)

    def _read(self, document: Mapping[str, Any], folder: Path) -> Context:
        endpoint = (document.get("Endpoints") or {}).get("docker") or {}
        return Context(
            name=document["Name"],
            description=str((document.get("Metadata") or {}).get("Description") or ""),
            host=str(endpoint.get("Host") or ""),
            skip_tls_verify=bool(endpoint.get("SkipTLSVerify")),
            metadata_path=folder,
            tls_path=self._root / "tls" / folder.name,
        )


def check_name(name: str) -> None:
    """Refuse what can't be a context's name.

    Raises:
        CommandError: in Docker's words.
    """
    if name == DEFAULT:
        raise CommandError('"default" is a reserved context name')
    if not _NAME.match(name):
        pattern = _NAME.pattern
        raise CommandError(f'context name "{name}" is invalid, names are validated against regexp "{pattern}"')


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
