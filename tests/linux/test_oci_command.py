"""`pydock-runtime` by itself, and in the hands of the real dockerd (containerd's shim) and the real podman (conmon)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.root

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    root = Path(tempfile.mkdtemp(prefix="pd-"))
    yield root
    mounted = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(root) in line]
    shutil.rmtree(root, ignore_errors=True)
    assert mounted == []


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

    def run(self, *arguments: str) -> Done:
        command = [str(self.command), "--root", str(self.path / "state"), *arguments]
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
def bundle(command: Path, image: Path, tmp_path: Path) -> Iterator[Bundle]:
    made = Bundle(command, tmp_path, image.with_suffix(""))
    yield made
    made.run("delete", "--force", made.id)
    assert not (tmp_path / "state" / made.id).exists()
    assert list(Path("/sys/fs/cgroup").glob(f"*/{made.id}")) == []


def test_run_has_the_programs_status_and_output(bundle: Bundle) -> None:
    bundle.script("echo out; echo err >&2; ls /proc/self/fd | wc -l 2>/dev/null; exit 5")
    done = bundle.run("run", "-b", str(bundle.path), bundle.id)
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (5, "out", "err\n")


def test_create_then_start(bundle: Bundle) -> None:
    bundle.script("echo started; sleep 100")
    pid_file = bundle.path / "pid"
    assert bundle.create("--pid-file", str(pid_file)).returncode == 0, bundle.output
    assert bundle.state()["status"] == "created"
    assert bundle.state()["pid"] == int(pid_file.read_text())
    assert bundle.output == ""
    assert "already exists" in bundle.run("create", "-b", str(bundle.path), bundle.id).stderr
    assert bundle.run("start", bundle.id).returncode == 0
    assert bundle.state()["status"] == "running"
    assert "already running" in bundle.run("start", bundle.id).stderr
    done = bundle.run("exec", "--cwd", "/bin", "-e", "A=b", bundle.id, "sh", "-c", "pwd; echo $A; exit 3")
    assert (done.returncode, done.stdout) == (3, "/bin\nb\n")
    assert bundle.run("exec", bundle.id, "nosuch").stderr.endswith('executable file not found in $PATH"\n')
    assert json.loads(bundle.run("ps", "-f", "json", bundle.id).stdout)[0] == int(pid_file.read_text())
    assert bundle.run("pause", bundle.id).returncode == 0
    assert bundle.state()["status"] == "paused"
    assert bundle.run("resume", bundle.id).returncode == 0
    assert "not stopped: running" in bundle.run("delete", bundle.id).stderr
    assert bundle.run("kill", bundle.id, "KILL").returncode == 0
    bundle.wait("stopped")
    assert "container not running" in bundle.run("kill", bundle.id).stderr
    assert bundle.output == "started\n"
    assert bundle.run("delete", bundle.id).returncode == 0
    assert "container does not exist" in bundle.run("state", bundle.id).stderr


def test_hooks_run_in_their_order_with_the_state(bundle: Bundle) -> None:
    trail = bundle.path / "trail"
    names = ("prestart", "createRuntime", "poststart", "poststop")
    hooks = {
        name: [{"path": "/bin/sh", "args": ["sh", "-c", f"(printf '{name} '; cat; echo) >> {trail}"]}] for name in names
    }
    bundle.script("true", hooks=hooks)
    assert bundle.run("run", "-b", str(bundle.path), bundle.id).returncode == 0
    lines = [line.partition(" ") for line in trail.read_text().splitlines()]
    assert [name for name, _, _ in lines] == list(names)
    states = [json.loads(text) for _, _, text in lines]
    assert [state["status"] for state in states] == ["creating", "creating", "running", "stopped"]
    assert states[0]["id"] == bundle.id and states[0]["pid"] > 0 and states[0]["bundle"] == str(bundle.path)


def test_a_failing_hook_leaves_nothing(bundle: Bundle) -> None:
    bundle.script("true", hooks={"createRuntime": [{"path": "/bin/false"}]})
    done = bundle.run("run", "-b", str(bundle.path), bundle.id)
    assert done.returncode == 1 and "createRuntime hook" in done.stderr
    assert "container does not exist" in bundle.run("state", bundle.id).stderr


def test_errors_go_to_the_log_as_containerd_reads_it(bundle: Bundle) -> None:
    log = bundle.path / "log"
    assert bundle.run("--log", str(log), "--log-format", "json", "state", "nobody").returncode == 1
    assert json.loads(log.read_text())["msg"] == "container does not exist"


def test_features_and_version(bundle: Bundle) -> None:
    assert "createRuntime" in json.loads(bundle.run("features").stdout)["hooks"]
    assert bundle.run("--version").stdout.startswith("pydock-runtime version")


@pytest.fixture(scope="module")
def dockerd(scratch: Path, command: Path, image: Path) -> Iterator[str]:
    """The address of a real dockerd that knows the runtime."""
    if not shutil.which("dockerd"):
        pytest.skip("machine: no dockerd")
    root = scratch / "dockerd"
    root.mkdir()
    host = f"unix://{root}/s"
    flags = ["--data-root", f"{root}/d", "--exec-root", f"{root}/x", "-p", f"{root}/pid", "--storage-driver", "vfs"]
    flags += ["--add-runtime", f"pydock={command}"]
    # Its bridge and rules are in a network namespace of its own.
    alone = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    with (root / "log").open("w") as log:
        process = subprocess.Popen([*alone, "dockerd", "-H", host, *flags], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while docker(host, "version").returncode:
            assert process.poll() is None and time.monotonic() < deadline, (root / "log").read_text()
            time.sleep(0.1)
        assert docker(host, "import", str(image), "box").returncode == 0
        yield host
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def docker(host: str, *arguments: str) -> Done:
    command = ["docker", "-H", host, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def in_terminal(command: str) -> str:
    done = subprocess.run(["script", "-qc", command, "/dev/null"], capture_output=True, text=True, timeout=60)
    return done.stdout


def test_dockerd_runs(dockerd: str) -> None:
    run = ("run", "--rm", "--runtime", "pydock", "--network", "none")
    done = docker(dockerd, *run, "--init", "-u", "1000:1000", "-w", "/a/b", "box", "sh", "-c", "id -u; pwd; exit 7")
    assert (done.returncode, done.stdout) == (7, "1000\n/a/b\n")
    done = docker(dockerd, *run, "box", "nosuch")
    assert done.returncode == 127 and '"nosuch": executable file not found in $PATH' in done.stderr
    facts = docker(dockerd, *run, "box", "grep", "-E", "CapEff|Seccomp:", "/proc/self/status").stdout
    assert facts == "CapEff:\t00000000a80425fb\nSeccomp:\t2\n"
    shown = in_terminal(f"docker -H {dockerd} {' '.join(run)} -it box readlink /proc/self/fd/0")
    assert "/dev/pts/0" in shown


def test_dockerd_puts_it_on_its_bridge(dockerd: str) -> None:
    server = ("run", "-d", "--name", "web", "--runtime", "pydock", "-p", "8080:80")
    assert docker(dockerd, *server, "box", "sh", "-c", "busybox nc -l -p 80 -e echo hello").returncode == 0
    try:
        address = docker(dockerd, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web").stdout.strip()
        # The server may not listen yet.
        ask = f"for i in 1 2 3 4 5 6 7 8 9; do busybox nc {address} 80 </dev/null && exit; sleep 0.2; done"
        done = docker(dockerd, "run", "--rm", "--runtime", "pydock", "box", "sh", "-c", ask)
        assert done.stdout == "hello\n", done.stderr
    finally:
        docker(dockerd, "rm", "-f", "web")


def test_dockerd_hears_of_out_of_memory(dockerd: str) -> None:
    limited = ("run", "--name", "greedy", "--runtime", "pydock", "--network", "none", "-m", "16m", "box")
    script = "x=12345678; while :; do x=$x$x; done"
    try:
        assert docker(dockerd, *limited, "sh", "-c", script).returncode == 137
        assert docker(dockerd, "inspect", "-f", "{{.State.OOMKilled}}", "greedy").stdout == "true\n"
    finally:
        docker(dockerd, "rm", "-f", "greedy")


def test_dockerd_execs_pauses_and_stops(dockerd: str) -> None:
    run = ("run", "-d", "--name", "one", "--runtime", "pydock", "--network", "none", "-m", "32m")
    assert docker(dockerd, *run, "box", "sleep", "100").returncode == 0
    try:
        done = docker(dockerd, "exec", "one", "sh", "-c", "echo inside; exit 4")
        assert (done.returncode, done.stdout) == (4, "inside\n")
        assert "/dev/pts" in in_terminal(f"docker -H {dockerd} exec -it one readlink /proc/self/fd/0")
        assert docker(dockerd, "pause", "one").returncode == 0
        assert docker(dockerd, "unpause", "one").returncode == 0
        assert docker(dockerd, "update", "--pids-limit", "50", "one").returncode == 0
        assert "sleep 100" in docker(dockerd, "top", "one").stdout
        assert docker(dockerd, "stats", "--no-stream", "--format", "{{.MemUsage}}", "one").stdout.endswith("/ 32MiB\n")
        assert docker(dockerd, "stop", "-t", "0", "one").returncode == 0
        assert docker(dockerd, "inspect", "-f", "{{.State.ExitCode}}", "one").stdout == "137\n"
    finally:
        docker(dockerd, "rm", "-f", "one")


def test_podman_runs(scratch: Path, command: Path, image: Path) -> None:
    if not shutil.which("podman"):
        pytest.skip("machine: no podman")
    root = scratch / "podman"
    podman = ["podman", "--root", f"{root}/root", "--runroot", f"{root}/run", "--tmpdir", f"{root}/tmp"]
    podman += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def run(*arguments: str) -> Done:
        words = [*podman, "--runtime", str(command), *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    assert run("import", str(image), "box").returncode == 0
    done = run("run", "--rm", "--network", "none", "box", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (done.returncode, done.stdout, done.stderr) == (5, "out\n", "err\n")
    assert run("run", "--rm", "--network", "none", "box", "nosuch").returncode == 127
    assert run("run", "-d", "--name", "one", "--network", "none", "box", "sleep", "100").returncode == 0
    try:
        done = run("exec", "one", "sh", "-c", "echo inside; exit 3")
        assert (done.returncode, done.stdout) == (3, "inside\n")
        assert run("stop", "-t", "0", "one").returncode == 0
    finally:
        run("rm", "-f", "one")
