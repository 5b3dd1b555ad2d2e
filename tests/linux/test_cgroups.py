"""Cgroups of engines that come and go beside each other."""

from __future__ import annotations

import secrets
from concurrent.futures import ProcessPoolExecutor

import pytest

from pydock_lab.daemon.linux import cgroups

pytestmark = pytest.mark.root


def come_and_go(parent: str) -> bool:
    """Make a cgroup, remove it and, as an engine that ends, the directory above it; many times."""
    layout = cgroups.detect()
    for _ in range(150):
        cgroup = layout.cgroup(f"{parent}/{secrets.token_hex(8)}")
        cgroup.create()
        cgroup.delete()
        cgroup.delete_parent()
    return True


def test_a_parent_that_another_engine_takes_along() -> None:
    parent = f"/pydock-test-{secrets.token_hex(4)}"
    with ProcessPoolExecutor(3) as engines:
        assert all(engines.map(come_and_go, [parent] * 3))
    cgroup = cgroups.detect().cgroup(f"{parent}/last")
    cgroup.create()
    try:
        cgroup.apply({})
    finally:
        cgroup.delete()
        cgroup.delete_parent()
