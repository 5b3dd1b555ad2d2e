"""Fixtures of the suites that need real namespaces: a plain user who may read the engine and nothing else."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

import pydock_lab
from tests.conftest import answers
from tests.linux import runtime

# Fixtures of the runtime's tests.
rootfs, machine = runtime.rootfs, runtime.machine

SCRATCH_ID = 64000 + os.getpid() % 1000
"""An id that nobody has: no name, no password entry, no subordinate ids, no home. Each test process has one of its
own: at the end of a test, every process of that id is looked for."""

ENGINE_NEEDS = ("aiohttp", "h2", "msgspec", "pyroute2", "platformdirs", "isal", "zstandard")


Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class PlainUser:
    """A user without any privilege, and a directory of his own.

    Attributes:
        home: Writable by him alone; short, as unix sockets live below it.
        python: An interpreter that he may run.
        path: PYTHONPATH with the engine and what it needs.
    """

    uid: int
    home: Path
    python: str
    path: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "PYTHONPATH": self.path,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, user=self.uid, group=self.uid, extra_groups=[], env=self.environment, cwd=self.home, **options
        )  # type: ignore[call-overload, no-any-return]

    def run(self, command: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, user=self.uid, group=self.uid, extra_groups=[], env=self.environment, cwd=self.home,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip


@dataclass(frozen=True)
class GrantedUser(PlainUser):
    """A plain user with a name and with subordinate ids, in a mount namespace where /etc says so."""

    def start(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        tables = {
            "passwd": f"pdlearner:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n",
            "group": f"pdlearner:x:{self.uid}:\n",
            "subuid": "pdlearner:300000:65536\n",
            "subgid": "pdlearner:300000:65536\n",
        }
        script = []
        for name, line in tables.items():
            original, ours = Path("/etc", name), self.home / name
            ours.write_text((original.read_text() if original.exists() else "") + line)
            script.append(f"mount --bind {ours} {original}")
        script.append(f'exec setpriv --reuid {self.uid} --regid {self.uid} --clear-groups "$@"')
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", "\n".join(script), "sh", *command],
            env=self.environment, cwd=self.home, **options,
        )  # type: ignore[call-overload, no-any-return]  # fmt: skip


@dataclass
class RootlessDaemon:
    """A `pydock daemon` that a plain user started; its pid is the broker's."""

    user: PlainUser
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"unix://{self.user.home}/docker.sock"

    @property
    def log(self) -> str:
        return (self.user.home / "log").read_text()

    def docker(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],
            env=os.environ | {"DOCKER_HOST": self.host, "DOCKER_CLI_HINTS": "false", "DOCKER_BUILDKIT": "0"},
            input="", text=True, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.host, version="auto", timeout=60)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


@pytest.fixture(scope="session")
def plain_python() -> tuple[str, str]:
    """An interpreter and a PYTHONPATH that every user may read."""
    return readable_python(ENGINE_NEEDS)


def readable_python(needs: Sequence[str]) -> tuple[str, str]:
    """Return an interpreter and a PYTHONPATH that every user may read, with the engine and some distributions."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    checkout, site = Path(pydock_lab.__file__).parent.parent, Path(docker.__file__).parent.parent
    if _readable_by_all(checkout / "pydock_lab") and _readable_by_all(site):
        return _interpreter(), f"{checkout}:{site}"
    target = Path(tempfile.mkdtemp(prefix="pd-lib-"))
    target.chmod(0o755)
    shutil.copytree(checkout / "pydock_lab", target / "pydock_lab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in _closure(needs):
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                destination = target / file
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), destination)
    return _interpreter(), str(target)


@pytest.fixture
def plain_user(plain_python: tuple[str, str]) -> Iterator[PlainUser]:
    """A plain user with a fresh directory; nothing of his may still run at the end."""
    with scratch_user(PlainUser, plain_python) as user:
        yield user


@pytest.fixture
def granted_user(plain_python: tuple[str, str]) -> Iterator[PlainUser]:
    """The same with subordinate ids."""
    if not all(shutil.which(program) for program in ("newuidmap", "setpriv")) or not Path("/etc/subuid").exists():
        pytest.skip("machine: no newuidmap")
    with scratch_user(GrantedUser, plain_python) as user:
        yield user


@contextlib.contextmanager
def scratch_user(kind: Callable[..., PlainUser], python: tuple[str, str]) -> Iterator[PlainUser]:
    """A user with a fresh directory; nothing of his may still run at the end."""
    home = Path(tempfile.mkdtemp(prefix="pd-"))
    os.chown(home, SCRATCH_ID, SCRATCH_ID)
    try:
        yield kind(SCRATCH_ID, home, *python)
        deadline = time.monotonic() + 5
        while (left := processes_of(SCRATCH_ID)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, left
    finally:
        for pid in processes_of(SCRATCH_ID):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def rootless_daemon(plain_user: PlainUser) -> Iterator[RootlessDaemon]:
    """A daemon that a plain user runs; ends clean."""
    daemon = start_rootless(plain_user)
    try:
        yield daemon
        assert daemon.stop() == 0, daemon.log
    finally:
        if daemon.process.poll() is None:
            daemon.stop()


def start_rootless(user: PlainUser, *flags: str) -> RootlessDaemon:
    """Start `pydock daemon` as a plain user; return when it answers."""
    home = user.home
    command = [user.python, "-m", "pydock_lab.daemon", "-H", f"unix://{home}/docker.sock"]
    command += ["--data-root", f"{home}/data", "--exec-root", f"{home}/exec", *flags]
    with (home / "log").open("ab") as log:
        daemon = RootlessDaemon(user, user.start(command, stdout=log, stderr=log))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if daemon.process.poll() is not None:
            raise RuntimeError(f"the daemon ended with {daemon.process.returncode}:\n{daemon.log}")
        if answers(home / "docker.sock"):
            return daemon
        time.sleep(0.02)
    daemon.process.kill()
    raise RuntimeError(f"the daemon did not answer:\n{daemon.log}")


def processes_of(uid: int) -> list[int]:
    """Pids of the living processes of a user, namespaces of his included (ids there are seen from here)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            status = (entry / "status").read_text()
            if re.search(rf"^Uid:\t{uid}\t", status, re.MULTILINE) and "\nState:\tZ" not in status:
                found.append(int(entry.name))
    return found


