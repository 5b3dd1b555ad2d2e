"""The `docker` that a notebook has on its PATH: which interpreter runs it, and what runs where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pydock_lab.client.docker_command import BIN, put_on_path, real_cli, take_off_path

OURS = "Cannot connect to the Docker daemon at unix:///nowhere.sock"


def docker(*path: Path, python: str = "", cwd: Path | None = None) -> tuple[int, str]:
    """`docker ps` with nothing but a PATH."""
    environment = {"PATH": ":".join(map(str, path)), **({"PYDOCK_PYTHON": python} if python else {})}
    command = ["docker", "-H", "unix:///nowhere.sock", "ps"]
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=60, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path.parent


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """A directory with a python3 that has never heard of us."""
    return program(tmp_path / "strange" / "python3", f'exec {sys.executable} -I -S "$@"')


def test_the_interpreter_of_the_kernel_comes_first(strange: Path, tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('a file of the learner')")
    assert docker(BIN, strange, python=sys.executable, cwd=tmp_path)[1].startswith(OURS)


def test_the_interpreter_is_found_where_path_alone_is_handed_on(strange: Path, tmp_path: Path) -> None:
    assert docker(BIN, Path(sys.executable).parent)[1].startswith(OURS)
    installed = tmp_path / "env" / "lib" / "python3.99" / "site-packages" / "pydock_lab" / "client" / "bin"
    installed.mkdir(parents=True)
    shutil.copy(BIN / "docker", installed)
    program(tmp_path / "env" / "bin" / "python3", f'exec {sys.executable} "$@"')
    assert docker(installed, strange)[1].startswith(OURS)
    assert docker(installed, strange, python="/deleted/bin/python")[1].startswith(OURS)


def test_without_an_interpreter_it_is_the_next_docker(strange: Path, tmp_path: Path) -> None:
    real = program(tmp_path / "real" / "docker", 'echo real "$@"')
    assert docker(BIN, strange, real) == (0, "real -H unix:///nowhere.sock ps\n")
    status, said = docker(BIN, strange)
    assert status == 127
    assert said.startswith("docker: no Python on PATH has pydock_lab")


def test_the_docker_of_another_environment_is_not_taken_for_the_real_one(tmp_path: Path) -> None:
    other = program(tmp_path / "pydock_lab" / "client" / "bin" / "docker", "echo other")
    assert docker(BIN, other, python=sys.executable)[1].startswith(OURS)
    assert real_cli(["ps"], {"PATH": f"{BIN}:{other}"}) is None


def test_what_was_put_on_path_is_taken_off() -> None:
    environment = {"PATH": "/bin:/usr/bin", "HOME": "/root"}
    put_on_path(environment, "/lesson.ipynb")
    put_on_path(environment, "/lesson.ipynb")
    assert environment["PATH"] == f"{BIN}:/bin:/usr/bin"
    take_off_path(environment)
    assert environment == {"PATH": "/bin:/usr/bin", "HOME": "/root"}
