"""Help pages beside the docker CLI's own: every command, every flag, and the differences that are meant."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from pydock_lab.client.commands.grammar import Command, load
from pydock_lab.client.commands.usage import command_page

_MAJOR = 28  # of the docker CLI that client/commands/surface.json describes
_OPTION = re.compile(r"^ {2,6}(?:(-\w), )?--([\w-]+)(?: (\S+))?", re.MULTILINE)

WINDOWS = frozenset({"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"})
ONE_PLATFORM = frozenset(
    {"platform"}
)  # of an image with many: API 1.48 and later, and an engine that keeps more than one of them
CHECKPOINTS = frozenset({"checkpoint", "checkpoint-dir"})  # CRIU, an experiment of dockerd's
CLUSTER_VOLUMES = frozenset({
    "availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing", "topology-preferred",
    "topology-required", "type",
})  # fmt: skip
SWARM_KEEPER = frozenset({
    "autolock", "cert-expiry", "dispatcher-heartbeat", "external-ca", "max-snapshots", "snapshot-interval",
})  # fmt: skip

NOT_OURS: Mapping[str, frozenset[str]] = {
    "container create": WINDOWS,
    "container run": WINDOWS,
    "container start": CHECKPOINTS,
    **dict.fromkeys(
        ("image history", "image inspect", "image load", "image push", "image rm", "image save"), ONE_PLATFORM
    ),
    "image ls": frozenset({"tree"}),
    "image build": frozenset({"squash"}),  # an experiment of the builder before BuildKit
    "volume create": CLUSTER_VOLUMES,
    "volume ls": frozenset({"cluster"}),
    "swarm init": SWARM_KEEPER,
    **dict.fromkeys(("config inspect", "node inspect", "secret inspect", "service inspect"), frozenset({"pretty"})),
}
"""Flags of Docker's that we do not take, by command."""

ONLY_OURS: Mapping[str, frozenset[str]] = {
    "container run": frozenset({"from-failed-step"}),
    # BuildKit's; the docker CLI asks its buildx plugin for them, where it is installed.
    "image build": frozenset(
        {"build-context", "cache-to", "check", "no-cache-filter", "output", "progress", "secret", "ssh"}
    ),
}
"""Flags of ours that Docker does not take."""

NO_COMMAND_OF_DOCKERS = {"image at"}
OTHER_VALUES = {"swarm init", "swarm join"}  # Go's names for what a flag takes: uint32, node-addr


def docker_cli() -> str:
    """A docker CLI that is as new as the command surface, wherever on the PATH; "" if there is none."""
    for directory in os.environ["PATH"].split(os.pathsep):
        if (found := shutil.which("docker", path=directory)) and "pydock" not in os.path.realpath(found):
            said = subprocess.run([found, "--version"], capture_output=True, text=True).stdout
            if (version := re.search(r"version (\d+)\.", said)) and int(version[1]) >= _MAJOR:
                return found
    return ""


DOCKER = docker_cli()
pytestmark = pytest.mark.skipif(not DOCKER, reason="machine: no docker CLI of version 28 or later to compare with")


def real_page(command: Command) -> str:
    environment = {**os.environ, "COLUMNS": "80", "DOCKER_HOST": "unix:///nowhere"}  # asks no engine what it can
    line = [DOCKER, *command.path, "--help"]
    return subprocess.run(line, capture_output=True, text=True, env=environment).stdout


@pytest.fixture(scope="module")
def pages() -> dict[str, tuple[str, str]]:
    """Our page and Docker's by command; Compose is a plugin with tests of its own."""
    commands = [each for each in load().commands if each.path[0] != "compose"]
    commands = [each for each in commands if " ".join(each.path) not in NO_COMMAND_OF_DOCKERS]
    with ThreadPoolExecutor(4) as pool:
        real = list(pool.map(real_page, commands))
    return {" ".join(each.path): (command_page(each), page) for each, page in zip(commands, real, strict=True)}


def flags(page: str) -> dict[str, tuple[str, str]]:
    """Letter and kind of value by name."""
    return {name: (letter, value) for letter, name, value in _OPTION.findall(page)}


def test_flags_are_dockers_but_for_those_named_here(pages: dict[str, tuple[str, str]]) -> None:
    for line, (ours, real) in pages.items():
        mine, dockers = flags(ours), flags(real)
        assert dockers.keys() - mine.keys() == NOT_OURS.get(line, frozenset()), line
        assert mine.keys() - dockers.keys() == ONLY_OURS.get(line, frozenset()), line
        for name in mine.keys() & dockers.keys():
            assert mine[name] == dockers[name] or line in OTHER_VALUES, (line, name)


def test_where_the_flags_are_dockers_the_page_is_to_the_letter(pages: dict[str, tuple[str, str]]) -> None:
    compared = [line for line in pages if line not in {*NOT_OURS, *ONLY_OURS, *OTHER_VALUES}]
    assert len(compared) > 70
    for line in compared:
        ours, real = pages[line]
        assert ours.rstrip("\n") == real.rstrip("\n"), line
