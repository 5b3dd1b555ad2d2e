"""`docker cp` in all its shapes, on our engine and on Docker's: what arrives where, and what is refused."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import docker.errors
import pytest

from tests.api.conftest import Engines
from tests.api.oracle import Said, normal
from tests.conftest import Daemon

pytestmark = [pytest.mark.root, pytest.mark.oracle]

# `HOST` is a directory with file, directory/inner and links to both; `box` a container with the same in /made.
SESSIONS = {
    "file to file": "cp HOST/file box:/tmp/new; exec box cat /tmp/new",
    "file over file": "cp HOST/file box:/made/file; exec box cat /made/file",
    "file into directory": "cp HOST/file box:/tmp; exec box ls /tmp",
    "file into directory with a slash": "cp HOST/file box:/tmp/; exec box ls /tmp",
    "file to what is not there, with a slash": "cp HOST/file box:/tmp/none/",
    "file below what is not there": "cp HOST/file box:/none/new",
    "directory to what is not there": "cp HOST/directory box:/tmp/new; exec box ls /tmp/new",
    "directory into directory": "cp HOST/directory box:/tmp; exec box ls /tmp/directory",
    "content of a directory": "cp HOST/directory/. box:/tmp; exec box ls /tmp",
    "content of a directory to what is not there": "cp HOST/directory/. box:/tmp/new; exec box ls /tmp/new",
    "directory over file": "cp HOST/directory box:/made/file",
    "link itself": "cp HOST/to-file box:/tmp/new; exec box ls -l /tmp/new",
    "what a link points to": "cp -L HOST/to-file box:/tmp/new; exec box cat /tmp/new",
    "through a link in the container": "cp HOST/file box:/made/to-directory/new; exec box cat /made/directory/new",
    "onto a link in the container": "cp HOST/file box:/made/to-file; exec box ls -l /made; exec box cat /made/file",
    "into a link to a directory": "cp HOST/file box:/made/to-directory; exec box ls /made/directory",
    "owner is root": "cp HOST/file box:/tmp/new; exec box ls -ln /tmp/new",
    "owner is kept": "cp -a HOST/file box:/tmp/new; exec box ls -ln /tmp/new",
    "file out": "cp box:/made/file HOST/out; LIST",
    "file out into directory": "cp box:/made/file HOST/directory; LIST",
    "directory out": "cp box:/made HOST/out; LIST",
    "content of a directory out": "cp box:/made/. HOST/directory; LIST",
    "link out": "cp box:/made/to-file HOST/out; LIST",
    "what a link out points to": "cp -L box:/made/to-file HOST/out; LIST",
    "link into /proc out": "cp box:/etc/mtab HOST/out; LIST",
    "into a bind before the start": "create --name cold -v HOST/made:/b busybox; cp HOST/file cold:/b/; LIST; rm cold",
    "nothing out": "cp box:/none HOST/out",
    "to a directory that is not there": "cp box:/made/file HOST/none/",
    "relative paths": "cp HOST/file box:tmp/new; exec box cat /tmp/new; cp box:made/file HOST/out; LIST",
    "a link that leads outside": "exec box ln -s ../../../../etc /made/up; cp box:/made/up/passwd HOST/out; LIST",
    "between containers": "cp box:/made/file box:/tmp/x",
    "from stdin": "cp - box:/tmp",
    "read-only volume": "cp HOST/file box:/ro/new",
    "volume": "cp HOST/file box:/vol/new; exec box cat /vol/new",
    "stopped": "stop -t 0 box; cp HOST/file box:/tmp/new; cp box:/tmp/new HOST/out; LIST; start box; exec box ls /tmp",
    "what has changed": "exec box rm -r /made/directory; exec box touch /bin/new; diff box",
}
_MADE = (
    "mkdir -p /tmp /made/directory; echo made > /made/file; echo inner > /made/directory/inner; cd /made; "
    "ln -s file to-file; ln -s directory to-directory; chown 5:6 file; sleep 1d"
)


@pytest.mark.parametrize("script", SESSIONS.values(), ids=SESSIONS.keys())
def test_the_same_files_arrive(engines: Engines, script: str, tmp_path: Path) -> None:
    directories = tmp_path / "ours", tmp_path / "theirs"
    with ThreadPoolExecutor(2) as both:
        ours, theirs = both.map(files_session, engines, (script, script), directories)
    assert ours == theirs


def files_session(engine: Daemon, script: str, host: Path) -> list[Said]:
    """Run a session in a fresh container beside fresh files; return what each command said."""
    (host / "directory").mkdir(parents=True)
    (host / "file").write_text("from the host\n")
    (host / "directory" / "inner").write_text("inner\n")
    (host / "to-file").symlink_to("file")
    (host / "to-directory").symlink_to("directory")
    os.chown(host / "file", 1234, 5678)
    mounts = ["-v", f"{host}:/ro:ro", "-v", "/vol"]
    run = engine.docker("run", "-d", "--name", "box", "--net", "none", *mounts, "busybox", "sh", "-c", _MADE)
    assert run.returncode == 0, run.stderr
    ready = engine.docker("exec", "box", "sh", "-c", "until grep -q 'sleep' /proc/1/cmdline; do :; done")
    assert ready.returncode == 0, ready.stderr
    try:
        return [said(engine, words.strip(), host) for words in script.split(";")]
    finally:
        engine.docker("rm", "-vf", "box")


def said(engine: Daemon, words: str, host: Path) -> Said:
    if words == "LIST":
        found = sorted(f"{path.relative_to(host)} {'link' if path.is_symlink() else ''}" for path in host.rglob("*"))
        return words, 0, "\n".join(found), ""
    done = engine.docker(*shlex.split(words.replace("HOST", str(host))))
    # dockerd's order of changes means nothing; times are the run's; at times the CLI tells that its pipe was closed.
    output, errors = (
        re.sub(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d|time=.*\n", "", normal(text)).replace(str(host), "HOST")
        for text in (done.stdout, done.stderr)
    )
    return words, done.returncode, "\n".join(sorted(output.splitlines())), errors


def test_links_that_go_round_in_a_circle_are_told(engines: Engines) -> None:
    said = []
    for engine in engines:
        with contextlib.closing(engine.client()) as client:
            box = client.containers.create("busybox", network_mode="none")
            try:
                box.put_archive("/", links_of(a="b", b="a"))
                said.append([
                    *(circle(box.get_archive, path) for path in ("/a", "/a/x", "/b/")),
                    circle(box.put_archive, "/a", links_of(x="y")),
                ])  # fmt: skip
            finally:
                box.remove(force=True)
    assert said[0] == said[1]


def circle(attempt: Callable[..., object], *arguments: object) -> tuple[int, str, str]:
    """Return the status, Docker's words and the last of the path; what leads there is the engine's own."""
    with pytest.raises(docker.errors.APIError) as refused:
        attempt(*arguments)
    words, _, path = refused.value.explanation.partition(" in /")
    return refused.value.status_code, words, path.rpartition("merged/")[2]


def links_of(**targets: str) -> bytes:
    """Return a tar of symbolic links."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, target in targets.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return buffer.getvalue()
