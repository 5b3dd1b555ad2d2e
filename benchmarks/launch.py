"""The runtime's launch beside `runc run`, and what an idle container costs.

    python benchmarks/launch.py [--rounds 30] [--idle 100]

Each round starts `true` on the same busybox root file system with both, in
turns: `runc run` of a bare bundle without a network, and our launch with an
overlay, all namespaces, cgroups, seccomp and (second column) a veth pair on a
bridge. Needs root, runc and a static busybox.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.runtime.request import Attachment, LaunchRequest, Log, OverlayRoot
from pydock_lab.daemon.trace import Trace


def make_rootfs(root: Path) -> Path:
    """Make a busybox root file system."""
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", root / "bin" / "busybox")
    for name in ("sh", "true", "sleep"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def runc(bundle: Path, rootfs: Path) -> Callable[[], None]:
    """Return a function that runs `true` once through runc."""
    bundle.mkdir()
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["true"]
    config["root"] = {"path": str(rootfs), "readonly": True}
    (bundle / "config.json").write_text(json.dumps(config))

    def run() -> None:
        command = ["runc", "run", "-b", str(bundle), f"bench-{secrets.token_hex(6)}"]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)

    return run


class Bench:
    """A runtime on scratch roots with a bridge of its own."""

    def __init__(self, scratch: Path, rootfs: Path) -> None:
        self.scratch, self.rootfs = scratch, rootfs
        self.runtime = Runtime(scratch / "x", Trace())
        self.bridge = f"pdb{secrets.token_hex(3)}"
        self.host = 1

    def request(self, args: list[str], *, bridge: bool) -> LaunchRequest:
        """Describe one container."""
        id = secrets.token_hex(32)
        layers = self.scratch / id[:12]
        for name in ("upper", "work"):
            (layers / name).mkdir(parents=True)
        self.host += 1
        octets = f"{self.host // 250}.{self.host % 250 + 2}"
        attachments = [
            Attachment(self.bridge, f"v{id[:10]}", "eth0", "", f"10.214.{octets}/16", "10.214.0.1"),
        ]
        return LaunchRequest(
            id,
            str(self.scratch / "x" / id),
            oci.default_config(args, hostname=id[:12], cgroups_path=f"/pydock-bench/{id}"),
            OverlayRoot([str(self.rootfs)], str(layers / "upper"), str(layers / "work")),
            attachments=attachments if bridge else [],
            log=Log(path=str(layers / "log")),
        )

    async def run(self, *, bridge: bool) -> tuple[float, float, float]:
        """Run `true`; return milliseconds to exec, to the end, and within the plan's operations."""
        request = self.request(["true"], bridge=bridge)
        started = time.perf_counter()
        launched = await self.runtime.launch(request)
        executed = time.perf_counter()
        await self.runtime.wait(request.id)
        ended = time.perf_counter()
        await self.runtime.delete(request.id)
        steps = sum(step.duration_ns for step in launched.steps) / 1e6
        return (executed - started) * 1e3, (ended - started) * 1e3, steps

    def keeper_kib(self) -> int:
        """Return the keeper's proportional set size."""
        keeper = self.runtime._keeper
        assert keeper is not None
        for line in Path(f"/proc/{keeper.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        return 0


def add_bridge(name: str) -> None:
    """Make a bridge with the gateway's address."""
    for command in (f"link add {name} type bridge", f"addr add 10.214.0.1/16 dev {name}", f"link set {name} up"):
        subprocess.run(["ip", *command.split()], check=True)


async def measure(rounds: int, idle: int) -> None:
    """Print the table."""
    scratch = Path(tempfile.mkdtemp(prefix="pd-"))
    rootfs = make_rootfs(scratch / "rootfs")
    run_runc = runc(scratch / "bundle", rootfs) if shutil.which("runc") else None
    bench = Bench(scratch, rootfs)
    await asyncio.to_thread(add_bridge, bench.bridge)
    times: dict[str, list[float]] = {"runc": [], "exec": [], "ours": [], "steps": [], "bridge": [], "bridge steps": []}
    try:
        await bench.runtime.start()
        await bench.run(bridge=True)
        for _ in range(rounds):
            if run_runc:
                started = time.perf_counter()
                await asyncio.to_thread(run_runc)
                times["runc"].append((time.perf_counter() - started) * 1e3)
            executed, ended, steps = await bench.run(bridge=False)
            times["exec"].append(executed)
            times["ours"].append(ended)
            times["steps"].append(steps)
            _, ended, steps = await bench.run(bridge=True)
            times["bridge"].append(ended)
            times["bridge steps"].append(steps)
        medians = {name: statistics.median(values) for name, values in times.items() if values}
        for name, label in (
            ("runc", "runc run, no network, no overlay"),
            ("ours", "our launch to exit, no network"),
            ("exec", "  of which until exec"),
            ("steps", "  of which operations of the plan"),
            ("bridge", "our launch to exit, veth on a bridge"),
            ("bridge steps", "  of which operations of the plan"),
        ):
            if name in medians:
                ratio = f"  1/{medians['runc'] / medians[name]:.1f} of runc" if "runc" in medians else ""
                print(f"{label:45} {medians[name]:8.1f} ms{ratio}")
        await measure_idle(bench, idle)
    finally:
        await bench.runtime.close(stop_keeper=True)
        await asyncio.to_thread(subprocess.run, ["ip", "link", "del", bench.bridge], check=True)
        shutil.rmtree(scratch)


async def measure_idle(bench: Bench, count: int) -> None:
    """Print what the keeper weighs, alone and with idle containers."""
    before = bench.keeper_kib()
    requests = [bench.request(["sleep", "1000"], bridge=False) for _ in range(count)]
    durations = []
    for request in requests:
        started = time.perf_counter()
        await bench.runtime.launch(request)
        durations.append((time.perf_counter() - started) * 1e3)
    after = bench.keeper_kib()
    print(f"{'the keeper alone':45} {before:8} KiB PSS")
    print(f"{f'each of {count} idle containers, in the keeper':45} {(after - before) / max(count, 1):8.1f} KiB PSS")
    tenth = max(count // 10, 1)
    first, last = statistics.median(durations[:tenth]), statistics.median(durations[-tenth:])
    print(f"{'first tenth, last tenth of them to exec':45} {first:8.1f} ms, {last:.1f} ms")
    for request in requests:
        await bench.runtime.signal(request.id, signal.SIGKILL)
    for request in requests:
        await bench.runtime.wait(request.id)
        await bench.runtime.delete(request.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--idle", type=int, default=100)
    options = parser.parse_args()
    if os.geteuid():
        raise SystemExit("needs root")
    asyncio.run(measure(options.rounds, options.idle))


if __name__ == "__main__":
    main()
