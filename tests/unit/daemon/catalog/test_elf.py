"""ELF headers, against real files of this host and against `ldd` as the oracle."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pydock_lab.daemon.catalog.elf import read_elf
from pydock_lab.daemon.catalog.loader import Loader, read_cache


def executable() -> Path:
    return Path(sys.executable).resolve()


def test_a_program_names_its_loader_and_libraries() -> None:
    elf = read_elf(executable())
    assert elf is not None
    assert Path(elf.interpreter).is_file()
    assert any(name.startswith("libc.") for name in elf.needed)
    assert elf.dynamic


def test_a_script_is_no_elf(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    assert read_elf(script) is None


@pytest.mark.parametrize("length", [4, 16, 63, 200, 600])
def test_a_file_cut_short_is_no_elf(tmp_path: Path, length: int) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(executable().read_bytes()[:length])
    assert read_elf(cut) is None


@pytest.mark.skipif(shutil.which("ldd") is None, reason="machine: no ldd to compare with")
@pytest.mark.parametrize("program", ["sh", "tar", "python"])
def test_the_closure_is_what_ldd_says(program: str) -> None:
    file = executable() if program == "python" else Path(shutil.which(program) or "").resolve()
    said = subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout
    expected = {line.split()[0]: Path(line.split()[2]).resolve() for line in said.splitlines() if "=> /" in line}
    closure = Loader().closure([file])
    assert {name: path.resolve() for name, path in closure.libraries.items() if name in expected} == expected
    # ldd shows the loader by its path; everything else has to be in both.
    assert {name for name in closure.libraries if not name.startswith("ld-")} == set(expected)
    assert closure.missing == {}
    assert len(closure.loaders) == 1


def test_what_no_directory_holds_is_missing(tmp_path: Path) -> None:
    closure = Loader(cache=tmp_path / "none", directories=()).closure([executable()])
    assert any(name.startswith("libc.") for name in closure.missing)
    assert executable() in closure.missing.values()


def test_a_library_for_another_machine_does_not_fit() -> None:
    loader = Loader()
    elf = loader.elf(executable())
    assert elf is not None
    libc = next(name for name in elf.needed if name.startswith("libc."))
    assert loader.find(libc, elf.machine) is not None
    assert loader.find(libc, (elf.machine[0], 0xFFFF)) is None


@pytest.mark.parametrize("raw", [b"", b"not a cache at all", b"glibc-ld.so.cache1.1" + bytes(28)])
def test_a_cache_without_entries(raw: bytes) -> None:
    assert read_cache(raw) == {}


@pytest.mark.skipif(not Path("/etc/ld.so.cache").exists(), reason="machine: no ld.so.cache")
def test_the_cache_of_this_host_names_libraries_that_exist() -> None:
    cached = read_cache(Path("/etc/ld.so.cache").read_bytes())
    libc = [paths[0] for name, paths in cached.items() if name.startswith("libc.so")]
    assert libc and libc[0].is_file()
