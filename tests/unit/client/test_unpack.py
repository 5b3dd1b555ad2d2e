"""Unpacking: what may land where, with Python's own filters and without."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from pydock_lab.client.commands import unpack as unpacking
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.unpack import unpack


@pytest.fixture(params=["filters of Python", "without"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python with its filters, where it has them, and as it was before."""
    if request.param == "without":
        monkeypatch.setattr(unpacking, "_CHECKED", {})


def packed(*members: tarfile.TarInfo) -> tarfile.TarFile:
    """Return an archive; each file says its own name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            data = member.name.encode() if member.isreg() else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    buffer.seek(0)
    return tarfile.open(fileobj=buffer)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, link, mode
    member.uid, member.gid = os.getuid(), os.getgid()
    return member


def test_files_land_below_with_the_rights_that_others_may_have(tmp_path: Path) -> None:
    with packed(entry("a/b", mode=0o4777), entry("/etc/c"), entry("out", tarfile.SYMTYPE, "/elsewhere")) as archive:
        for member in archive:
            unpack(archive, member, tmp_path)
    assert (tmp_path / "a/b").read_text() == "a/b"
    assert (tmp_path / "a/b").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "etc/c").exists()
    assert (tmp_path / "out").readlink() == Path("/elsewhere")


@pytest.mark.parametrize("name", ["../beside", "a/../../beside", "link/below"])
def test_nothing_lands_outside(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with packed(entry("link", tarfile.SYMTYPE, str(tmp_path)), entry(name)) as archive:
        link, member = archive
        unpack(archive, link, inside)
        with pytest.raises(CommandError, match="which is outside the destination"):
            unpack(archive, member, inside)
    assert os.listdir(tmp_path) == ["inside"]
