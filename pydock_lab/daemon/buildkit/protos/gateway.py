"""moby.buildkit.v1.frontend: what is said to the LLBBridge service, as far as it is spoken here.

Source: moby/buildkit frontend/gateway/pb/gateway.proto, util/apicaps/pb/caps.proto.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydock_lab.daemon.buildkit.grpc import Status
from pydock_lab.daemon.buildkit.protos.control import WorkerRecord
from pydock_lab.spec.protobuf import Message


@dataclass
class Ref(Message):
    """A result that has been or will be built."""

    id: Annotated[str, 1] = ""


@dataclass
class Result(Message):
    """One result; several, of several platforms, are not spoken of here."""

    deprecated_ref: Annotated[str, 1] = ""
    ref: Annotated[Ref | None, 3] = None
    metadata: Annotated[dict[str, bytes], 10] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The result's id, "" for none."""
        return self.ref.id if self.ref is not None else self.deprecated_ref


@dataclass
class SolveRequest(Message):
    """Run a frontend, or a graph of LLB."""

    definition: Annotated[bytes, 1] = b""
    frontend: Annotated[str, 2] = ""
    frontend_opt: Annotated[dict[str, str], 3] = field(default_factory=dict)
    allow_result_return: Annotated[bool, 5] = False
    allow_result_array_ref: Annotated[bool, 6] = False
    evaluate: Annotated[bool, 14] = False


@dataclass
class SolveResponse(Message):
    """The result."""

    ref: Annotated[str, 1] = ""
    result: Annotated[Result | None, 3] = None


@dataclass
class ReturnRequest(Message):
    """What the client makes the build's result, or why it failed."""

    result: Annotated[Result | None, 1] = None
    error: Annotated[Status | None, 2] = None


@dataclass
class Empty(Message):
    """A message without fields."""


@dataclass
class Capability(Message):
    """Something that is understood here."""

    id: Annotated[str, 1] = ""
    enabled: Annotated[bool, 2] = False


@dataclass
class Pong(Message):
    """What the gateway can."""

    frontend_caps: Annotated[list[Capability], 1] = field(default_factory=list)
    llb_caps: Annotated[list[Capability], 2] = field(default_factory=list)
    workers: Annotated[list[WorkerRecord], 3] = field(default_factory=list)


@dataclass
class ResolveImageConfigRequest(Message):
    """Which config does an image have?"""

    ref: Annotated[str, 1] = ""


@dataclass
class ResolveImageConfigResponse(Message):
    """The image's digest and its config as JSON."""

    digest: Annotated[str, 1] = ""
    config: Annotated[bytes, 2] = b""
    ref: Annotated[str, 3] = ""


@dataclass
class FileRequest(Message):
    """ReadFile, ReadDir, StatFile: a path in a result."""

    ref: Annotated[str, 1] = ""
    path: Annotated[str, 2] = ""


@dataclass
class StatResponse(Message):
    """What StatFile found."""

    stat: Annotated[bytes, 1] = b""
