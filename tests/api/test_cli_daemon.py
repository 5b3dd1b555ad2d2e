"""The user's daemon is started on first use, once, and shared."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Footprint

PYDOCK = [sys.executable, "-m", "pydock_lab.client.cli"]


@pytest.fixture
def home() -> Iterator[dict[str, str]]:
    """The environment of a user whose daemon does not run yet; stops it afterwards."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    yield environment | {"PYDOCK_DATA_ROOT": str(root / "data"), "PYDOCK_EXEC_ROOT": str(root / "exec")}
    for pid in daemons(root):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while daemons(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not daemons(root)
    shutil.rmtree(root)


def daemons(root: Path) -> list[int]:
    """The pids of daemons whose roots lie under a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes()
            if b"pydock_lab.daemon" in command and f"PYDOCK_DATA_ROOT={root}/".encode() in environment:
                found.append(int(entry.name))
    return found


def test_the_first_command_starts_a_daemon_that_stays(home: dict[str, str]) -> None:
    root = Path(home["PYDOCK_DATA_ROOT"]).parent
    done = subprocess.run([*PYDOCK, "ps"], env=home, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("CONTAINER ID")
    before = daemons(root)
    assert len(before) == 1
    subprocess.run([*PYDOCK, "ps"], env=home, check=True, capture_output=True)
    assert daemons(root) == before


def test_the_users_daemon_is_stopped_and_starts_again(home: dict[str, str]) -> None:
    root = Path(home["PYDOCK_DATA_ROOT"]).parent

    def pydock(*words: str) -> str:
        done = subprocess.run([*PYDOCK, *words], env=home, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert pydock("daemon", "stop") == "it did not run\n"
    pydock("volume", "create", "kept")
    assert len(daemons(root)) == 1
    assert pydock("daemon", "stop").startswith("stopped: ")
    assert daemons(root) == []
    assert Footprint.of(root) == Footprint()
    assert pydock("volume", "ls", "-q") == "kept\n"


def test_two_at_once_start_one(home: dict[str, str]) -> None:
    root = Path(home["PYDOCK_DATA_ROOT"]).parent
    both = [subprocess.Popen([*PYDOCK, "ps", "-q"], env=home, stderr=subprocess.PIPE) for _ in range(3)]
    for one in both:
        _, said = one.communicate(timeout=60)
        assert (one.returncode, said) == (0, b"")
    assert len(daemons(root)) == 1
    assert os.stat(root / "exec" / "docker.sock").st_mode & 0o777 == 0o600


def test_pydock_daemon_takes_dockerds_flags(home: dict[str, str]) -> None:
    done = subprocess.run([*PYDOCK, "daemon", "--help"], env=home, capture_output=True, text=True)
    assert done.returncode == 0
    for flag in ("--data-root", "--exec-root", "-H"):
        assert flag in done.stdout
