"""What is remembered of one container: the document in SQLite, and the live object around it.

`Record` is everything that survives the daemon; `Container` adds what only a
running daemon knows (the lock of its verbs, who waits for its end). Field
names are ours; Docker's names are made in inspect.py.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec

from pydock_lab.daemon.network.endpoint import Endpoint
from pydock_lab.errors import Conflict
from pydock_lab.spec import timestamps

Status = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead"]


class MountPoint(msgspec.Struct, omit_defaults=True):
    """One bind, volume or tmpfs of a container.

    Attributes:
        type: `bind`, `volume` or `tmpfs`.
        destination: Absolute inside the container.
        source: Absolute on the host; "" for a tmpfs.
        name: Of the volume, or "".
        driver: Of the volume, or "".
        mode: The third part of `-v`, as it was written (`ro`, `z`, …).
        rw: Writable inside the container.
        propagation: `rprivate` for a bind where nothing else was asked, "" for volumes.
        anonymous: The volume was made for this container and goes with `rm -v`.
        create_source: A missing bind source is made as a directory (`-v`, not `--mount`).
        recursive: Mounts below a bind's source come with it.
        options: Mount options of a tmpfs.
        copy: An empty volume is filled with what the image has there.
        subpath: Directory inside the volume, or "".
        driver_options, labels: For the volume, if it has to be made.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    anonymous: bool = False
    create_source: bool = False
    recursive: bool = True
    options: list[str] = []
    copy: bool = True
    subpath: str = ""
    driver_options: dict[str, str] = {}
    labels: dict[str, str] = {}

    def duplicate(self) -> MountPoint:
        """Return a copy that may be changed."""
        return msgspec.structs.replace(self)


class State(msgspec.Struct, omit_defaults=True):
    """Where a container is in its life; times in ns since the epoch, 0 for never."""

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at_ns: int = 0
    finished_at_ns: int = 0
    health: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """A process is there, frozen or not."""
        return self.status in ("running", "paused")


class Record(msgspec.Struct, omit_defaults=True):
    """The document of one container.

    Attributes:
        id: 64 hex digits.
        name: Without the slash that Docker shows.
        image_id: `sha256:…`.
        chain_id: Of the image's top layer, or None for an image without layers.
        config: Docker's Config, merged with the image's.
        host_config: Docker's HostConfig, complete with defaults.
        networks: Network name → Docker's EndpointSettings as asked for.
        endpoints: Network name → the place it holds while it runs.
        complete: False while it is being made: such a record is swept at the next start.
        stopped_by_hand: The user stopped it, so `unless-stopped` leaves it alone.
    """

    id: str
    name: str
    created_ns: int
    image_id: str
    chain_id: str | None
    path: str
    args: list[str]
    config: dict[str, Any]
    host_config: dict[str, Any]
    networks: dict[str, dict[str, Any]]
    mounts: list[MountPoint]
    state: State
    endpoints: dict[str, Endpoint] = {}
    restart_count: int = 0
    complete: bool = False
    stopped_by_hand: bool = False
    warnings: list[str] = []


class Container:
    """A container while the daemon runs.

    Attributes:
        record: What is remembered.
        lock: Held by every verb that changes the state.
        exec_ids: Execs that the container has now.
        monitor: The task that waits for the end of the process, or None.
        health, restart: The task that probes it, or that will start it again, or None.
        namespaces: Kind → inode of the running process.
        process: The OCI process it runs, None where an earlier daemon started it.
        interfaces: How many it has had since it started: a new one gets the next number, as Docker counts.
        held: A restart is under way: `--rm` must not remove it now.
    """

    def __init__(self, record: Record) -> None:
        self.record = record
        self.lock = asyncio.Lock()
        self.exec_ids: list[str] = []
        self.monitor: asyncio.Task[None] | None = None
        self.health: asyncio.Task[None] | None = None
        self.restart: asyncio.Task[None] | None = None
        self.namespaces: dict[str, int] = {}
        self.process: dict[str, Any] | None = None
        self.interfaces = 0
        self.held = False
        self._exits: set[asyncio.Future[int]] = set()
        self._removals: set[asyncio.Future[int]] = set()

    @property
    def id(self) -> str:
        """64 hex digits."""
        return self.record.id

    @property
    def name(self) -> str:
        """Without the leading slash."""
        return self.record.name

    @property
    def state(self) -> State:
        """Where it is in its life."""
        return self.record.state

    @property
    def tty(self) -> bool:
        """Its output is one raw stream."""
        return bool(self.record.config.get("Tty"))

    @property
    def labels(self) -> dict[str, str]:
        """Its labels, the image's included."""
        return self.record.config.get("Labels") or {}

    def check_running(self) -> None:
        """Refuse what needs its processes. Raises Conflict in Docker's words."""
        if self.state.status == "restarting":
            raise Conflict(f"Container {self.id} is restarting, wait until the container is running")
        if not self.state.running:
            raise Conflict(f"Container {self.id} is not running")

    def next_exit(self) -> asyncio.Future[int]:
        """Return a future of the exit status with which it ends the next time."""
        return self._future(self._exits)

    def removal(self) -> asyncio.Future[int]:
        """Return a future of its last exit status, done when it has been removed."""
        return self._future(self._removals)

    def ended(self) -> None:
        """Tell everyone who waits for an exit."""
        self._resolve(self._exits)

    def removed(self) -> None:
        """Tell everyone who waits at all: nothing will happen any more."""
        self._resolve(self._exits)
        self._resolve(self._removals)

    def event_attributes(self) -> dict[str, str]:
        """Return the attributes that every event of this container carries."""
        return {**self.labels, "image": self.record.config.get("Image", ""), "name": self.name}

    @staticmethod
    def _future(waiters: set[asyncio.Future[int]]) -> asyncio.Future[int]:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiters.add(future)
        future.add_done_callback(waiters.discard)
        return future

    def _resolve(self, waiters: set[asyncio.Future[int]]) -> None:
        for future in list(waiters):
            if not future.done():
                future.set_result(self.state.exit_code)


def rfc3339(time_ns: int) -> str:
    """Write a time as Go does; 0 is Go's zero time."""
    return timestamps.render(time_ns) if time_ns else timestamps.ZERO
