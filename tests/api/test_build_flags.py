"""`pydock build` with what Docker's classic protocol has no words for."""

import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tests.api.test_cli import pydock
from tests.conftest import Daemon

pytestmark = pytest.mark.usefixtures("busybox")


def built(daemon: Daemon, *words: str, cwd: Path | None = None, status: int = 0) -> str:
    done = pydock(daemon, "build", *words, cwd=cwd)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def context(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    context.mkdir()
    (context / "a.txt").write_text("A\n")
    return context


def test_secrets_are_shown_and_never_kept(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hidden-word")
    (context / "Dockerfile").write_text(
        "FROM busybox\nRUN --mount=type=secret,id=key,mode=0440 stat -c %a /run/secrets/key; wc -c < /run/secrets/key\n"
        "RUN --mount=type=secret,id=key,env=KEY [ ${#KEY} = 11 ]\n"
        "RUN --mount=type=secret,id=key,target=/k,uid=7 stat -c %u /k\nCOPY . /all\n"
    )
    output = built(daemon, "--no-cache", "--secret", f"id=key,src={tmp_path / 'key'}", "-t", "secretive", str(context))
    assert "440\n11\n" in output
    assert "\n7\n" in output
    assert sorted(daemon.docker("run", "--rm", "secretive", "ls", "-A", "/all").stdout.split()) == [
        "Dockerfile",
        "a.txt",
    ]
    found = subprocess.run(["grep", "-rl", "hidden-word", daemon.data_root, daemon.exec_root], capture_output=True)
    assert found.stdout == b""


def test_named_contexts(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "deep" / "l.txt").write_text("L\n")
    (context / "Dockerfile").write_text(
        "FROM base\nCOPY --from=lib deep/l.txt /\nRUN --mount=from=lib,target=/m cat /m/deep/l.txt\nCOPY a.txt /\n"
    )
    flags = ("--build-context", f"lib={tmp_path / 'lib'}", "--build-context", "base=docker-image://busybox")
    assert "\nL\n" in built(daemon, *flags, "-t", "named", str(context))
    assert daemon.docker("run", "--rm", "named", "cat", "/l.txt", "/a.txt").stdout == "L\nA\n"
    assert built(daemon, *flags, str(context)).count("Using cache") == 3
    (tmp_path / "lib" / "deep" / "l.txt").write_text("changed\n")
    assert built(daemon, *flags, str(context)).count("Using cache") == 0


def test_an_ssh_agent_is_passed_on(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        'FROM busybox\nRUN --mount=type=ssh [ -S $SSH_AUTH_SOCK ] && echo here\nRUN [ -z "$SSH_AUTH_SOCK" ]\n'
    )
    path = tmp_path / "agent"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        assert "\nhere\n" in built(daemon, "--no-cache", "--ssh", f"default={path}", str(context))
    assert "no agent's socket" in built(daemon, "--ssh", f"default={context / 'a.txt'}", str(context), status=1)


def test_outputs(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS make\nRUN mkdir -p /out/sub && echo made > /out/sub/f && ln -s sub/f /out/link\n"
        "FROM scratch\nCOPY --from=make /out /\nCOPY a.txt /sub/\n"
    )
    built(daemon, "-o", str(tmp_path / "local"), str(context))
    assert (tmp_path / "local" / "link").read_text() == "made\n"
    assert sorted(str(p.relative_to(tmp_path / "local")) for p in (tmp_path / "local").rglob("*")) == [
        "link", "sub", "sub/a.txt", "sub/f",
    ]  # fmt: skip
    built(daemon, "--output", f"type=tar,dest={tmp_path / 'r.tar'}", str(context))
    with tarfile.open(tmp_path / "r.tar") as tar:
        assert tar.getnames() == ["link", "sub", "sub/a.txt", "sub/f"]
    built(daemon, "--output", f"type=oci,dest={tmp_path / 'oci.tar'}", str(context))
    with tarfile.open(tmp_path / "oci.tar") as tar:
        assert {"oci-layout", "index.json"} <= set(tar.getnames())
    assert 'exporter "x" could not be found' in built(daemon, "--output", "type=x,dest=y", str(context), status=1)


def test_cache_goes_out_and_comes_in(daemon: Daemon, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS one\nRUN echo $RANDOM > /one\nFROM busybox\nRUN echo $RANDOM > /two\nCOPY --from=one /one /\n"
    )
    flags = ("--cache-from", f"type=local,src={tmp_path / 'cache'}")
    built(daemon, *flags, "--cache-to", f"type=local,dest={tmp_path / 'cache'}", "-t", "cached", str(context))
    daemon.docker("rmi", "cached")
    daemon.docker("builder", "prune", "-f")
    assert built(daemon, *flags, str(context)).count("Using cache") == 3


def test_no_cache_filter(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox AS one\nRUN echo filtered > /f\nFROM busybox AS two\nRUN echo other > /o\nCOPY --from=one /f /\n"
    )
    built(daemon, str(context))
    assert built(daemon, "--no-cache-filter", "one", str(context)).count("Using cache") == 2


def test_the_output_says_why(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nARG WHO\nCOPY a.txt /\nRUN echo $WHO for the reasons\n")
    assert "Not cached" not in built(daemon, "--no-cache", "--build-arg", "WHO=me", str(context))
    again = built(daemon, "--build-arg", "WHO=you", str(context))
    assert " ---> Cached: from step 3 of build " in again
    assert " ---> Not cached: ARG WHO changed; WHO: me → you\n ---> Running in " in again
    (context / "a.txt").write_text("B\n")
    assert " ---> Not cached: file a.txt changed; a.txt: sha256:" in built(
        daemon, "--build-arg", "WHO=you", str(context)
    )
    plain = daemon.docker("build", "--build-arg", "WHO=them", str(context))
    assert "ached: " not in plain.stdout, "Docker's own client gets Docker's own words"


def test_check(daemon: Daemon, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox AS Base\nENV API_KEY=x\nCMD run me\n")
    before = json.loads(pydock(daemon, "version", "--format", "json").stdout)
    output = built(daemon, "--check", str(context), status=1)
    assert output.startswith("Check complete, 3 warnings have been found!\n\nWARNING: StageNameCasing - https://")
    assert "Dockerfile:3\n--------------------\n   1 |     FROM busybox AS Base\n   2 |     ENV API_KEY=x\n" in output
    assert "   3 | >>> CMD run me\n--------------------" in output
    assert before
    (context / "Dockerfile").write_text('FROM busybox\nCMD ["run"]\n')
    assert built(daemon, "--check", str(context)) == "Check complete, no warnings found.\n"


def test_another_engine_is_not_sent_secrets(context: Path, tmp_path: Path) -> None:
    """A server that answers as Docker does: nothing but its ping is asked."""
    asked: list[bytes] = []
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        server.settimeout(20)

        def serve() -> None:
            try:
                while True:
                    connection, _ = server.accept()
                    with connection:
                        asked.append(connection.recv(4096).split(b" HTTP")[0])
                        connection.sendall(
                            b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20\r\nContent-Length: 2\r\n\r\nOK"
                        )
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        (context / "Dockerfile").write_text("FROM busybox\n")
        done = subprocess.run(
            [sys.executable, "-m", "pydock_lab.client.cli", "build", "--secret", "id=a,src=a.txt", "."],
            cwd=context,
            env=os.environ | {"DOCKER_HOST": f"unix://{path}"},
            capture_output=True,
            text=True,
        )
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert "the --secret option requires BuildKit" in done.stderr
    assert all(b"build" not in line for line in asked)
