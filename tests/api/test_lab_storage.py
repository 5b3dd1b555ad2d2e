"""Where a container's files live, read from a real container with every kind of mount."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydock_lab.client.connection import Connection
from tests.conftest import Daemon

SCRIPT = "echo more >> /etc/group; rm /etc/passwd; echo new > /new; echo row > /data/row; sleep 60"


def test_every_place_is_told(own_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon, busybox = own_daemon(), "busybox"
    (tmp_path / "mine").write_text("hello")
    words = ["--name", "storage", "-v", "storage-data:/data", "-v", "/cache", "-v", f"{tmp_path}:/bin2:ro"]
    words += ["-v", f"{tmp_path}:/etc/network", "-v", "storage-etc:/etc/copied", "--tmpfs", "/fast", busybox]
    done = daemon.docker("run", "-d", *words, "sh", "-c", SCRIPT)
    assert done.returncode == 0, done.stderr
    try:
        found = storage(daemon)
        while not any(file["path"] == "/new" for file in found["upper"]["files"]):
            found = storage(daemon)
        kinds = {file["path"]: file["kind"] for file in found["upper"]["files"]}
        assert kinds["/new"] == "A"
        assert kinds["/etc/group"] == "C"
        assert kinds["/etc/passwd"] == "D"
        mounts = {mount["destination"]: mount for mount in found["mounts"]}
        assert mounts["/bin2"]["names"] == ["mine"] and not mounts["/bin2"]["writable"]
        assert mounts["/cache"]["anonymous"] and not mounts["/data"]["anonymous"]
        assert mounts["/fast"]["type"] == "tmpfs" and mounts["/fast"]["files"] is None
    finally:
        daemon.docker("rm", "-fv", "storage")
        daemon.docker("volume", "rm", "storage-data", "storage-etc")


def test_what_a_mount_hides_and_what_fills_a_volume(daemon: Daemon, busybox: str, tmp_path: Path) -> None:
    done = daemon.docker("create", "--name", "storage", "-v", f"{tmp_path}:/etc", "-v", "storage-bin:/bin", busybox)
    assert done.returncode == 0, done.stderr
    try:
        mounts = {mount["destination"]: mount for mount in storage(daemon)["mounts"]}
        assert "passwd" in mounts["/etc"]["image_has"] and not mounts["/etc"]["copied"]
        assert mounts["/bin"]["copied"] and mounts["/bin"]["image_has_count"] > 0
    finally:
        daemon.docker("rm", "-fv", "storage")
        daemon.docker("volume", "rm", "storage-bin")


def storage(daemon: Daemon) -> dict[str, Any]:
    connection = Connection(daemon.host)
    found: dict[str, Any] = connection.lab("containers/storage/storage")
    return found
