"""What a build was asked for: the query parameters of `POST /build` as data.

Source: Docker Engine API 1.47, ImageBuild.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BuildOptions:
    """The wishes of one build.

    Args:
        dockerfile: Path of the Dockerfile inside the context.
        dockerfile_text: Its text where it does not lie in the context (`docker build -f - .`), or None.
        tags: References as the user wrote them.
        build_args: Values of `--build-arg`; None takes the value from nowhere (an ARG's default counts).
        labels: Labels added to the last image.
        no_cache: Don't look steps up.
        pull: Ask the registry for base images even where they are here.
        remove: Say that intermediate containers are removed (`--rm`).
        force_remove: The same after a failure.
        quiet: Output is the image id only.
        target: Stage to build, or "".
        network: `--network` for RUN: default, none, host, container:NAME or a network's name.
        extra_hosts: `name:address` each.
        shm_bytes: Size of /dev/shm in RUN, 0 for the default.
        resources: OCI `linux.resources` for RUN.
        rlimits: (name, soft, hard) each.
        platform: `os/arch[/variant]` or "".
        cache_from: Images whose steps alone count as cached; without any all that this engine has built do.
        registry_auth: Registry host → Docker's AuthConfig.
        build_id: The client's own id for `POST /build/cancel`, or "".
        cgroup_parent: Below the cgroup root, or "".
        remote: URL of the context (an archive, a Dockerfile or a git repository), or "".
        extras: The context's tar holds secrets and named contexts below `.pydock/` (see context.py).
        contexts: `--build-context`: name → `docker-image://…` or URL; those in the tar are not listed.
        ssh: `--ssh`: id → path of an agent's socket on this machine.
        no_cache_filter: Stages that are built anew, by name or number.
        reasons: The stream tells beside its text why a step is in the cache or not.
    """

    dockerfile: str = "Dockerfile"
    dockerfile_text: str | None = None
    tags: tuple[str, ...] = ()
    build_args: dict[str, str | None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    remove: bool = True
    force_remove: bool = False
    quiet: bool = False
    target: str = ""
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    shm_bytes: int = 0
    resources: dict[str, Any] = field(default_factory=dict)
    rlimits: tuple[tuple[str, int, int], ...] = ()
    platform: str = ""
    cache_from: tuple[str, ...] = ()
    registry_auth: dict[str, dict[str, str]] = field(default_factory=dict)
    build_id: str = ""
    cgroup_parent: str = ""
    remote: str = ""
    extras: bool = False
    contexts: dict[str, str] = field(default_factory=dict)
    ssh: dict[str, str] = field(default_factory=dict)
    no_cache_filter: tuple[str, ...] = ()
    reasons: bool = False
