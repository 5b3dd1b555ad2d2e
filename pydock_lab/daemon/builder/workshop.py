"""What every build of one daemon works with, and how a build ends badly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pydock_lab.daemon.builder.cache import BuildCache
from pydock_lab.daemon.builder.cachemounts import CacheMounts
from pydock_lab.daemon.builder.container import SharedNetwork
from pydock_lab.daemon.builder.digests import DigestMemo
from pydock_lab.daemon.builder.intermediate import Intermediates
from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.network.bridges import Networks
from pydock_lab.daemon.runtime.client import Runtime
from pydock_lab.daemon.store.images import Image, ImageStore
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.daemon.trace import Trace
from pydock_lab.errors import DockerfileError, LabError, NotFound

Resolve = Callable[..., Awaitable[Image]]
ShareNetwork = Callable[[str], SharedNetwork]


class StepFailedError(LabError):
    """A RUN command ended with a status other than 0."""

    def __init__(self, message: str, code: int, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class Workshop:
    """The daemon's rooms that a build needs, and what builds share."""

    config: DaemonConfig
    runtime: Runtime
    layers: LayerStore
    images: ImageStore
    networks: Networks
    resolve_or_pull: Resolve
    cache: BuildCache
    cache_mounts: CacheMounts
    trace: Trace
    share_network: ShareNetwork
    intermediates: Intermediates | None = None
    memo: DigestMemo = field(default_factory=DigestMemo)


def no_container(reference: str) -> SharedNetwork:
    """What a builder without an engine around it answers to `--network container:NAME`."""
    raise NotFound(f"No such container: {reference}")


def error_document(error: LabError) -> dict[str, Any]:
    """An error as the record keeps it."""
    line, text = (error.line, error.text) if isinstance(error, DockerfileError) else (0, "")
    return {"message": error.message, "hint": error.hint, "line": line, "text": text}
