"""The engines that are compared: a pydock daemon and, where it is installed, the distribution's dockerd.

Each runs on a scratch root of its own, beside whatever else runs on the machine,
and is spoken to by the same docker CLI over its own socket. The dockerd gets a
bridge of its own and leaves iptables alone: at its start it would rebuild the
chains of a dockerd that is there already, and a container without published
ports needs none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import docker

from pydock_lab.daemon.catalog.host import Host
from pydock_lab.daemon.catalog.parts.busybox import add_busybox
from pydock_lab.daemon.catalog.tree import RootTree

IMAGE = "bench/busybox"
_ALONE = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")


class CommandError(Exception):
    """A command of a scenario ended with another status than 0."""


@dataclass
class Engine:
    """One running engine.

    Attributes:
        name: `pydock` or `docker`.
        root: Scratch directory of everything it keeps; its processes name it in their command lines.
        process: The daemon.
        started_s: Seconds from exec to the first answer to `/_ping`.
    """

    name: str
    root: Path
    process: subprocess.Popen[bytes]
    started_s: float

    @property
    def host(self) -> str:
        """Its address as DOCKER_HOST has it."""
        return f"unix://{self.root}/docker.sock"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which the docker CLI and docker-py speak to it."""
        return os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"}

    @cached_property
    def client(self) -> docker.DockerClient:
        """A docker-py client, connected once."""
        return docker.DockerClient(base_url=self.host, version="auto", timeout=120)

    def docker(self, *words: str, stdin: Path | None = None) -> str:
        """Run the docker CLI against this engine; return its stdout."""
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(stdin.open("rb")) if stdin else subprocess.DEVNULL
            done = subprocess.run(
                ["docker", *words], env=self.environment, stdin=source, capture_output=True, check=False, timeout=300
            )
        if done.returncode != 0:
            raise CommandError(f"docker {' '.join(words)}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode(errors="replace")

    def stop(self) -> None:
        """End it as a user would."""
        if "client" in vars(self):
            self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def pydock(*flags: str, own_network: bool = False) -> Iterator[Engine]:
    """Run a pydock daemon of this checkout, with `own_network` in a network namespace of its own."""
    with _scratch("pd-bench-") as root:
        command = [sys.executable, "-m", "pydock_lab.daemon", *_roots(root), *flags]
        yield from _run("pydock", root, [*(_ALONE if own_network else ()), *command])


@contextlib.contextmanager
def dockerd(*, own_network: bool = False) -> Iterator[Engine]:
    """Run the distribution's dockerd on a bridge of its own, or in a network namespace of its own."""
    if own_network:
        with _scratch("pd-bench-") as root:
            yield from _run("docker", root, [*_ALONE, "dockerd", *_roots(root), "-p", str(root / "pid")])
        return
    bridge = f"bench{secrets.token_hex(3)}"
    network = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(250)}.1/24"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", network, "dev", bridge], check=True)
        subprocess.run(["ip", "link", "set", bridge, "up"], check=True)
        with _scratch("pd-bench-") as root:
            command = ["dockerd", *_roots(root), "-p", str(root / "pid"), "--bridge", bridge]
            yield from _run("docker", root, [*command, "--iptables=false", "--ip6tables=false"])
    finally:
        subprocess.run(["ip", "link", "del", bridge], check=False)


def dockerd_is_installed() -> bool:
    """Whether a dockerd can be run here."""
    return os.geteuid() == 0 and shutil.which("dockerd") is not None and shutil.which("ip") is not None


def _roots(root: Path) -> list[str]:
    socket_path, data, execution = root / "docker.sock", root / "data", root / "exec"
    return ["-H", f"unix://{socket_path}", "--data-root", str(data), "--exec-root", str(execution)]


@contextlib.contextmanager
def _scratch(prefix: str) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run(name: str, root: Path, command: list[str]) -> Iterator[Engine]:
    started = time.perf_counter()
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    engine = Engine(name, root, process, 0.0)
    try:
        while not _answers(root / "docker.sock"):
            if process.poll() is not None or time.perf_counter() - started > 60:
                raise CommandError(f"{name} did not start: {(root / 'log').read_text()[-2000:]}")
            time.sleep(0.002)
        engine.started_s = time.perf_counter() - started
        yield engine
    finally:
        engine.stop()


def _answers(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        return b" 200 " in client.recv(64)
    return False


def write_rootfs_tar(path: Path) -> None:
    """Write a root file system with BusyBox in it; the same bytes become an image in every engine."""
    tree = RootTree()
    for name, mode in {"/tmp": 0o1777, "/proc": 0o755, "/sys": 0o755, "/dev": 0o755, "/etc": 0o755}.items():
        tree.directory(name, mode)
    add_busybox(tree, Host(scratch=path.parent))
    tree.file("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n")
    with path.open("wb") as tar:
        tree.write_tar(tar)
