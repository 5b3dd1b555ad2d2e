"""Builds by a plain user's daemon: the layers come out as root's would."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tests.conftest import Daemon
from tests.linux.conftest import RootlessDaemon

pytestmark = [pytest.mark.userns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")]

DOCKERFILE = """FROM scratch AS tree
COPY f /a/b/f
FROM busybox
RUN mkdir /made && echo x > /made/x && rm -rf /tmp && echo ran
COPY --from=tree /a /a
RUN rm -r /a/b && mkdir /a/b && touch /a/b/new
CMD ["sh", "-c", "ls /a/b; stat -c %u:%g /made/x /a; test -e /tmp || echo gone"]
"""


def test_build_and_run(rootless_daemon: RootlessDaemon, tmp_path: Path) -> None:
    pulled = rootless_daemon.docker("pull", "busybox")
    assert pulled.returncode == 0, pulled.stderr
    context = tmp_path / "context"
    context.mkdir()
    (context / "f").write_text("F")
    (context / "Dockerfile").write_text(DOCKERFILE)
    done = rootless_daemon.docker("build", "-t", "rootless-built", str(context))
    assert done.returncode == 0, done.stdout + done.stderr
    again = rootless_daemon.docker("build", str(context))
    assert again.stdout.count("Using cache") == 5
    ran = rootless_daemon.docker("run", "--rm", "--network", "none", "rootless-built")
    assert ran.stdout == "new\n0:0\n0:0\ngone\n", ran.stderr


MOUNTS = """FROM busybox AS two
RUN mkdir /m && echo lower > /m/a
RUN echo upper > /m/b
FROM busybox
RUN --mount=type=cache,target=/root/.cache echo kept > /root/.cache/f && cat /root/.cache/f
RUN --mount=target=/ctx cat /ctx/f && ! touch /ctx/z
RUN --mount=from=two,source=/m,target=/m,rw cat /m/a /m/b && touch /m/c
RUN --mount=type=tmpfs,target=/t touch /t/x
RUN ! ls /m /ctx /t
"""


def test_mounts(rootless_daemon: RootlessDaemon, tmp_path: Path) -> None:
    assert rootless_daemon.docker("pull", "busybox").returncode == 0
    (tmp_path / "f").write_text("F\n")
    (tmp_path / "Dockerfile").write_text(MOUNTS)
    done = rootless_daemon.docker("build", "--network", "none", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nkept\n" in done.stdout
    assert "\nF\n" in done.stdout
    assert "\nlower\nupper\n" in done.stdout


RECIPE = """FROM busybox
RUN mkdir -p /made/d && echo x > /made/x && ln -s x /made/l && chmod 750 /made/d && mv /made/x /made/y
COPY --chown=7:8 f /a/
COPY --chown=9 d /d
COPY f /own
ADD theirs.tar /t/
COPY --chmod=0600 f /mode
"""


EPOCH = ("SOURCE_DATE_EPOCH=1700000000", "--network", "none")


def test_layers_are_the_same_as_roots(rootless_daemon: RootlessDaemon, daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("X")
    (tmp_path / "f").write_text("F")
    entry = tarfile.TarInfo("inside")
    entry.uid, entry.gid, entry.size = 1234, 4321, 1
    with tarfile.open(tmp_path / "theirs.tar", "w") as archive:
        archive.addfile(entry, io.BytesIO(b"I"))
    (tmp_path / "Dockerfile").write_text(RECIPE)
    assert daemon.docker("pull", "busybox").returncode == 0
    assert daemon.docker("save", "-o", str(tmp_path / "base.tar"), "busybox").returncode == 0
    assert rootless_daemon.docker("load", "-i", str(tmp_path / "base.tar")).returncode == 0
    (tmp_path / "base.tar").unlink()
    ids = []
    for engine in (rootless_daemon, daemon):
        done = engine.docker("build", "-q", "--build-arg", *EPOCH, str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        ids.append(engine.docker("image", "inspect", "-f", "{{.Id}} {{.RootFS.Layers}}", done.stdout.strip()).stdout)
    assert ids[0] == ids[1]
