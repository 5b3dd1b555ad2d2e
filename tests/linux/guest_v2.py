"""What runs inside the user-mode Linux guest of test_cgroup_v2.py: a daemon, and questions to it over its socket.

    python guest_v2.py CHECKOUT SCRATCH ROOTFS.tar

Prints one `FACT {json}` a line. Standard library only: every import is slow in there.
"""

from __future__ import annotations

import glob
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

CHECKOUT, SCRATCH, ROOTFS = sys.argv[1:]
SOCKET = f"{SCRATCH}/docker.sock"


class Connection(http.client.HTTPConnection):
    """HTTP on the daemon's socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(SOCKET)


def ask(method: str, path: str, body: Any = None, data: bytes = b"") -> Any:
    connection = Connection("d")
    data = json.dumps(body).encode() if body is not None else data
    connection.request(method, path, data, {"Content-Type": "application/json" if body is not None else "x/tar"})
    answer = connection.getresponse().read()
    connection.close()
    lines = answer.splitlines()
    return json.loads(lines[-1]) if lines and lines[-1][:1] in (b"{", b"[") else answer


def run(name: str, script: str, **limits: Any) -> None:
    host = {"NetworkMode": "none", **limits}
    body = {"Image": "box", "Cmd": ["sh", "-c", script], "HostConfig": host}
    fact("warnings", ask("POST", f"/containers/create?name={name}", body).get("Warnings"))
    if failure := ask("POST", f"/containers/{name}/start"):
        fact("failure", failure)


def output(name: str) -> str:
    """What it printed until its end."""
    ask("POST", f"/containers/{name}/wait")
    framed, text = ask("GET", f"/containers/{name}/logs?stdout=1&stderr=1"), b""
    while framed:
        length = int.from_bytes(framed[4:8], "big")
        text, framed = text + framed[8 : 8 + length], framed[8 + length :]
    return text.decode()


def state(name: str) -> dict[str, Any]:
    return dict(ask("GET", f"/containers/{name}/json")["State"])


def cgroup_of(name: str, file: str) -> str:
    with open(f"/sys/fs/cgroup/pydock/{ask('GET', f'/containers/{name}/json')['Id']}/{file}") as control:
        return control.read().strip()


def fact(name: str, value: Any) -> None:
    print("FACT", json.dumps([name, value]), flush=True)


def main() -> None:
    roots = ["--data-root", f"{SCRATCH}/data", "--exec-root", f"{SCRATCH}/exec", "--bridge", "none"]
    command = [sys.executable, "-B", "-m", "pydock_lab.daemon", "-H", f"unix://{SOCKET}", *roots]
    with open(f"{SCRATCH}/log", "wb") as log:
        daemon = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
    while not os.path.exists(SOCKET) and daemon.poll() is None:
        time.sleep(0.05)
    fact("version", ask("GET", "/info")["CgroupVersion"])
    with open(ROOTFS, "rb") as tar:
        ask("POST", "/images/create?fromSrc=-&repo=box", data=tar.read())

    files = "memory.max memory.swap.max memory.low cpu.max cpu.weight pids.max"
    script = (
        f"cat /proc/self/cgroup; cd /sys/fs/cgroup; for f in {files}; do cat $f; done; mkdir x 2>&1; "
        "mknod /tmp/m c 1 1; cat /tmp/m 2>&1; (for i in 1 2 3 4 5 6 7 8; do sleep 1 & done) 2>&1 | tail -n 1"
    )
    mib = 1 << 20
    run("limited", script, Memory=32 * mib, MemorySwap=48 * mib, MemoryReservation=16 * mib, NanoCpus=500_000_000,
        CpuShares=512, PidsLimit=6)  # fmt: skip
    fact("inside", output("limited").splitlines())

    run("greedy", "tail /dev/zero", Memory=16 * mib, MemorySwap=16 * mib)
    ask("POST", "/containers/greedy/wait")
    fact("greedy", [state("greedy")[key] for key in ("OOMKilled", "ExitCode")])

    run("busy", "while :; do sleep 1; done", Memory=64 * mib)
    stats = ask("GET", "/containers/busy/stats?stream=0&one-shot=1")
    fact("memory keys", sorted(stats["memory_stats"]))
    fact("limit", stats["memory_stats"]["limit"])
    fact("used", [stats["memory_stats"]["usage"] > 0, stats["cpu_stats"]["cpu_usage"]["total_usage"] > 0])
    fact("pids", stats["pids_stats"])
    ask("POST", "/containers/busy/update", {"Memory": 48 * mib, "MemorySwap": 48 * mib, "NanoCpus": 300_000_000,
                                            "PidsLimit": 7})  # fmt: skip
    names = ("memory.max", "memory.swap.max", "cpu.max", "pids.max")
    fact("updated", [cgroup_of("busy", name) for name in names])
    ask("POST", "/containers/busy/pause")
    fact("paused", [state("busy")["Status"], cgroup_of("busy", "cgroup.freeze")])
    ask("POST", "/containers/busy/unpause")
    exec_id = ask("POST", "/containers/busy/exec", {"Cmd": ["cat", "/proc/self/cgroup"], "AttachStdout": True})["Id"]
    fact("exec", ask("POST", f"/exec/{exec_id}/start", {})[8:].decode())
    ask("POST", "/containers/busy/pause")
    ask("POST", "/containers/busy/kill")
    ask("POST", "/containers/busy/wait")
    fact("killed", state("busy")["ExitCode"])
    daemon.terminate()
    daemon.wait()
    fact("left", glob.glob("/sys/fs/cgroup/pydock*"))


main()
