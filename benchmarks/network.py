"""Throughput of the two engines' networks: between containers, and to a published port.

Each engine runs in a network namespace of its own, so that the distribution's may
write its iptables rules as it always does. Bytes are moved by the same small
program on both sides, which enters namespaces and so needs nothing in the image.

Times for a fixed amount are compared, so that less is better, as everywhere here.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.engines import IMAGE, CommandError, Engine, dockerd, dockerd_is_installed, pydock, write_rootfs_tar
from benchmarks.measure import in_turns, median
from benchmarks.scenarios import Engines, Figure

_MEBIBYTES = 1024
_PORT, _PUBLISHED = 9000, 19000
_HOST, _STRANGER = "10.99.0.1", "10.99.0.2"
_BUDGET = 1.1

_RECEIVE = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
buffer = bytearray(1 << 20)
while True:
    connection, _ = server.accept()
    while connection.recv_into(buffer):
        pass
    connection.sendall(b"!")
    connection.close()
"""
_SEND = """
import socket, sys, time
chunk = bytes(1 << 20)
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])))
started = time.perf_counter()
for _ in range(int(sys.argv[3])):
    connection.sendall(chunk)
connection.shutdown(socket.SHUT_WR)
assert connection.recv(1) == b"!"
print(time.perf_counter() - started)
"""


@dataclass(frozen=True)
class Place:
    """Where a program runs: in the network namespace of a process."""

    pid: int

    def command(self, script: str, *arguments: object) -> list[str]:
        """Return the command that runs a Python script there."""
        return ["nsenter", "-n", "-t", str(self.pid), sys.executable, "-c", script, *map(str, arguments)]

    def run(self, *command: str) -> None:
        """Run a command there to its end."""
        subprocess.run(["nsenter", "-n", "-t", str(self.pid), *command], check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True)
class Testbed:
    """One engine with two containers, and another machine beside it."""

    host: Place
    receiver: Place
    sender: Place
    stranger: Place
    address: str

    def transfer(self, place: Place, address: str, port: int) -> float:
        """Send the fixed amount to an address; return seconds."""
        done = subprocess.run(
            place.command(_SEND, address, port, _MEBIBYTES), capture_output=True, text=True, check=False, timeout=120
        )
        if done.returncode != 0:
            raise CommandError(f"{address}:{port}: {done.stderr.strip().splitlines()[-1]}")
        return float(done.stdout)


def throughput(_: Engines, rounds: int) -> list[Figure]:
    """Container to container, and a published port from the host's loopback and from another machine."""
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(pydock(own_network=True))]
        if dockerd_is_installed():
            engines.append(stack.enter_context(dockerd(own_network=True)))
        tar = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pd-bench-"))) / "rootfs.tar"
        write_rootfs_tar(tar)
        beds = {engine.name: stack.enter_context(_testbed(engine, tar)) for engine in engines}
        return [
            _figure(beds, rounds, "1 GiB from container to container", _between_containers),
            _figure(beds, rounds, "1 GiB from the host to a port on 127.0.0.1", _from_loopback),
            _figure(beds, rounds, "1 GiB from another machine to a published port", _from_outside),
        ]


def _between_containers(bed: Testbed) -> float:
    return bed.transfer(bed.sender, bed.address, _PORT)


def _from_loopback(bed: Testbed) -> float:
    return bed.transfer(bed.host, "127.0.0.1", _PUBLISHED)


def _from_outside(bed: Testbed) -> float:
    return bed.transfer(bed.stranger, _HOST, _PUBLISHED)


def _figure(beds: dict[str, Testbed], rounds: int, what: str, move: Callable[[Testbed], float]) -> Figure:
    taken: dict[str, list[float]] = {name: [] for name in beds}

    def once(name: str) -> None:
        taken[name].append(move(beds[name]) * 1000)

    in_turns({name: partial(once, name) for name in beds}, max(3, rounds // 3))
    samples = {name: values[1:] for name, values in taken.items()}  # in_turns warms up with one
    return Figure(
        what, "ms", {name: median(each) for name, each in samples.items()}, ratio_budget=_BUDGET, samples=samples
    )


@contextlib.contextmanager
def _testbed(engine: Engine, tar: Path) -> Iterator[Testbed]:
    host = Place(engine.process.pid)
    engine.docker("import", "-", IMAGE, stdin=tar)
    engine.docker("network", "create", "bench")
    with contextlib.ExitStack() as stack:
        places = []
        for name, flags in (("receiver", ["-p", f"{_PUBLISHED}:{_PORT}"]), ("sender", [])):
            engine.docker("run", "-d", "--name", name, "--net", "bench", *flags, IMAGE, "sleep", "100000")
            stack.callback(engine.docker, "rm", "-f", name)
            document = json.loads(engine.docker("inspect", name))[0]
            places.append((Place(document["State"]["Pid"]), document["NetworkSettings"]["Networks"]["bench"]))
        stranger = stack.enter_context(_stranger(host))
        stack.enter_context(_running(places[0][0].command(_RECEIVE, _PORT)))
        yield Testbed(host, places[0][0], places[1][0], stranger, places[0][1]["IPAddress"])


@contextlib.contextmanager
def _stranger(host: Place) -> Iterator[Place]:
    """Another machine: a namespace with a cable to the engine's, and its default route over that."""
    with _running(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 100000"]) as process:
        place = Place(process.pid)
        host.run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "eth0", "netns", str(process.pid))
        host.run("ip", "addr", "add", f"{_HOST}/24", "dev", "wire")
        host.run("ip", "link", "set", "wire", "up")
        place.run("ip", "addr", "add", f"{_STRANGER}/24", "dev", "eth0")
        place.run("ip", "link", "set", "eth0", "up")
        yield place


@contextlib.contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that says `ready`, for as long as it is needed."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                raise CommandError(f"{command[0]} did not start")
            yield process
        finally:
            process.kill()
