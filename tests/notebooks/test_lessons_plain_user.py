"""The lessons for a user without privilege: each twice in a row, in another order than by number, on one engine.

The first time each cleans up after itself, the second time `%lab reset` does it alone. test_lessons.py runs each once
more, as root, by number, and compares what it shows with what is committed; here that is not compared, as a plain
user may be shown less: a lesson's own `%%reveal` and `%%check` cells fail where the engine does not do what it says.
The user is somebody whose id has no name, no helper (newuidmap) and no range of ids.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def engine() -> Iterator[RootlessDaemon]:
    """A plain user's engine with the base images, and a copy of the lessons in his home."""
    with scratch_user(PlainUser, readable_python(NEEDS)) as user:
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
                assert daemon.docker("pull", base).returncode == 0
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
