"""What BuildKit takes besides the context: secrets, ssh agents, named contexts.

The classic protocol has no words for them. They travel as parameters and tar
entries of pydock_lab's own (daemon/api/build.py lists them), so that another
engine is told nothing; there, these flags are refused.
"""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.build.context import made_up, named_context
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session

_EXTRAS = ".pydock"
_OWN_FLAGS = ("secret", "ssh", "build-context", "no-cache-filter", "output", "cache-to")


def read_fields(text: str) -> dict[str, str]:
    """Read `id=x,src=y`; a word without `=` has the value "true"."""
    words = next(csv.reader([text]), [])
    pairs = (word.partition("=") for word in words)
    return {key.strip().lower(): value if equals else "true" for key, equals, value in pairs}


class BuildInputs:
    """The inputs of one build that are not in its context.

    Args:
        arguments: Of the command.
        session: Where paths and variables are looked up.

    Raises:
        CommandError: one of them is malformed or not there, or the engine can't take any.
    """

    def __init__(self, arguments: Arguments, session: Session) -> None:
        self._secrets = dict(_secret(spec, session) for spec in arguments.many("secret"))
        self._agents = dict(read_agent(spec, session) for spec in arguments.many("ssh"))
        self._is_lab = session.connection.is_lab
        self._directories: dict[str, Path] = {}
        self._named: dict[str, str] = {}
        self._filter = [name for spec in arguments.many("no-cache-filter") for name in spec.split(",")]
        for spec in arguments.many("build-context"):
            self._add_context(spec, session)
        for flag in _OWN_FLAGS:
            if arguments.has(flag) and not session.connection.is_lab:
                raise CommandError(f"the --{flag} option requires BuildKit, or pydock_lab's own engine")

    @property
    def travels(self) -> bool:
        """Whether something has to be sent in the context's tar."""
        return bool(self._secrets or self._directories)

    def query(self) -> dict[str, Any]:
        """Return the parameters for the engine."""
        return {
            "reasons": True if self._is_lab else None,
            "extras": True if self.travels else None,
            "ssh": json.dumps(self._agents) if self._agents else None,
            "buildcontexts": json.dumps(self._named) if self._named else None,
            "nocachefilter": json.dumps(self._filter) if self._filter else None,
        }

    def entries(self) -> Iterator[bytes]:
        """Yield tar entries that go before those of the context."""
        for secret_id, content in self._secrets.items():
            yield from made_up(f"{_EXTRAS}/secrets/{secret_id}", content)
        for name, root in self._directories.items():
            yield from named_context(root, f"{_EXTRAS}/contexts/{name}")

    def _add_context(self, spec: str, session: Session) -> None:
        name, equals, value = spec.partition("=")
        if not equals or not name or "/" in name:
            raise CommandError(f"invalid context value: {spec}, expected key=value")
        if "://" in value or value.startswith("git@"):
            self._named[name] = value
            return
        root = session.path(value)
        if not root.is_dir():
            raise CommandError(f"failed to get build context {name}: stat {value}: no such file or directory")
        self._directories[name] = root


def _secret(spec: str, session: Session) -> tuple[str, bytes]:
    fields = read_fields(spec)
    for key in fields:
        if key not in ("type", "id", "src", "source", "env"):
            raise CommandError(f"unexpected key '{key}' in '{spec}'")
    secret_id = fields.get("id", "")
    source = fields.get("src") or fields.get("source") or ""
    variable = fields.get("env", "")
    kind = fields.get("type", "")
    if kind not in ("", "file", "env"):
        raise CommandError(f'unsupported secret type "{kind}"')
    if kind == "env" or (not source and not variable and kind == "" and secret_id in session.environment):
        variable, source = variable or source or secret_id, ""
    secret_id = secret_id or Path(source).name or variable
    if not secret_id or "/" in secret_id:
        raise CommandError(f"invalid secret {spec!r}: it needs an id")
    if variable:
        return secret_id, session.environment.get(variable, "").encode()
    path = session.path(source or secret_id)
    try:
        return secret_id, path.read_bytes()
    except OSError as error:
        raise CommandError(f"failed to stat {path}: {str(error.strerror).lower()}") from None


def read_agent(spec: str, session: Session) -> tuple[str, str]:
    """Read `default` or `NAME=SOCKET` (`--ssh`): the agent's name and its socket.

    Raises:
        CommandError: there is no such socket.
    """
    name, _, where = spec.partition("=")
    path = where or session.environment.get("SSH_AUTH_SOCK", "")
    if not path:
        raise CommandError("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
    try:
        is_socket = stat.S_ISSOCK(session.path(path).stat().st_mode)
    except OSError as error:
        raise CommandError(f"failed to open {path}: {str(error.strerror).lower()}") from None
    if not is_socket:
        raise CommandError(
            f"{path} is no agent's socket", hint="keys are used through an agent: ssh-add KEY, --ssh default"
        )
    return name or "default", str(session.path(path))
