"""`%lab reset`, `checkpoint` and `restore` against a real engine: all that a notebook made, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from IPython.core.interactiveshell import InteractiveShell

from pydock_lab.client.docker_command import BIN
from pydock_lab.notebook.failure import CommandFailed
from tests.conftest import Daemon
from tests.notebooks.conftest import lesson_shell

pytestmark = pytest.mark.root


@pytest.fixture
def ledgers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ledgers lie."""
    monkeypatch.setenv("PYDOCK_DATA_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # where builds find their context
    return tmp_path / "lessons"


@pytest.fixture
def shell(daemon: Daemon, busybox: str, ledgers: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.setenv("JPY_SESSION_NAME", "/lessons/one.ipynb")
    with lesson_shell(daemon, monkeypatch) as shell:
        yield shell
        shell.run_line_magic("lab", "reset")


def run(shell: InteractiveShell, *cells: str) -> None:
    for cell in cells:
        result = shell.run_cell(cell)
        assert result.success, (cell, result.error_in_exec)


def pydock(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pydock_lab.client.cli", *words], text=True, capture_output=True, timeout=60
    )


def state(daemon: Daemon) -> dict[str, list[str]]:
    """All that the engine holds, by name and id."""
    commands = {
        "containers": ("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"),
        "volumes": ("volume", "ls", "-q"),
        "networks": ("network", "ls", "--no-trunc", "-q"),
        "images": ("images", "-a", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
    }
    return {name: sorted(daemon.docker(*command).stdout.splitlines()) for name, command in commands.items()}


def test_reset_removes_what_the_notebook_made_and_nothing_else(
    shell: InteractiveShell, daemon: Daemon, ledgers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.docker("tag", "busybox", "users:app")
    daemon.docker("volume", "create", "users-data")
    daemon.docker("run", "-d", "--name", "users-own", "-v", "users-data:/data", "busybox", "sleep", "60")
    before = state(daemon)
    run(
        shell,
        "%docker network create lesson-net",
        "%docker run -d --name lesson-web --network lesson-net -v lesson-data:/data -v /nameless busybox sleep 60",
        "%docker run -d --name lesson-user -v users-data:/there busybox sleep 60",
        "%docker rm -f lesson-user",  # its volume is the user's
        "%%dockerfile -t lesson-app:1\nFROM busybox\nVOLUME /stuff\nRUN echo 1 > /one",
        "%%dockerfile\nFROM busybox\nRUN echo untagged > /two",
        "%%dockerfile -t users:app\nFROM busybox\nRUN echo mine > /three",  # takes a tag of the user's
        "%docker run --name lesson-done lesson-app:1 true",
        "%docker rm lesson-done",  # leaves the volume without a name
        "%docker commit lesson-web lesson-made:2",
        "%docker tag lesson-app:1 lesson-again:3",
    )
    daemon.docker("run", "-d", "--name", "users-later", "busybox", "sleep", "60")  # while the lesson goes on
    capsys.readouterr()
    run(shell, "%lab reset")
    printed = capsys.readouterr().out
    assert "1 container (lesson-web), 1 network (lesson-net)" in printed
    assert "lesson-app:1" in printed and "users:app" in printed
    assert daemon.docker("rm", "-f", "users-later").returncode == 0
    assert state(daemon) == before
    assert not ledgers.exists()
    run(shell, "%lab reset")
    assert "nothing of this lesson" in capsys.readouterr().out
    daemon.docker("rm", "-f", "users-own")
    daemon.docker("volume", "rm", "users-data")
    daemon.docker("rmi", "users:app")


def test_a_restarted_kernel_goes_on_and_another_notebook_keeps_its_own(
    shell: InteractiveShell, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(shell, "%docker run -d --name lesson-one busybox sleep 60")
    monkeypatch.setenv("JPY_SESSION_NAME", "/lessons/two.ipynb")
    with lesson_shell(daemon, monkeypatch) as other:
        run(other, "%docker run -d --name lesson-two busybox sleep 60")
    monkeypatch.setenv("JPY_SESSION_NAME", "/lessons/one.ipynb")
    with lesson_shell(daemon, monkeypatch) as restarted:
        run(restarted, "%lab reset")
    names = daemon.docker("ps", "--format", "{{.Names}}").stdout.split()
    assert "lesson-two" in names and "lesson-one" not in names
    assert "/lessons/two.ipynb" in pydock("lesson", "ls").stdout
    assert pydock("lesson", "reset", "two").stdout == "Removed 1 container (lesson-two).\n"
    assert pydock("lesson", "reset", "two").stderr.startswith("Error: no such lesson: two\n")
    assert "lesson-two" not in daemon.docker("ps", "--format", "{{.Names}}").stdout


def test_what_somebody_else_uses_stays_and_is_said(
    shell: InteractiveShell, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%docker volume create lesson-shared")
    daemon.docker("run", "-d", "--name", "users-own", "-v", "lesson-shared:/data", "busybox", "sleep", "60")
    capsys.readouterr()
    run(shell, "%lab reset")
    assert "Kept volume lesson-shared: " in (printed := capsys.readouterr().out) and "in use" in printed
    daemon.docker("rm", "-f", "users-own")
    run(shell, "%lab reset")
    assert "1 volume (lesson-shared)" in capsys.readouterr().out


def test_a_checkpoint_brings_files_volumes_networks_and_tags_back(
    shell: InteractiveShell, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(daemon)
    run(
        shell,
        "%docker network create lesson-net",
        "%%dockerfile -t lesson-app:1\nFROM busybox\nVOLUME /stuff\nRUN echo 1 > /one",
        "%docker run -d --name lesson-db --network lesson-net --network-alias db -e A=1 -p 127.0.0.1::80 "
        "-v lesson-data:/data lesson-app:1 sh -c 'trap exit TERM; sleep 60 & wait'",
        "%docker exec lesson-db sh -c 'echo kept > /data/file; echo own > /own; rm /one; echo x > /stuff/x'",
        "%docker create --name lesson-still busybox true",
        "%lab checkpoint",
        "%docker exec lesson-db sh -c 'rm /data/file /own'",
        "%docker rm -f lesson-db lesson-still",
        "%docker volume rm lesson-data",
        "%docker network rm lesson-net",
        "%%dockerfile -t lesson-app:1\nFROM busybox\nRUN echo 2 > /one",
        "%docker run -d --name lesson-late busybox sleep 60",
        "%lab restore",
    )
    assert "Restored checkpoint: 2 containers, 1 network, 2 volumes, 1 image." in capsys.readouterr().out
    look = daemon.docker("exec", "lesson-db", "sh", "-c", "cat /data/file /own /stuff/x; ls /one; echo $A; hostname")
    assert look.stdout.split()[:3] == ["kept", "own", "x"]
    assert "/one: No such file" in look.stderr
    assert look.stdout.split()[3] == "1"
    names = daemon.docker("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout.splitlines()
    assert sorted(name for name in names if name.startswith("lesson-")) == ["lesson-db running", "lesson-still created"]
    finds = daemon.docker("run", "--rm", "--network", "lesson-net", "busybox", "nslookup", "db")
    assert finds.returncode == 0, finds.stdout
    assert daemon.docker("run", "--rm", "lesson-app:1", "cat", "/one").stdout == "1\n"
    run(shell, "%lab restore")  # as often as one likes
    error = shell.run_cell("%lab restore nothing").error_in_exec
    assert isinstance(error, CommandFailed)
    assert error.message == "Error: no such checkpoint: nothing"
    assert "checkpoint" in (error.hint or "")
    run(shell, "%lab reset")
    assert state(daemon) == before


def take_real_cli_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on `docker` is ours, as on a machine where Docker is not installed."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "bash"):
        (programs / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{programs}")


def test_reset_takes_what_shell_cells_loads_and_the_registry_made(
    shell: InteractiveShell, daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.docker("tag", "busybox", "users:kept")
    take_real_cli_away(tmp_path, monkeypatch)
    before = state(daemon)
    run(
        shell,
        "%docker tag busybox lesson-saved:1",
        f"%docker save -o {tmp_path}/saved.tar lesson-saved:1 users:kept",
        "%lab reset",  # with its ledger, which knew the tag
        f"%docker load -i {tmp_path}/saved.tar",
        "!docker run --name lesson-shell -v lesson-shell:/data busybox true",
        "%%bash\ndocker network create lesson-net\nprintf 'FROM busybox\\nRUN echo > /x' | docker build -q -",
        "registry = %registry up --port 0",
        "at = registry.names[0]",
    )
    made = state(daemon)
    assert {kind: len(made[kind]) - len(before[kind]) for kind in before} == {
        "containers": 1,
        "volumes": 1,
        "networks": 1,
        "images": 2,
    }
    urlopen(f"http://{shell.user_ns['at']}/v2/").close()
    run(shell, "%lab reset")
    assert state(daemon) == before
    with pytest.raises(URLError):
        urlopen(f"http://{shell.user_ns['at']}/v2/")
    daemon.docker("rmi", "users:kept")


def test_reset_leaves_a_registry_that_was_up(
    shell: InteractiveShell, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYDOCK_LESSON")  # as on the user's terminal
    assert pydock("-H", daemon.host, "registry", "up").returncode == 0
    try:
        run(shell, "registry = %registry up", "%lab reset")
        urlopen(f"http://{shell.user_ns['registry'].names[0]}/v2/").close()
    finally:
        pydock("-H", daemon.host, "registry", "down")
