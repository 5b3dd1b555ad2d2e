"""Modes of `--chmod` beside chmod(1)."""

import subprocess
from pathlib import Path

import pytest

from pydock_lab.dockerfile.filemode import FileMode
from pydock_lab.errors import InvalidParameter

MODES = (
    "755",
    "0",
    "4711",
    "u=rwX,go=rX",
    "a+x",
    "g=u",
    "o=",
    "go-w,u+s",
    "ug=rw,o=r",
    "a=r",
    "a+X",
    "u=rwx,g=u,o=g-w",
)


@pytest.mark.parametrize("text", MODES)
def test_as_chmod(tmp_path: Path, text: str) -> None:
    for name, before, is_directory in (("file", 0o640, False), ("program", 0o750, False), ("directory", 0o711, True)):
        path = tmp_path / name
        path.mkdir() if is_directory else path.touch()
        path.chmod(before)
        subprocess.run(["chmod", text, path], check=True)
        assert FileMode.parse(text).apply(before, is_directory=is_directory) == path.stat().st_mode & 0o7777, name


@pytest.mark.parametrize("text", ["", "888", "77777", "u", "x+r", "u=rwx,", "u=q"])
def test_none(text: str) -> None:
    with pytest.raises(InvalidParameter, match="invalid chmod parameter"):
        FileMode.parse(text)
