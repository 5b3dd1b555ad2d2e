"""moby.buildkit.v1: what is said to BuildKit's Control service, as far as it is spoken here.

Source: moby/buildkit api/services/control/control.proto, api/types/worker.proto.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Annotated

from pydock_lab.spec.protobuf import Message


@dataclass
class Timestamp(Message):
    """google.protobuf.Timestamp."""

    seconds: Annotated[int, 1] = 0
    nanos: Annotated[int, 2] = 0

    @classmethod
    def now(cls) -> Timestamp:
        """Return the present moment."""
        return cls.at(time.time_ns())

    @classmethod
    def at(cls, moment_ns: int) -> Timestamp:
        """A moment in nanoseconds since the epoch."""
        return cls(*divmod(moment_ns, 10**9))

    @property
    def nanoseconds(self) -> int:
        """The same since the epoch."""
        return self.seconds * 10**9 + self.nanos


@dataclass
class Exporter(Message):
    """Where a result goes: `moby`, `tar`, `local`, with attributes."""

    type: Annotated[str, 1] = ""
    attrs: Annotated[dict[str, str], 2] = field(default_factory=dict)


@dataclass
class SolveRequest(Message):
    """A build; without a frontend it is led through the gateway (LLBBridge)."""

    ref: Annotated[str, 1] = ""
    definition: Annotated[bytes, 2] = b""
    exporter: Annotated[str, 3] = ""
    exporter_attrs: Annotated[dict[str, str], 4] = field(default_factory=dict)
    session: Annotated[str, 5] = ""
    frontend: Annotated[str, 6] = ""
    frontend_attrs: Annotated[dict[str, str], 7] = field(default_factory=dict)
    exporters: Annotated[list[Exporter], 13] = field(default_factory=list)


@dataclass
class SolveResponse(Message):
    """What the exporter says of the result: `containerimage.digest`, …"""

    exporter_response: Annotated[dict[str, str], 1] = field(default_factory=dict)


@dataclass
class StatusRequest(Message):
    """Follow the build of a ref."""

    ref: Annotated[str, 1] = ""


@dataclass
class Vertex(Message):
    """One line of the progress: what is done, from when to when."""

    digest: Annotated[str, 1] = ""
    inputs: Annotated[list[str], 2] = field(default_factory=list)
    name: Annotated[str, 3] = ""
    cached: Annotated[bool, 4] = False
    started: Annotated[Timestamp | None, 5] = None
    completed: Annotated[Timestamp | None, 6] = None
    error: Annotated[str, 7] = ""


@dataclass
class VertexStatus(Message):
    """How far something below a vertex is; sizes in bytes."""

    id: Annotated[str, 1] = ""
    vertex: Annotated[str, 2] = ""
    name: Annotated[str, 3] = ""
    current: Annotated[int, 4] = 0
    total: Annotated[int, 5] = 0
    timestamp: Annotated[Timestamp | None, 6] = None
    started: Annotated[Timestamp | None, 7] = None
    completed: Annotated[Timestamp | None, 8] = None


@dataclass
class VertexLog(Message):
    """What a step has printed: stream 1 is stdout, 2 stderr."""

    vertex: Annotated[str, 1] = ""
    timestamp: Annotated[Timestamp | None, 2] = None
    stream: Annotated[int, 3] = 0
    msg: Annotated[bytes, 4] = b""


@dataclass
class Position(Message):
    """A place in a file; lines count from 1."""

    line: Annotated[int, 1] = 0
    character: Annotated[int, 2] = 0


@dataclass
class Range(Message):
    """From where to where."""

    start: Annotated[Position | None, 1] = None
    end: Annotated[Position | None, 2] = None


@dataclass
class SourceInfo(Message):
    """A file that something is said of."""

    filename: Annotated[str, 1] = ""
    data: Annotated[bytes, 2] = b""
    language: Annotated[str, 4] = ""


@dataclass
class VertexWarning(Message):
    """What a build check has found."""

    vertex: Annotated[str, 1] = ""
    level: Annotated[int, 2] = 0
    short: Annotated[bytes, 3] = b""
    detail: Annotated[list[bytes], 4] = field(default_factory=list)
    url: Annotated[str, 5] = ""
    info: Annotated[SourceInfo | None, 6] = None
    ranges: Annotated[list[Range], 7] = field(default_factory=list)


@dataclass
class StatusResponse(Message):
    """What is new in a build."""

    vertexes: Annotated[list[Vertex], 1] = field(default_factory=list)
    statuses: Annotated[list[VertexStatus], 2] = field(default_factory=list)
    logs: Annotated[list[VertexLog], 3] = field(default_factory=list)
    warnings: Annotated[list[VertexWarning], 4] = field(default_factory=list)


@dataclass
class Platform(Message):
    """pb.Platform."""

    architecture: Annotated[str, 1] = ""
    os: Annotated[str, 2] = ""
    variant: Annotated[str, 3] = ""


@dataclass
class WorkerRecord(Message):
    """What builds."""

    id: Annotated[str, 1] = ""
    labels: Annotated[dict[str, str], 2] = field(default_factory=dict)
    platforms: Annotated[list[Platform], 3] = field(default_factory=list)


@dataclass
class ListWorkersRequest(Message):
    """Filters are not looked at: there is one worker."""


@dataclass
class ListWorkersResponse(Message):
    """All workers."""

    record: Annotated[list[WorkerRecord], 1] = field(default_factory=list)


@dataclass
class DiskUsageRequest(Message):
    """Filters as `name==value`."""

    filter: Annotated[list[str], 1] = field(default_factory=list)


@dataclass
class UsageRecord(Message):
    """One thing that the build cache holds; bytes."""

    id: Annotated[str, 1] = ""
    mutable: Annotated[bool, 2] = False
    in_use: Annotated[bool, 3] = False
    size: Annotated[int, 4] = 0
    created_at: Annotated[Timestamp | None, 6] = None
    last_used_at: Annotated[Timestamp | None, 7] = None
    usage_count: Annotated[int, 8] = 0
    description: Annotated[str, 9] = ""
    record_type: Annotated[str, 10] = ""
    shared: Annotated[bool, 11] = False


@dataclass
class DiskUsageResponse(Message):
    """All of it."""

    record: Annotated[list[UsageRecord], 1] = field(default_factory=list)


@dataclass
class PruneRequest(Message):
    """What is to go: older than `keep_duration` nanoseconds, until no more than `keep_bytes` are left."""

    filter: Annotated[list[str], 1] = field(default_factory=list)
    all: Annotated[bool, 2] = False
    keep_duration: Annotated[int, 3] = 0
    keep_bytes: Annotated[int, 4] = 0
