"""The docker CLI's own configuration: `~/.docker/config.json`, shared with Docker's.

Only what this client understands is read; everything else in the file is kept as
it is. Source: docker/cli cli/config/configfile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.failure import CommandError


class ClientConfig:
    """The configuration of one user.

    Args:
        directory: Where it lies, or None for DOCKER_CONFIG, else `~/.docker`.
        environment: Where DOCKER_CONFIG is looked up.
    """

    def __init__(self, directory: Path | None, environment: Mapping[str, str]) -> None:
        chosen = environment.get("DOCKER_CONFIG")
        self.directory = directory or (Path(chosen) if chosen else Path.home() / ".docker")
        self._document: dict[str, Any] | None = None

    @property
    def path(self) -> Path:
        """The file; there may be none."""
        return self.directory / "config.json"

    @property
    def document(self) -> dict[str, Any]:
        """What the file says; {} where there is none.

        Raises:
            CommandError: it is not JSON.
        """
        if self._document is None:
            try:
                self._document = dict(json.loads(self.path.read_text("utf-8")))
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                self._document = {}
            except (ValueError, TypeError) as error:
                raise CommandError(f"loading config file: {self.path}: {error}") from None
        return self._document

    def text(self, key: str) -> str:
        """A top-level string, or ""."""
        value = self.document.get(key)
        return value if isinstance(value, str) else ""

    def change(self, key: str, value: Any) -> None:
        """Set a top-level key, or take it away with None, and write the file (mode 0600).

        Raises:
            CommandError: it can't be written.
        """
        document = {name: old for name, old in self.document.items() if name != key}
        if value is not None:
            document[key] = value
        partial = self.path.with_name(f"config.json.{os.getpid()}")
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor, for its mode)
                json.dump(document, file, indent="\t")
            partial.replace(self.path.resolve())  # a link stays a link
        except OSError as error:
            raise CommandError(f"error saving {self.path}: {str(error.strerror).lower()}") from None
        self._document = document
