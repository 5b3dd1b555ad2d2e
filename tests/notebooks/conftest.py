"""The lessons' own engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Daemon, scratch_daemon


@pytest.fixture(scope="session")
def daemon() -> Iterator[Daemon]:
    """An engine for the lessons alone: in the one that other tests share, a tag may mean anything."""
    with scratch_daemon() as running:
        yield running


@pytest.fixture(scope="session")
def busybox(daemon: Daemon) -> str:
    """The catalogue's busybox, in this engine."""
    done = daemon.docker("pull", "busybox")
    assert done.returncode == 0, done.stderr
    return "busybox"
