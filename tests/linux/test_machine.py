"""The virtual machine beside the containers: a real kernel boots, tells of itself, and never stays behind."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pydock_lab.errors import Unavailable
from pydock_lab.notebook.machine import PROGRAM, Machine

needs_program = pytest.mark.skipif(
    shutil.which(PROGRAM) is None, reason="machine: no user-mode Linux for this processor"
)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, a zombie that init has not reaped included."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


@needs_program
def test_a_machine_has_a_kernel_and_processes_of_its_own() -> None:
    machine = Machine()
    try:
        guest = machine.boot()
        assert machine.is_running
        assert guest.kernel.startswith("Linux ") and platform.release() not in guest.kernel
        assert guest.processes[0] == (1, "init")
        assert guest.process_count > len(guest.processes)
        assert guest.boot_ns > 0 and machine.resident_bytes > 10e6
        assert machine.boot() is guest
    finally:
        machine.stop()
    assert not machine.is_running
    assert is_gone(guest.pid)


@needs_program
def test_it_ends_with_the_kernel_of_the_notebook(tmp_path: Path) -> None:
    code = (
        "import os; from pydock_lab.notebook.machine import Machine; machine = Machine();"
        "print(machine.boot().pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (is_gone(pid) and not list(tmp_path.iterdir())):
        time.sleep(0.05)
    assert is_gone(pid)
    assert not list(tmp_path.iterdir())


def test_where_none_is_installed_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="user-mode Linux is not installed") as refused:
        Machine().boot()
    assert "apt-get install user-mode-linux" in str(refused.value.hint)
