"""A frontend's attributes → what our builder is asked for.

Source: moby/buildkit frontend/dockerui/config.go, frontend/dockerfile/docs.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydock_lab.daemon.builder.options import BuildOptions
from pydock_lab.errors import InvalidParameter, NotImplementedYet
from pydock_lab.spec.platform import Platform

FRONTEND = "dockerfile.v0"
_GATEWAY = "gateway.v0"
_NETWORKS = {"host": "host", "none": "none", "sandbox": "default", "default": "default"}
_NAMED, _LOCAL = "context:", "local:"


def read_options(frontend: str, attributes: dict[str, str], tags: tuple[str, ...] = ()) -> BuildOptions:
    """Read the attributes of a Dockerfile build.

    Args:
        frontend: `dockerfile.v0`.
        attributes: `filename`, `target`, `build-arg:NAME`, …
        tags: Names for the image.

    Raises:
        InvalidParameter: an attribute is malformed.
        NotImplementedYet: it asks for what this engine can't do.
    """
    _refuse(frontend, attributes)
    no_cache = attributes.get("no-cache")
    return BuildOptions(
        dockerfile=attributes.get("filename") or "Dockerfile",
        tags=tags,
        build_args=dict(_under("build-arg:", attributes)),
        labels=dict(_under("label:", attributes)),
        no_cache=no_cache == "",
        no_cache_filter=tuple(no_cache.split(",")) if no_cache else (),
        pull=attributes.get("image-resolve-mode") == "pull",
        target=attributes.get("target", ""),
        network=_network(attributes.get("force-network-mode", "")),
        extra_hosts=tuple(entry.replace("=", ":", 1) for entry in _listed(attributes, "add-hosts")),
        shm_bytes=int(attributes.get("shm-size") or 0),
        rlimits=tuple(_ulimit(entry) for entry in _listed(attributes, "ulimit")),
        platform=str(Platform.parse(attributes["platform"])) if attributes.get("platform") else "",
        cgroup_parent=attributes.get("cgroup-parent", ""),
        remote=_remote(attributes.get("context", "")),
        contexts={name: value for name, value in _under(_NAMED, attributes) if not value.startswith(_LOCAL)},
        # No client sees the containers of its steps, nor what a failed one leaves.
        reasons=True,
        force_remove=True,
    )


def _refuse(frontend: str, attributes: dict[str, str]) -> None:
    """Say plainly what this engine does not do."""
    is_dockerfile = frontend == FRONTEND or (
        frontend == _GATEWAY and "docker/dockerfile" in attributes.get("source", "")
    )
    if not is_dockerfile:
        raise NotImplementedYet(f"this engine builds Dockerfiles only, it has no frontend {frontend or 'for LLB'}")
    if attributes.get("requestid"):
        raise NotImplementedYet(f"unsupported request {attributes['requestid']}")
    if "," in attributes.get("platform", ""):
        raise NotImplementedYet("this engine builds for one platform at a time")
    if attributes.get("context", "").startswith("input:"):
        raise NotImplementedYet("inputs of a frontend are not supported")


def directories(attributes: dict[str, str]) -> dict[str, str]:
    """Return the named contexts that are directories of the client: name → what the session calls it."""
    named = _under(_NAMED, attributes)
    return {name: value.removeprefix(_LOCAL) for name, value in named if value.startswith(_LOCAL)}


def _remote(context: str) -> str:
    """Return where the context is to be fetched from; "" for the client's own directory."""
    return "" if context == "context" or context.startswith(_LOCAL) else context


def _under(prefix: str, attributes: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in attributes.items():
        if key.startswith(prefix):
            yield key.removeprefix(prefix), value


def _listed(attributes: dict[str, str], key: str) -> list[str]:
    return [entry for entry in attributes.get(key, "").split(",") if entry]


def _network(mode: str) -> str:
    if mode and mode not in _NETWORKS:
        raise InvalidParameter(f"invalid network mode {mode}")
    return _NETWORKS.get(mode, "default")


def _ulimit(text: str) -> tuple[str, int, int]:
    """Read `nofile=1024:2048`."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return name, int(soft), int(hard or soft)
    except ValueError:
        raise InvalidParameter(f"invalid ulimit argument: {text}") from None
