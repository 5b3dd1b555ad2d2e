"""Finding an engine: nothing is started or imported before it is needed, and failures say why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pydock_lab import paths
from pydock_lab.client import daemon_start
from pydock_lab.client.connection import Connection
from pydock_lab.errors import Unavailable


def test_a_connection_costs_nothing_until_used(tmp_path: Path) -> None:
    code = (
        "import sys; from pydock_lab.client.connection import Connection; from pydock_lab.client.cli import main;"
        "Connection(); heavy = {'docker', 'requests', 'pydock_lab.daemon'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = {"PYDOCK_EXEC_ROOT": str(tmp_path / "exec"), "PYDOCK_DATA_ROOT": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "exec").exists()


def test_nobody_behind_docker_host(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/none.sock"
    with pytest.raises(Unavailable) as caught:
        _ = Connection(environment={"DOCKER_HOST": address}).client
    assert caught.value.message == f"Cannot connect to the Docker daemon at {address}. Is the docker daemon running?"


def test_a_daemon_that_fails_says_so_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "data"
    blocked.mkdir()
    (blocked / "meta.db").mkdir()  # where the daemon wants its database: it can't start
    monkeypatch.setenv("PYDOCK_DATA_ROOT", str(blocked))
    monkeypatch.setenv("PYDOCK_EXEC_ROOT", str(tmp_path / "exec"))
    with pytest.raises(Unavailable) as caught:
        daemon_start.ensure_daemon()
    assert "exit status 1" in caught.value.message
    assert "database" in caught.value.message
    assert str(paths.log_path()) in str(caught.value.hint)


def test_a_command_does_without_docker_py(tmp_path: Path) -> None:
    code = (
        "import sys; from pydock_lab.client.cli import main; status = main(['ps']);"
        "heavy = {'docker', 'requests', 'http.client', 'ruamel', 'tarfile'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy or status != 1 else 0)"
    )
    environment = {"DOCKER_HOST": f"unix://{tmp_path}/none.sock", "DOCKER_CONFIG": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Is the docker daemon running?" in done.stderr
