"""Fixtures shared by every suite: real daemons on scratch roots, the docker CLI, a look for leaks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import hypothesis
import pytest

from pydock_lab.daemon.network.links import link_tag

ON_CI = bool(os.environ.get("CI"))

# A busy machine is no failure; what nobody changed gives the same answer twice on CI, and new examples elsewhere.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=ON_CI)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def ledgers_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What notebooks of the tests have made is noted apart from what the user's own have made."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYDOCK_DATA_ROOT", str(tmp_path_factory.mktemp("user")))
        yield


@pytest.fixture(autouse=True)
def environment_of_tests() -> Iterator[None]:
    """No test finds what another has left in the environment: a `docker` in front of PATH, say.

    `monkeypatch` alone doesn't see to it: a test that changes PATH with it while `%load_ext` has put `docker` there
    gets that PATH back when the extension is unloaded already.
    """
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@dataclass
class Daemon:
    """A real `pydock daemon` on roots of its own, and the clients that talk to it."""

    root: Path
    process: subprocess.Popen[bytes]
    socket: Path

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def data_root(self) -> Path:
        return self.root / "data"

    @property
    def exec_root(self) -> Path:
        return self.root / "exec"

    @property
    def log(self) -> str:
        return (self.root / "log").read_text()

    def docker(
        self, *arguments: str, stdin: str | None = None, timeout: float = 120, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the real docker CLI against this daemon; output is decoded, never raises on a status."""
        return subprocess.run(
            ["docker", *arguments],
            env=os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0", "DOCKER_CLI_HINTS": "false"},
            input="" if stdin is None else stdin,
            text=True,
            capture_output=True,
            timeout=timeout,
            cwd=cwd,
        )

    def client(self) -> docker.DockerClient:
        """A docker-py client; close it."""
        return docker.DockerClient(base_url=self.host, version="auto", timeout=60)

    def kill(self) -> None:
        """`kill -9`, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, as a user's Ctrl-C or systemd would; return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def start_daemon(root: Path, *flags: str, environment: dict[str, str] | None = None) -> Daemon:
    """Start a daemon whose roots lie under `root`; return when it answers."""
    address = root / "docker.sock"
    command = [sys.executable, "-m", "pydock_lab.daemon", "-H", f"unix://{address}"]
    command += ["--data-root", str(root / "data"), "--exec-root", str(root / "exec"), *flags]
    with (root / "log").open("ab") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log, env=os.environ | (environment or {}))
    daemon = Daemon(root, process, address)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the daemon ended with {process.returncode}:\n{daemon.log}")
        if answers(address):
            return daemon
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"the daemon did not answer:\n{daemon.log}")


def answers(path: Path) -> bool:
    """Ask by hand: docker-py leaves its socket open when nobody serves it yet."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        return b" 200 " in client.recv(64)
    return False


@dataclass(frozen=True)
class Footprint:
    """What of one daemon is on the machine, found by its roots and by the tag that its names carry."""

    mounts: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()

    @classmethod
    def of(cls, root: Path) -> Footprint:
        tag = link_tag(root / "data")
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines()
        return cls(
            mounts=tuple(line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line),
            links=tuple(name for _, name in socket.if_nameindex() if name.startswith(f"pd{tag}")),
            tables=tuple(line for line in tables if tag in line),
            cgroups=tuple(_cgroups({path.name for path in (root / "data" / "containers").glob("*")})),
            processes=tuple(_processes(str(root))),
        )


def _cgroups(container_ids: set[str]) -> Iterator[str]:
    for directory, names, _ in os.walk("/sys/fs/cgroup"):
        yield from (f"{directory}/{name}" for name in names if name in container_ids)


def _processes(text: str) -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in command and entry.parent.name != str(os.getpid()):
                yield command


@contextlib.contextmanager
def scratch_daemon(*flags: str) -> Iterator[Daemon]:
    """A daemon for one test; when it has stopped nothing of it may be left on the machine."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    daemon = start_daemon(root, *flags)
    try:
        yield daemon
        assert daemon.stop() == 0, daemon.log
        assert Footprint.of(root) == Footprint()
    finally:
        if daemon.process.poll() is None:
            daemon.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """The daemon that the tests of a file share: what one file leaves in it can't be met by another."""
    with scratch_daemon() as running:
        yield running


@pytest.fixture
def own_daemon() -> Iterator[Callable[..., Daemon]]:
    """Start daemons of one's own: `own_daemon("--live-restore")`."""
    with contextlib.ExitStack() as stack:
        yield lambda *flags: stack.enter_context(scratch_daemon(*flags))


@pytest.fixture(scope="module")
def busybox(daemon: Daemon) -> str:
    """The reference of a busybox image (the catalogue's stand-in) in the shared daemon."""
    done = daemon.docker("pull", "busybox")
    assert done.returncode == 0, done.stderr
    return "busybox"


@pytest.fixture
def client(daemon: Daemon) -> Iterator[docker.DockerClient]:
    """A docker-py client of the shared daemon."""
    with contextlib.closing(daemon.client()) as connected:
        yield connected


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a cache of its own, and Ctrl-C: a shell makes what it starts in the background ignore that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["PYDOCK_CACHE_ROOT"] = cache = tempfile.mkdtemp(prefix="pd-cache-")
    config.add_cleanup(lambda: shutil.rmtree(cache, ignore_errors=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On CI a skip is a failure, unless the machine truly can't: those reasons start with `machine:`."""
    if not ON_CI:
        return
    skipped = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    hidden = [reason for reason in skipped if "machine:" not in reason]
    if hidden:
        terminalreporter.write_line(f"{len(hidden)} skips on CI, each a failure:", red=True)
        for reason in hidden:
            terminalreporter.write_line(f"  {reason}")
        terminalreporter._session.exitstatus = pytest.ExitCode.TESTS_FAILED  # type: ignore[attr-defined]
