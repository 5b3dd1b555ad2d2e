"""The containers of RUN as clients of Docker's classic protocol know them: with events, and some of them stay.

Docker keeps the container of a step that failed (unless `--force-rm`), and with
`--rm=false` all of them, for `docker commit`, `diff` and `cp`. A client that asks
for reasons (`pydock build`) gets BuildKit's way: no container is seen, and what a
failed step left is an image. Source: moby builder/dockerfile/containerbackend.go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydock_lab.daemon.builder.container import RunSettings

_KILLED = 137


@dataclass(frozen=True)
class Ended:
    """How a container ended: its status, and when it ran (ns since the epoch)."""

    exit_code: int
    started_at_ns: int
    finished_at_ns: int


class Intermediates(Protocol):
    """What the engine does for them (engine/containers/intermediate.py)."""

    def pick_name(self) -> str:
        """Return a name that no container has."""

    def publish(self, action: str, container_id: str, attributes: dict[str, str]) -> None:
        """Tell Docker's event stream."""

    async def keep(self, container_id: str, name: str, body: dict[str, Any], upper: Path, ended: Ended) -> None:
        """Make it a container like others: `body` is Docker's create request, `upper` is taken away."""


@dataclass
class Intermediate:
    """The container of one RUN step, from its start to its end.

    Args:
        engine: Where it is told of.
        id: 64 hex digits.
        image_id: Of the step before.
        settings: What it runs.
    """

    engine: Intermediates
    id: str
    image_id: str
    settings: RunSettings
    _name: str = field(init=False)
    _started_at_ns: int = field(init=False)
    _ended: Ended | None = None

    def __post_init__(self) -> None:
        self._name = self.engine.pick_name()
        self._started_at_ns = time.time_ns()
        for action in ("create", "attach", "start"):
            self._publish(action)

    def ended(self, exit_code: int = _KILLED) -> None:
        """Its process is gone."""
        self._ended = Ended(exit_code, self._started_at_ns, time.time_ns())
        self._publish("die", exitCode=str(exit_code))

    def removed(self) -> None:
        """It goes with its step."""
        self._publish("destroy")

    async def keep(self, upper: Path) -> None:
        """It stays, with the files that its step wrote."""
        assert self._ended is not None
        settings = self.settings
        network = settings.network if settings.network in ("none", "host") else "default"
        body = {
            "Image": self.image_id,
            "Cmd": settings.args,
            "Entrypoint": [],
            "Env": settings.env,
            "WorkingDir": settings.cwd,
            "User": settings.user,
            "AttachStdout": True,
            "AttachStderr": True,
            # What it printed has gone into the build's output: Docker keeps no log of it either.
            "HostConfig": {"NetworkMode": network, "LogConfig": {"Type": "none"}},
        }
        await self.engine.keep(self.id, self._name, body, upper, self._ended)

    def _publish(self, action: str, **more: str) -> None:
        self.engine.publish(action, self.id, {**more, "image": self.image_id, "name": self._name})
