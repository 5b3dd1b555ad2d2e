"""Fixtures of the API tests: the distribution's Docker engine beside ours, with the same image in both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.engines import dockerd, dockerd_is_installed, write_rootfs_tar
from tests.api.wire import Wire
from tests.conftest import Daemon

# The image both engines have, byte for byte, under two names that the Docker notes use.
_NAMES = ("busybox", "alpine")


@dataclass(frozen=True)
class Engines:
    """Ours and the real one; what a test does to one it does to the other."""

    ours: Daemon
    docker: Daemon

    def __iter__(self) -> Iterator[Daemon]:
        return iter((self.ours, self.docker))


@pytest.fixture(scope="session")
def rootfs_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system with BusyBox in it, as `docker import` takes it."""
    path = tmp_path_factory.mktemp("rootfs") / "rootfs.tar"
    write_rootfs_tar(path)
    return path


@pytest.fixture(scope="session")
def oracle(rootfs_tar: Path) -> Iterator[Daemon]:
    """The distribution's dockerd on a scratch root and a bridge of its own."""
    if not dockerd_is_installed():
        pytest.skip("machine: no dockerd to compare with")
    with dockerd() as engine:
        real = Daemon(engine.root, engine.process, engine.root / "docker.sock")
        import_image(real, rootfs_tar)
        yield real


@pytest.fixture(scope="module")
def engines(daemon: Daemon, oracle: Daemon, rootfs_tar: Path) -> Engines:
    """Both engines with the same image."""
    import_image(daemon, rootfs_tar)
    return Engines(daemon, oracle)


def import_image(engine: Daemon, tar: Path) -> None:
    """Give an engine the image that the comparisons use."""
    for name in _NAMES:
        done = engine.docker("import", "--change", 'CMD ["sh"]', str(tar), name)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def wire(daemon: Daemon) -> Iterator[Wire]:
    """A connection to the shared daemon, spoken by hand."""
    with closing(Wire(daemon)) as connected:
        yield connected
