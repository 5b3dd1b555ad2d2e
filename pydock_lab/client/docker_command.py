"""The `docker` command of a notebook's kernel: what `!docker …` and `%%bash` cells run.

It is the real CLI where one is installed, else ours; either talks to the engine
that the magics talk to. `%load_ext` puts client/bin in front of the kernel's PATH
and names the interpreter in PYDOCK_PYTHON, because a kernel's own need not be on PATH.
Where that is lost, client/bin/docker looks for one itself.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from pydock_lab.errors import LabError

BIN = Path(__file__).parent / "bin"
_PYTHON = "PYDOCK_PYTHON"
_LESSON = "PYDOCK_LESSON"
_PLUGINS = (
    "~/.docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)  # docker/cli cli-plugins/manager/manager_unix.go


def put_on_path(environment: MutableMapping[str, str], lesson: str = "") -> None:
    """Let `docker` mean this command, for the processes that a notebook starts.

    Args:
        environment: Of the kernel.
        lesson: Whose ledger is to note what they make with our CLI. What the real one makes is not seen.
    """
    take_off_path(environment)
    environment["PATH"] = os.pathsep.join(filter(None, (str(BIN), environment.get("PATH", os.defpath))))
    environment[_PYTHON] = sys.executable
    if lesson:
        environment[_LESSON] = lesson


def take_off_path(environment: MutableMapping[str, str]) -> None:
    """Undo `put_on_path`."""
    environment["PATH"] = _path_without_ours(environment)
    environment.pop(_PYTHON, None)
    environment.pop(_LESSON, None)


def real_cli(words: list[str], environment: Mapping[str, str]) -> str | None:
    """Return the path of the real CLI if it can carry this command line out, else None.

    Args:
        words: After `docker`, its global flags taken off.
        environment: Its PATH is searched.
    """
    found = shutil.which("docker", path=_path_without_ours(environment))
    if words[:1] == ["compose"] and not any(Path(at, "docker-compose").expanduser().exists() for at in _PLUGINS):
        return None  # Compose is a plugin that many a CLI is installed without
    return found


def main() -> int:
    """Run one command line; return its exit status, or become the real CLI."""
    from pydock_lab.client.cli import main as our_cli
    from pydock_lab.client.global_flags import read_global_flags

    words = sys.argv[1:]
    try:
        flags, command = read_global_flags(list(words))
        real = real_cli(command, os.environ)
        if real is not None:
            os.execve(real, ["docker", *words], dict(os.environ) | _address(flags.given))
    except LabError as error:
        sys.stderr.write(f"{error.message}\n")
        return getattr(error, "exit_code", 1)
    return our_cli(words, program="docker")


def _address(flags: Mapping[str, str]) -> dict[str, str]:
    """Where the real CLI finds the user's own daemon, which is started; nothing where another engine is named."""
    from pydock_lab.client.connection import Connection

    connection = Connection()
    if "host" in flags or "context" in flags or connection.is_named:
        return {}
    return {"DOCKER_HOST": connection.address}


def _path_without_ours(environment: Mapping[str, str]) -> str:
    """Take off every BIN: Jupyter may run in another environment than the kernel, and two would call each other."""
    entries = environment.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).parts[-3:] != BIN.parts[-3:])
