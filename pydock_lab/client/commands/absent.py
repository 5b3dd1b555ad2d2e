"""Commands of Docker that one Linux host has no use for, or that are plugins: refused in Docker's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydock_lab.client.commands.failure import CommandError

_NO_SWARM = (
    "Error response from daemon: This node is not a swarm manager. "
    'Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
)
_ONE_HOST = "pydock_lab is one host without a swarm: `docker compose` runs several services together"
_LEGACY = "`docker build` builds with this engine's own builder; there are no other builders to choose from"

_REFUSALS: Mapping[str, tuple[str, str]] = {
    "swarm": ("Error response from daemon: swarm mode is not supported by this engine", _ONE_HOST),
    **dict.fromkeys(("service", "stack", "node", "secret", "config"), (_NO_SWARM, _ONE_HOST)),
    "plugin": ("Error response from daemon: plugins are not supported by this engine", "drivers are built in: `local`"),
    "checkpoint": (
        "{program} checkpoint is only supported on a Docker daemon with experimental features enabled",
        "`docker pause` and `docker commit` keep a container's state in other ways",
    ),
    "trust": ("Error: content trust is not supported", "pull by digest (NAME@sha256:…) to know what you get"),
    "manifest": (
        "Error: manifest lists are not supported by this client",
        "`docker image inspect` shows what a local image is",
    ),
    "buildx": ("{program}: unknown command: {program} buildx\n\nRun '{program} --help' for more information", _LEGACY),
    "bake": ("{program}: unknown command: {program} bake\n\nRun '{program} --help' for more information", _LEGACY),
}


def refuse(argv: Sequence[str], program: str) -> None:
    """Refuse a command line that begins with one of these.

    Raises:
        CommandError: it does.
    """
    if argv and argv[0] in _REFUSALS:
        message, hint = _REFUSALS[argv[0]]
        raise CommandError(message.format(program=program), hint=hint)