def _readable_by_all(path: Path) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return all(part.stat().st_mode & wanted == wanted for part in (path, *path.parents))


def _interpreter() -> str:
    """An interpreter of this version outside everybody's home."""
    wanted = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/python{wanted}", f"/usr/local/bin/python{wanted}"):
        path = Path(candidate)
        if path.exists() and _readable_by_all(path.resolve().parent):
            return candidate
    pytest.skip(f"no Python {wanted} that a plain user may run")


def _closure(names: Sequence[str]) -> set[str]:
    """Installed distributions that these need, themselves included."""
    found: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop().lower()
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            requires = importlib.metadata.requires(name) or []
            if name not in found:
                found.add(name)
                queue += [re.split(r"[^A-Za-z0-9._-]", r)[0] for r in requires if "extra ==" not in r]
    return found


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    # Who is root in a container's user namespace is somebody else here.
    root.chmod(0o755)
    yield root
    mounted = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]
    deadline = time.monotonic() + 10  # podman tidies up after a container has gone
    while (running := _processes_about(root)) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(root, ignore_errors=True)
    assert (mounted, running) == ([], [])


def _processes_about(root: Path) -> list[str]:
    """Command lines that name something below a directory."""
    lines = [_bytes(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [line.decode(errors="replace") for line in lines if str(root).encode() in line]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended
        return b""


@pytest.fixture(scope="module")
def command(scratch: Path) -> Path:
    """The command as an executable file, whatever is installed."""
    path = scratch / "pydock-runtime"
    source = str(Path(__file__).parents[2])
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {source!r})\n"
        "from pydock_lab.daemon.runtime.command.main import main\nsys.exit(main())\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def image(scratch: Path) -> Path:
    """A tar of a busybox root file system."""
    root = scratch / "image"
    (root / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin" / "busybox")
    for name in ("sh", "true", "sleep", "echo", "cat", "id", "ls", "tty", "pwd", "grep", "readlink"):
        (root / "bin" / name).symlink_to("busybox")
    subprocess.run(["tar", "-C", str(root), "-cf", str(scratch / "image.tar"), "."], check=True)
    return scratch / "image.tar"


class Bundle:
    """A bundle, and the command on a root directory of its own."""

    def __init__(self, command: Path, path: Path, rootfs: Path) -> None:
        self.rootfs = rootfs
        self.command, self.path = command, path
        self.id = f"pd-{os.getpid()}-{path.name[:20]}"
        subprocess.run([str(command), "spec", "-b", str(path)], check=True)
        self.config = json.loads((path / "config.json").read_text())
        self.config["root"] = {"path": str(rootfs), "readonly": True}
        self.config["process"]["terminal"] = False

    def script(self, script: str, **changes: Any) -> None:
        self.config["process"]["args"] = ["sh", "-c", script]
        self.config.update(changes)
        (self.path / "config.json").write_text(json.dumps(self.config))

    def run(self, *arguments: str, by: str = "") -> Done:
        """Call the command, or another runtime."""
        command = [by or str(self.command), "--root", str(self.path / f"state{by}"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    def create(self, *flags: str) -> Done:
        """Without pipes: the created process would keep them open."""
        command = [str(self.command), "--root", str(self.path / "state"), "create", "-b", str(self.path), *flags]
        with (self.path / "out").open("w") as out:
            return subprocess.run([*command, self.id], stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True)

    @property
    def output(self) -> str:
        return (self.path / "out").read_text()

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self.run("state", self.id).stdout)
        return state

    def wait(self, status: str) -> None:
        deadline = time.monotonic() + 20
        while self.state()["status"] != status:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def bundle(command: Path, image: Path, scratch: Path) -> Iterator[Bundle]:
    made = Bundle(command, Path(tempfile.mkdtemp(dir=scratch)), image.with_suffix(""))
    made.path.chmod(0o755)
    yield made
    made.run("delete", "--force", made.id)
    assert not (made.path / "state" / made.id).exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{made.id}")) == []


@pytest.fixture(scope="session")
def runc() -> str:
    """runc, of the versions whose words ours are."""
    if not shutil.which("runc"):
        pytest.skip("machine: no runc")
    if not subprocess.run(["runc", "--version"], capture_output=True, text=True).stdout.startswith("runc version 1.1."):
        pytest.skip("machine: no runc 1.1")
    return "runc"
