"""The lessons for a user without privilege or network: each twice in a row, not by number, on one engine.

The first time each cleans up after itself, the second time `%lab reset` does it alone. test_lessons.py runs each once
more, as root, by number, and compares what it shows with what is committed; here that is not compared, as a plain
user may be shown less: a lesson's own `%%reveal` and `%%check` cells fail where the engine does not do what it says.
The user is somebody whose id has no name, no helper (newuidmap) and no range of ids.
"""

from __future__ import annotations

import functools
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.linux.conftest import PlainUser, RootlessDaemon, readable_python, scratch_user, start_rootless
from tests.notebooks.lessons import BASES, LESSONS, belongings

pytestmark = [pytest.mark.userns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")]

SHUFFLED = random.Random(8).sample(LESSONS, len(LESSONS))
"""The same order each time, so that what fails will fail again."""

NEEDS = ("pydock-lab", "ipykernel", "nbclient", "docker")

BY_HAND = ("02-client-api-daemon-registry", "12-container-by-hand")
"""Lessons that make things past the client, which `%lab reset` can't know of: their own clean-up runs."""


@dataclass(frozen=True, kw_only=True)
class OfflineUser(PlainUser):
    """A plain user on a machine that has no network but its loopback.

    Attributes:
        network: A process in the machine's network namespace.
    """

    network: int

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._there(command), env=self.environment, cwd=self.home, **options)  # type: ignore[call-overload, no-any-return]

    def run(self, command: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        done = {"capture_output": True, "text": True, "timeout": timeout, "check": False}
        return subprocess.run(self._there(command), env=self.environment, cwd=self.home, **done)  # type: ignore[call-overload, no-any-return]

    def _there(self, command: Sequence[str]) -> list[str]:
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        return ["nsenter", f"--net=/proc/{self.network}/ns/net", *become, *command]


@pytest.fixture(scope="module")
def loopback_only() -> Iterator[int]:
    """A process in a network namespace with nothing but `lo`."""
    script = "ip link set lo up && echo up && read -r _"
    with subprocess.Popen(
        ["unshare", "-n", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"up\n"
        yield holder.pid


@pytest.fixture(scope="module")
def engine(loopback_only: int) -> Iterator[RootlessDaemon]:
    """A plain user's engine with the base images, and a copy of the lessons in his home."""
    offline = functools.partial(OfflineUser, network=loopback_only)
    with scratch_user(offline, readable_python(NEEDS)) as user:
        for folder in ("notebooks", ".wheelhouse"):
            source = LESSONS[0].parent.parent / folder
            if source.exists():
                shutil.copytree(source, user.home / folder, ignore=shutil.ignore_patterns("*-lesson"))
        for script in ("run_lesson.py", "lessons.py"):
            shutil.copy(Path(__file__).parent / script, user.home)
        for path in [*user.home.rglob("*")]:
            os.chown(path, user.uid, user.uid)
        daemon = start_rootless(user)
        try:
            for base in BASES:
                pulled = daemon.docker("pull", base)
                assert pulled.returncode == 0, f"{pulled.stderr}\n{daemon.log}"
            yield daemon
            assert daemon.stop() == 0, daemon.log
        finally:
            if daemon.process.poll() is None:
                daemon.stop()


@pytest.mark.parametrize("lesson", SHUFFLED, ids=lambda path: path.stem)
def test_a_plain_user_runs_a_lesson_twice(lesson: Path, engine: RootlessDaemon) -> None:
    user = engine.user
    command = ["env", f"DOCKER_HOST={engine.host}", f"PYDOCK_WHEELHOUSE={user.home}/.wheelhouse"]
    command += [f"JPY_SESSION_NAME={lesson.name}", user.python, f"{user.home}/run_lesson.py"]
    command += [f"{user.home}/notebooks/{lesson.name}"]
    if lesson.stem in BY_HAND:
        command.append("--by-hand")
    before = belongings(engine)
    done = user.run(command, timeout=300)
    assert done.returncode == 0, done.stderr[-6000:]
    assert belongings(engine) == before, done.stdout
