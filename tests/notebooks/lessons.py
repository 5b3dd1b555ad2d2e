"""The lessons, what they need, and what of them an engine holds. Used by both tests that run them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Protocol

LESSONS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))

# As `make lab` does; otherwise a first run tells of pulls that a second one does not make.
BASES = ("alpine", "busybox", "hello-world", "python:3.12-alpine", "redis")


def bases_of(lesson: Path) -> list[str]:
    """The images of BASES that a lesson names."""
    text = lesson.read_text("utf-8")
    return [base for base in BASES if base.partition(":")[0] in text]


class Engine(Protocol):
    """Root's or a plain user's."""

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the docker CLI on it."""


def belongings(engine: Engine) -> dict[str, list[str]]:
    """All that an engine holds, images without a name included."""
    lists = {
        "containers": ("ps", "-aq"),
        "networks": ("network", "ls", "--format", "{{.Name}}"),
        "volumes": ("volume", "ls", "-q"),
        "images": ("images", "-a", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}"),
    }
    return {name: sorted(engine.docker(*command).stdout.splitlines()) for name, command in lists.items()}
