"""Many containers from many clients at once, killed at random moments; what is left afterwards?

    python -m benchmarks.stress [--containers 200] [--clients 8]

A daemon of its own on scratch roots. Each client makes containers that print,
sleep or end by themselves, on the default bridge, with a volume or an exec now
and then, and removes them at a random moment of their life. Prints what the
daemon and its keeper hold before and after, and fails where anything is left.
Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import docker.errors

# What a container does; the word after it says whether it ends by itself.
SCRIPTS = ("true", "sleep 1000", "while true; do echo line; sleep 0.01; done", "sleep 0.1; exit 3", "cat /etc/hosts")


@dataclass(frozen=True)
class Holdings:
    """What a daemon has of the machine.

    Attributes:
        fds: Open descriptors of the daemon and of its keeper.
        resident_kib: Of both.
        processes: Below the daemon, the keeper included.
        bundles: Directories of containers in the exec root.
        containers: Directories of containers in the data root.
    """

    fds: tuple[int, ...]
    resident_kib: tuple[int, ...]
    processes: int
    bundles: int
    containers: int

    @classmethod
    def of(cls, pid: int, data_root: Path, exec_root: Path) -> Holdings:
        """Look."""
        # A spare waits for the next launch: it comes and goes with the keeper, and is nobody's container.
        keepers = [child for child in _children(pid) if _name(child) == "pydock-keeper"]
        below = [child for keeper in keepers for child in _children(keeper) if _name(child) != "pydock-spare"]
        both = [pid, *keepers]
        return cls(
            tuple(len(list(Path(f"/proc/{one}/fd").iterdir())) for one in both),
            tuple(_resident_kib(one) for one in both),
            len(keepers) + len(below),
            sum(1 for _ in exec_root.glob("bundles/*")),
            sum(1 for path in data_root.glob("containers/*") if not path.name.startswith(".")),
        )


def _children(pid: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in tasks.read_text().split()]
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@dataclass
class Client(threading.Thread):
    """One client with its share of the containers.

    Attributes:
        host: Of the daemon.
        image: To run.
        count: Containers to make.
        seed: Of its choices.
        surprises: Errors that nobody asked for.
    """

    host: str
    image: str
    count: int
    seed: int
    surprises: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread.__init__(self)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Make and remove them, one after the other."""
        choose = random.Random(self.seed)
        with contextlib.closing(docker.DockerClient(base_url=self.host, timeout=60)) as client:
            for _ in range(self.count):
                try:
                    self._one(client, choose)
                except docker.errors.APIError as error:
                    self.surprises.append(str(error))

    def _one(self, client: docker.DockerClient, choose: random.Random) -> None:
        volumes = ["/data"] if choose.random() < 0.3 else []
        script = choose.choice(SCRIPTS)
        container = client.containers.create(self.image, ["sh", "-c", script], volumes=volumes)
        if choose.random() < 0.9:
            container.start()
            time.sleep(choose.random() * 0.05)
            # It may have ended, or be killed under the exec or the kill.
            with contextlib.suppress(docker.errors.APIError):
                if choose.random() < 0.3:
                    container.exec_run("true")
                if choose.random() < 0.5:
                    container.kill()
        container.remove(force=True, v=True)


def assault(host: str, image: str, *, containers: int, clients: int) -> list[str]:
    """Run the clients; return what went wrong."""
    threads = [Client(host, image, containers // clients, seed) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [surprise for thread in threads for surprise in thread.surprises]


def settled(pid: int, data_root: Path, exec_root: Path, wanted: Holdings, patience_s: float = 10) -> Holdings:
    """Return what is held once it is no more than before, or after a while."""
    deadline = time.monotonic() + patience_s
    while True:
        now = Holdings.of(pid, data_root, exec_root)
        same = (now.processes, now.bundles, now.containers) == (wanted.processes, wanted.bundles, wanted.containers)
        fds_are_back = all(a <= b for a, b in zip(now.fds, wanted.fds, strict=True))
        if (same and fds_are_back) or time.monotonic() > deadline:
            return now
        time.sleep(0.05)


def main(argv: Sequence[str] | None = None) -> None:
    from tests.conftest import Footprint, scratch_daemon

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--containers", type=int, default=200)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args(argv)
    with scratch_daemon() as daemon:
        daemon.docker("pull", "busybox")
        where = (daemon.process.pid, daemon.data_root, daemon.exec_root)
        # Threads, caches and pools are there after the first few.
        assault(daemon.host, "busybox", containers=2 * options.clients, clients=options.clients)
        before, links = Holdings.of(*where), Footprint.of(daemon.root)
        print(f"before: {before}")
        for _ in range(options.rounds):
            started = time.monotonic()
            surprises = assault(daemon.host, "busybox", containers=options.containers, clients=options.clients)
            took = time.monotonic() - started
            print(f"{options.containers} containers from {options.clients} clients in {took:.1f} s")
            print(f"after:  {settled(*where, before)}")
            assert not surprises, surprises
        assert Footprint.of(daemon.root) == links


if __name__ == "__main__":
    main()
