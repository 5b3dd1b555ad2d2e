"""`pydock-runtime` by itself, and in the hands of the real dockerd (containerd's shim) and the real podman (conmon)."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.linux.conftest import Bundle, Done

pytestmark = pytest.mark.root


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
    done = bundle.run("exec", bundle.id, "nosuch")
    assert done.returncode == 255 and done.stderr.endswith('executable file not found in $PATH"\n')
    done = bundle.run("exec", "--cwd", "/bin", "-e", "A=b", bundle.id, "sh", "-c", "pwd; echo $A; exit 3")
    assert (done.returncode, done.stdout) == (3, "/bin\nb\n")
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


def test_a_process_without_a_terminal_has_pipes(bundle: Bundle) -> None:
    """Not the caller's stdio: they are its user's, and carry more than a pipe holds, both ways at once."""
    bundle.config["process"]["user"] = {"uid": 7, "gid": 7}
    bundle.script("echo again > /dev/stderr; exec cat")
    command = [str(bundle.command), "--root", str(bundle.path / "state"), "run", "-b", str(bundle.path), bundle.id]
    text = "0123456789abcde\n" * 20_000
    with (bundle.path / "errors").open("w+") as errors:
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=60)
        assert (done.returncode, done.stdout == text) == (0, True)
        assert Path(errors.name).read_text() == "again\n"
        assert os.fstat(errors.fileno()).st_uid == 0


def test_limits_and_what_is_used(bundle: Bundle) -> None:
    bundle.script("exec sleep 100")
    assert bundle.create().returncode == 0, bundle.output
    assert bundle.run("start", bundle.id).returncode == 0
    done = bundle.run("update", "--memory", "32m", "--pids-limit", "9", "--cpu-share", "512", bundle.id)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (line,) = bundle.run("events", "--stats", bundle.id).stdout.splitlines()
    event = json.loads(line)
    assert (event["type"], event["id"]) == ("stats", bundle.id)
    assert event["data"]["memory"]["usage"]["limit"] == 32 * 1024 * 1024
    assert event["data"]["pids"] == {"current": 1, "limit": 9}
    assert event["data"]["cpu"]["usage"]["total"] > 0
    for flags, words in (
        (("--memory", "much"), "invalid value for memory: invalid size: 'much'"),
        (("--cpu-quota", "x"), 'invalid value for cpu-quota: strconv.ParseInt: parsing \\"x\\": invalid syntax'),
    ):
        done = bundle.run("update", *flags, bundle.id)
        assert done.returncode == 1 and words in done.stderr
    heading, row = bundle.run("list").stdout.splitlines()
    assert heading.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[0] == bundle.id and row.split()[-1] == "root"
    following = subprocess.Popen(
        [bundle.command, "--root", bundle.path / "state", "events", "--interval", "10ms", bundle.id],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert following.stdout and json.loads(following.stdout.readline())["type"] == "stats"
    assert bundle.run("kill", bundle.id, "KILL").returncode == 0
    following.communicate(timeout=60)
    assert following.returncode == 0


REFUSED = [
    ["exec", "ID", "nosuch"],
    ["exec", "ID", "/bin"],
    ["exec", "--cwd", "/no/where", "ID", "id"],
    ["exec", "--cwd", "bin", "ID", "id"],
    ["exec", "-u", "somebody", "ID", "id"],
    ["exec", "--env", "NAME", "ID", "id"],
    ["exec", "-d", "-t", "ID", "id"],
    ["exec", "-p", "/no/process", "ID"],
    ["exec", "ID"],
    ["start", "ID"],
    ["resume", "ID"],
    ["delete", "ID"],
    ["kill", "ID", "SIGNONE"],
    ["create", "-b", "BUNDLE", "ID"],
    ["create", "-b", "/no/bundle", "other"],
    ["create", "-b", "BUNDLE", "a/b"],
    ["run", "-b", "BUNDLE", "--console-socket", "/nowhere", "other"],
    ["spec", "-b", "BUNDLE"],
    ["update", "--memory", "much", "ID"],
    ["pause", "other"],
]


def test_refusals_are_runcs(bundle: Bundle, runc: str) -> None:
    """The same status, and the same words but for the name of who says them."""
    bundle.script("exec sleep 100")
    replaced = {"ID": bundle.id, "BUNDLE": str(bundle.path)}
    answers: dict[str, list[tuple[int, str]]] = {}
    for runtime in ("", runc):
        detached = [runtime or str(bundle.command), "--root", str(bundle.path / f"state{runtime}"), "run", "-d"]
        with (bundle.path / "out").open("w") as out:
            started = subprocess.run([*detached, "-b", bundle.path, bundle.id], stdin=out, stdout=out, stderr=out)
        assert started.returncode == 0, bundle.output
        answers[runtime] = []
        for arguments in REFUSED:
            done = bundle.run(*(replaced.get(word, word) for word in arguments), by=runtime)
            said = re.search('msg="(.*)"', done.stderr.splitlines()[-1])
            words = re.sub("^runc (run|create) failed: ", "", said[1] if said else done.stderr)
            answers[runtime].append((done.returncode, words))
        assert bundle.run("delete", "-f", bundle.id, by=runtime).returncode == 0
    assert answers[""] == answers[runc]


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
    features = json.loads(bundle.run("features").stdout)
    assert "createRuntime" in features["hooks"] and "user" in features["linux"]["namespaces"]
    assert bundle.run("--version").stdout.startswith("pydock-runtime version")
    assert bundle.run("nosuch").returncode == 3


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
    # Its tmpfs begin with what the image has there.
    script = "readlink /bin/sh; busybox stat -c '%a %s' /bin/busybox; echo > /bin/new && echo written; echo > /new"
    done = run("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/bin", "box", "sh", "-c", script)
    assert done.stdout.split() == ["busybox", "755", str(os.stat(shutil.which("busybox") or "").st_size), "written"]
    assert "Read-only file system" in done.stderr
    assert run("run", "-d", "--name", "one", "--network", "none", "box", "sleep", "100").returncode == 0
    try:
        done = run("exec", "one", "sh", "-c", "echo inside; exit 3")
        assert (done.returncode, done.stdout) == (3, "inside\n")
        assert run("stop", "-t", "0", "one").returncode == 0
    finally:
        run("rm", "-f", "one")
