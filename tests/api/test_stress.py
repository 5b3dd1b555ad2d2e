"""Containers from many clients at once, killed at random moments, leave nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.stress import Holdings, assault, settled
from tests.conftest import Daemon, Footprint

pytestmark = pytest.mark.root


def test_nothing_is_left_of_many(own_daemon: Callable[..., Daemon]) -> None:
    daemon = own_daemon()
    assert daemon.docker("pull", "-q", "busybox").returncode == 0
    where = (daemon.process.pid, daemon.data_root, daemon.exec_root)
    # Threads, caches and pools are there after the first few.
    assert assault(daemon.host, "busybox", containers=16, clients=8) == []
    # The kernel takes the links of the dead away a moment after them.
    before, footprint = Holdings.of(*where), Footprint.of(daemon.root)
    assert assault(daemon.host, "busybox", containers=64, clients=8) == []
    after = settled(*where, before)
    assert (after.processes, after.bundles, after.containers) == (before.processes, 0, 0)
    assert all(now <= then for now, then in zip(after.fds, before.fds, strict=True))
    left = Footprint.of(daemon.root)
    assert set(left.links) <= set(footprint.links)
    assert replace(left, links=()) == replace(footprint, links=())
    assert daemon.docker("volume", "ls", "-q").stdout == daemon.docker("ps", "-aq").stdout == ""
