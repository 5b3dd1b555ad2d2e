"""The hello-world program runs on the machine it is written for."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from pydock_lab.daemon.catalog.elf import read_elf
from pydock_lab.daemon.catalog.parts.greeting import GREETING, program


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="machine: no program for it")
@pytest.mark.parametrize("text", [GREETING, "", "ü" * 10_000])
def test_it_prints_and_ends_well(tmp_path: Path, text: str) -> None:
    hello = tmp_path / "hello"
    hello.write_bytes(program(text.encode(), platform.machine()))
    hello.chmod(0o755)
    done = subprocess.run([hello], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == text
    assert done.stderr == b""


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
def test_it_is_a_static_program(tmp_path: Path, machine: str, number: int) -> None:
    hello = tmp_path / "hello"
    hello.write_bytes(program(b"x", machine))
    elf = read_elf(hello)
    assert elf is not None
    assert elf.machine == (2, number)
    assert not elf.dynamic and not elf.interpreter
