"""A full disk: Docker's message, nothing half-made, and an engine that goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.conftest import Daemon, Footprint, start_daemon

pytestmark = pytest.mark.root


@pytest.fixture
def cramped() -> Iterator[Daemon]:
    """A daemon whose data root has 10 MiB."""
    root = Path(tempfile.mkdtemp(prefix="pd-full-"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "pd-full", str(root)], check=True)
    try:
        daemon = start_daemon(root)
        try:
            yield daemon
        finally:
            assert daemon.stop() == 0
        assert [line for line in Footprint.of(root).mounts if "tmpfs pd-full" not in line] == []
    finally:
        subprocess.run(["umount", str(root)], check=True)
        root.rmdir()


def test_a_full_disk_is_said_and_survived(cramped: Daemon, tmp_path: Path) -> None:
    assert cramped.docker("pull", "-q", "busybox").returncode == 0
    images = cramped.docker("images", "-aq").stdout
    fill = cramped.docker("run", "--name", "filler", "busybox", "dd", "if=/dev/zero", "of=/x", "bs=1M", "count=20")
    assert fill.returncode == 1
    assert "No space left on device" in fill.stderr
    assert cramped.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "filler").stdout == "exited 1\n"

    (tmp_path / "big").write_bytes(bytes(15 << 20))
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY big /big\n")
    build = cramped.docker("build", str(tmp_path))
    assert build.returncode == 1
    assert "no space left on device" in build.stderr

    # The same disk is still full: what needs no space works, and what is removed gives space back.
    assert "filler" in cramped.docker("ps", "-a").stdout
    assert cramped.docker("rm", "filler").returncode == 0
    build = cramped.docker("build", str(tmp_path))
    assert "no space left on device" in build.stderr
    assert cramped.docker("run", "--rm", "busybox", "echo", "still here").stdout == "still here\n"
    assert cramped.docker("images", "-aq").stdout == images
    assert list((cramped.data_root / "tmp").iterdir()) == []


def room(daemon: Daemon) -> int:
    """What is free or held by the metadata, whose reserve and write-ahead log come and go; bytes."""
    held = sum(path.stat().st_size for path in daemon.data_root.glob("meta.*"))
    return shutil.disk_usage(daemon.root).free + held


def test_images_that_do_not_fit(
    cramped: Daemon, daemon: Daemon, client: docker.DockerClient, busybox: str, tmp_path: Path
) -> None:
    """Pulled, loaded or imported: refused, with nothing half-made left, and the disk as free as before."""
    (tmp_path / "big").write_bytes(os.urandom(15 << 20))
    (tmp_path / "Dockerfile").write_text(f"FROM {busybox}\nCOPY big /big\n")
    up = client.api.post(f"{client.api.base_url}/lab/registry", json={})
    name = f"{up.json()['Address']}/too/big:1"
    try:
        assert daemon.docker("build", "-q", "-t", name, str(tmp_path)).returncode == 0
        assert daemon.docker("push", name).returncode == 0
        assert daemon.docker("save", "-o", str(tmp_path / "big.tar"), name).returncode == 0
        with tarfile.open(tmp_path / "rootfs.tar", "w") as tar:
            tar.add(tmp_path / "big", "big")
        assert cramped.docker("pull", "-q", "busybox").returncode == 0
        images = cramped.docker("images", "-aq").stdout
        free = room(cramped)
        doors = (["pull", name], ["load", "-i", f"{tmp_path}/big.tar"], ["import", f"{tmp_path}/rootfs.tar", "big"])
        for words in doors:
            done = cramped.docker(*words)
            assert done.returncode == 1
            assert "no space left on device" in done.stderr
            assert cramped.docker("images", "-aq").stdout == images
            for place in ("layers/tmp", "blobs/tmp"):
                assert list((cramped.data_root / place).iterdir()) == [], words
        assert cramped.docker("run", "--rm", "busybox", "echo", "still here").stdout == "still here\n"
        # Blobs of whole layers are kept for the next try; the next prune takes them.
        assert cramped.docker("image", "prune", "-f").returncode == 0
        assert room(cramped) >= free - (1 << 20)
    finally:
        client.api.delete(f"{client.api.base_url}/lab/registry")
        client.images.remove(name)
        client.images.prune()
