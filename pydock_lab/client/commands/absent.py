"""Commands of Docker that are plugins, or that go beyond what this client does: refused in Docker's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session

_LEGACY = "`docker build` builds with this engine's own builder; there are no other builders to choose from"

_REFUSALS: Mapping[str, tuple[str, str]] = {
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


_BEYOND = frozenset(
    [
        *(("swarm", verb) for verb in ("ca", "unlock", "unlock-key", "update")),
        *(("service", verb) for verb in ("create", "rollback", "update")),
        *(("node", verb) for verb in ("demote", "promote", "rm", "update")),
    ]
)
"""Verbs of a swarm that learners don't need: a stack's file says the same."""


_COMPOSE = {
    "bridge": "`compose config --format kubernetes` writes manifests",
    "publish": "`compose push` pushes images; a Compose file is best kept with the sources",
}


def refuse(argv: Sequence[str], program: str, session: Session) -> None:
    """Refuse a command line that begins with one of these.

    Raises:
        CommandError: it does.
    """
    if tuple(argv[:2]) in _BEYOND:
        session.connection.request("GET", "/services")  # no swarm: that is said first, in the engine's words
        line = " ".join((program, *argv[:2]))
        raise CommandError(
            f"{line} is not one of this client's commands",
            hint=f"Docker's own CLI has it; `{program} stack deploy -c FILE NAME` makes services from a file",
        )
    if tuple(argv[:1]) == ("compose",) and (hint := _COMPOSE.get("".join(argv[1:2]))):
        raise CommandError(f"{program} compose {argv[1]} is not one of this client's commands", hint=hint)
    if argv and argv[0] in _REFUSALS:
        message, hint = _REFUSALS[argv[0]]
        raise CommandError(message.format(program=program), hint=hint)
