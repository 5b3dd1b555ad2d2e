"""`docker cp`, `export` and the archive routes, of containers that run and that do not."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from tests.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture(params=["running", "stopped"])
def box(request: pytest.FixtureRequest, client: docker.DockerClient, busybox: str) -> Iterator[Container]:
    """A container with a few files, in both states."""
    script = "mkdir -p /d/sub; echo a > /d/a; ln -s /etc /d/link; ln -s /../../../etc/passwd /d/out; sleep 600"
    container = client.containers.run(busybox, ["sh", "-c", script], name="box", detach=True)
    while container.exec_run("readlink /d/out").exit_code:
        pass
    if request.param == "stopped":
        container.kill()
    yield container
    container.remove(force=True)


def members(chunks: Iterator[bytes]) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        return {member.name.rstrip("/"): member for member in archive}


def tar_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o640
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_get_a_directory(box: Container) -> None:
    chunks, stat = box.get_archive("/d")
    found = members(chunks)
    assert set(found) == {"d", "d/a", "d/link", "d/out", "d/sub"}
    assert found["d/link"].linkname == "/etc"
    assert (stat["name"], stat["linkTarget"]) == ("d", "")


def test_links_stay_inside_the_container(box: Container) -> None:
    chunks, _ = box.get_archive("/d/link/passwd")
    assert set(members(chunks)) == {"passwd"}
    _, stat = box.get_archive("/d/out")
    assert stat["linkTarget"] == "/etc/passwd"


def test_put_and_read_back(box: Container) -> None:
    assert box.put_archive("/d/sub", tar_of(x=b"put\n"))
    chunks, _ = box.get_archive("/d/sub/x")
    found = members(chunks)
    assert (found["x"].size, found["x"].mode & 0o777) == (4, 0o640)


def test_the_root_is_copied_without_what_the_kernel_makes_up(box: Container) -> None:
    chunks, _ = box.get_archive("/")
    found = set(members(chunks))
    assert {"/d/a", "/etc/hosts", "/proc", "/sys", "/dev"} <= found
    assert not [name for name in found if name.startswith(("/proc/", "/sys/", "/dev/null"))]


def test_a_slash_behind_a_file_asks_for_a_directory(box: Container) -> None:
    with pytest.raises(docker.errors.APIError, match="lstat /d/a/: not a directory"):
        box.get_archive("/d/a/")


def test_put_a_file_in_a_full_directory_s_place(box: Container) -> None:
    assert box.put_archive("/d/sub", tar_of(x=b""))
    assert box.put_archive("/d", tar_of(sub=b"now a file"))
    chunks, _ = box.get_archive("/d/sub")
    assert members(chunks)["sub"].size == 10


@pytest.mark.parametrize(
    ("name", "kind", "link", "words"),
    [
        ("../x", tarfile.REGTYPE, "", '"../x" is outside of "/d"'),
        ("s", tarfile.SYMTYPE, "../x", 'invalid symlink "/d/s" -> "../x"'),
        ("h", tarfile.LNKTYPE, "../etc/passwd", 'invalid hardlink "/etc/passwd" -> "../etc/passwd"'),
    ],
)
def test_what_leads_out_of_the_directory_is_refused(
    client: docker.DockerClient, busybox: str, name: str, kind: bytes, link: str, words: str
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        archive.addfile(member)
    container = client.containers.create(busybox, ["true"])
    try:
        container.put_archive("/", directory_of("d"))
        with pytest.raises(docker.errors.APIError, match=re.escape(words)):
            container.put_archive("/d", buffer.getvalue())
        with pytest.raises(docker.errors.APIError, match="invalid tar header"):
            container.put_archive("/d", b"no tar" * 300)
    finally:
        container.remove()


def directory_of(name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    return buffer.getvalue()


def test_what_is_not_there(box: Container) -> None:
    with pytest.raises(docker.errors.NotFound, match="Could not find the file /no/such in container box"):
        box.get_archive("/no/such")
    with pytest.raises(docker.errors.NotFound, match="Could not find the file /no/such in container box"):
        box.put_archive("/no/such", tar_of(x=b""))


def test_cp_both_ways(daemon: Daemon, box: Container, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("contents\n")
    assert daemon.docker("cp", str(source), "box:/copied").returncode == 0
    assert daemon.docker("cp", "box:/copied/deep/file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_text() == "contents\n"


def test_export_is_the_whole_root(box: Container) -> None:
    found = members(box.export())
    assert {"bin", "etc/passwd", "d/a"} <= set(found)
    assert not any(name.startswith(".") and name != ".dockerenv" for name in found), "as Docker names them"


def test_a_read_only_root_takes_nothing(client: docker.DockerClient, busybox: str) -> None:
    container = client.containers.create(busybox, "true", read_only=True)
    with pytest.raises(docker.errors.APIError, match="container rootfs is marked read-only"):
        container.put_archive("/", tar_of(x=b""))
    container.remove()
