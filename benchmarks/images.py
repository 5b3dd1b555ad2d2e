"""`python -m benchmarks.images`: pull, save and load of one big image, pydock beside Docker.

Both engines pull from one registry (ours), in turns, with the same layers, of text
made of random words. A peak is the daemon's memory above what it had when idle.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import engines
from benchmarks.engines import Engine
from benchmarks.measure import median

_NAME = "bench/layers:1"
_FILE_SIZES = (2_000, 9_000, 40_000, 300_000, 5_000_000)


def write_layer(path: Path, size: int, seed: int) -> tuple[str, str, int]:
    """Write a gzipped layer tar of `size` unpacked bytes; return digest, diff_id and compressed size."""
    chance = random.Random(seed)
    pool = _words(chance)
    diff, left, number = hashlib.sha256(), size, 0

    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0, filename="") as packed:

        class Sink(io.RawIOBase):
            def writable(self) -> bool:
                return True

            def write(self, data: bytes) -> int:  # type: ignore[override]
                diff.update(data)
                return packed.write(data)

        with tarfile.open(fileobj=Sink(), mode="w|", bufsize=1 << 20) as tar:
            while left > 0:
                info = tarfile.TarInfo(f"layer{seed}/{number % 97}/file{number}")
                info.size = min(chance.choice(_FILE_SIZES), left)
                tar.addfile(info, io.BytesIO(_content(pool, chance, info.size)))
                left, number = left - info.size, number + 1
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"sha256:{digest}", f"sha256:{diff.hexdigest()}", path.stat().st_size


def _words(chance: random.Random) -> bytes:
    """Some megabytes of text that gzip works on as on real files: to about a third."""
    known = [chance.randbytes(chance.randrange(2, 6)).hex().encode() for _ in range(4096)]
    return b" ".join(chance.choices(known, k=1_000_000))


def _content(pool: bytes, chance: random.Random, size: int) -> bytes:
    start = chance.randrange(len(pool))
    return (pool[start:] + pool * (size // len(pool) + 1))[:size]


def upload(address: str, root: Path, size: int, count: int) -> int:
    """Put an image of `count` layers of `size` bytes into the registry; return the bytes of its blobs."""
    layers, diff_ids, total = [], [], 0
    for number in range(count):
        path = root / "layer.tar.gz"
        digest, diff_id, packed = write_layer(path, size, number)
        _put_blob(address, digest, path.read_bytes())
        kind = "application/vnd.docker.image.rootfs.diff.tar.gzip"
        layers.append({"mediaType": kind, "size": packed, "digest": digest})
        diff_ids.append(diff_id)
        total += packed
        path.unlink()
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    ).encode()
    config_digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    _put_blob(address, config_digest, config)
    kind = "application/vnd.docker.container.image.v1+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": {"mediaType": kind, "size": len(config), "digest": config_digest},
        "layers": layers,
    }
    url = f"http://{address}/v2/bench/layers/manifests/1"
    _request(url, json.dumps(manifest).encode(), "PUT", str(manifest["mediaType"]))
    return total


def _put_blob(address: str, digest: str, data: bytes) -> None:
    url = f"http://{address}/v2/bench/layers/blobs/uploads/?digest={digest}"
    _request(url, data, "POST", "application/octet-stream")


def _request(url: str, data: bytes, method: str, kind: str) -> None:
    headers = {"Content-Type": kind}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method, headers=headers)):
        pass


@contextlib.contextmanager
def registry(root: Path) -> Iterator[str]:
    """Our registry as a process of its own, on a free loopback port."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    command = [sys.executable, "-m", "pydock_lab.daemon.registry", "serve", "-q"]
    process = subprocess.Popen([*command, "--addr", address, "--root", str(root)])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/"):
                break
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


def peak_above_idle(pid: int, job: Callable[[], object]) -> float:
    """Run a job; return how many MiB the process's peak was above what it had before."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = _status(pid, "VmRSS")
    job()
    return (_status(pid, "VmHWM") - before) / 1024


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    return 0


def timed(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def measure(running: list[Engine], name: str, scratch: Path, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Pull, save, load and remove on every engine in turn; the first round does not count."""
    figures: dict[str, dict[str, list[float]]] = {engine.name: {} for engine in running}
    for turn in range(rounds + 1):
        for engine in running if turn % 2 else running[::-1]:
            archive = scratch / f"{engine.name}.tar"
            taken: dict[str, float] = {}

            def pull(engine: Engine = engine, taken: dict[str, float] = taken) -> None:
                taken["pull s"] = timed(lambda: engine.docker("pull", "-q", name))

            taken["pull peak MiB"] = peak_above_idle(engine.process.pid, pull)
            taken["again s"] = timed(lambda engine=engine: engine.docker("pull", "-q", name))  # type: ignore[misc]
            taken["save s"] = timed(lambda engine=engine, to=archive: engine.docker("save", "-o", str(to), name))  # type: ignore[misc]
            engine.docker("rmi", name)

            def load(engine: Engine = engine, taken: dict[str, float] = taken, archive: Path = archive) -> None:
                taken["load s"] = timed(lambda: engine.docker("load", "-q", "-i", str(archive)))

            taken["load peak MiB"] = peak_above_idle(engine.process.pid, load)
            engine.docker("rmi", name)
            archive.unlink()
            if turn:
                for key, value in taken.items():
                    figures[engine.name].setdefault(key, []).append(value)
            print(f"  {engine.name}: {' '.join(f'{k} {v:.2f}' for k, v in taken.items())}", file=sys.stderr, flush=True)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__)
    parser.add_argument("--unpacked", type=int, default=1200, help="MB of all layers together (default 1200)")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()
    if os.geteuid() != 0:
        print("benchmarks: root is needed", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pd-bench-")))
        address = stack.enter_context(registry(scratch / "registry"))
        packed = upload(address, scratch, flags.unpacked * 1_000_000 // flags.layers, flags.layers)
        running = [stack.enter_context(engines.pydock())]
        if engines.dockerd_is_installed():
            running.append(stack.enter_context(engines.dockerd()))
        figures = measure(running, f"{address}/{_NAME}", scratch, flags.rounds)
    sizes = f"{packed / 1e6:.0f} MB gzip, {flags.unpacked} MB unpacked"
    print(f"{flags.layers} layers, {sizes}, median of {flags.rounds}\n")
    print(f"| what | {' | '.join(figures)} | ratio |\n|---|{'---:|' * (len(figures) + 1)}")
    for key in figures["pydock"]:
        values = [median(figures[name][key]) for name in figures]
        ratio = f"{values[0] / values[1]:.2f}" if len(values) == 2 and values[1] else ""
        print(f"| {key} | {' | '.join(f'{value:.2f}' for value in values)} | {ratio} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
