"""Which containers `docker ps` and `docker container prune` mean: Docker's filters.

Source: Docker Engine API 1.47, ContainerList and ContainerPrune; moby daemon/list.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydock_lab.daemon.engine.containers import ports
from pydock_lab.daemon.engine.containers.record import Container
from pydock_lab.daemon.engine.filters import Filters
from pydock_lab.errors import InvalidParameter, NotFound

KEYS = frozenset(
    ("ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label", "name", "network",
     "publish", "since", "status", "volume")
)  # fmt: skip
_STATUSES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
_HEALTHS = ("none", "starting", "healthy", "unhealthy")


def select(
    containers: Iterable[Container],
    filters: Filters,
    *,
    everything: bool,
    limit: int,
    find: Callable[[str], Container],
    ancestors: Callable[[str], set[str]],
) -> list[Container]:
    """Return the containers that a list request asks for, newest first.

    Args:
        containers: All there are.
        filters: Their keys are checked here.
        everything: Also those that do not run (`ps -a`).
        limit: At most so many, newest first (implies everything); 0 for all.
        find: Resolves `before` and `since`. Raises NotFound.
        ancestors: Image name → ids that count as it.
    """
    filters.check(KEYS)
    for status in filters.values("status"):
        if status not in _STATUSES:
            raise InvalidParameter(f"invalid filter 'status={status}'")
    for health in filters.values("health"):
        if health not in _HEALTHS:
            raise InvalidParameter(f"unrecognized filter value for health: {health}")
    ordered = sorted(containers, key=lambda c: c.record.created_ns, reverse=True)
    everything = everything or limit > 0 or "status" in filters or "exited" in filters
    created = {key: [find(name).record.created_ns for name in filters.values(key)] for key in ("before", "since")}
    images: set[str] = set()
    for name in filters.values("ancestor"):
        try:
            images |= ancestors(name)
        except (NotFound, InvalidParameter):
            continue
    chosen = [
        c
        for c in ordered
        if (everything or c.state.running or c.state.status == "restarting")
        and all(c.record.created_ns < t for t in created["before"])
        and all(c.record.created_ns > t for t in created["since"])
        and ("ancestor" not in filters or c.record.image_id in images)
        and _matches(c, filters)
    ]
    return chosen[:limit] if limit > 0 else chosen


def _matches(container: Container, filters: Filters) -> bool:
    record, state = container.record, container.state
    health = (state.health or {}).get("Status", "none")
    checks = (
        filters.any("id", lambda value: record.id.startswith(value)),
        filters.any("name", lambda value: _is_named(value, record.name)),
        filters.any("status", lambda value: state.status == value),
        filters.any("health", lambda value: health == value),
        filters.any("exited", lambda value: _exited(container, value)),
        filters.labels(container.labels),
        filters.any("network", lambda value: _on_network(container, value)),
        filters.any("volume", lambda value: any(value in (p.name, p.source, p.destination) for p in record.mounts)),
        filters.any("publish", lambda value: _has_port("publish", value, _published(container))),
        filters.any("expose", lambda value: _has_port("expose", value, list(record.config.get("ExposedPorts") or {}))),
        not filters.flag("is-task", default=False),
    )  # fmt: skip
    return all(checks)


def _is_named(pattern: str, name: str) -> bool:
    """A pattern may mean the name with its slash; one that is no regular expression means nothing, as in dockerd."""
    try:
        return re.search(pattern, f"/{name}") is not None or re.search(pattern, name) is not None
    except re.error:
        return False


def _exited(container: Container, value: str) -> bool:
    if not re.fullmatch(r"-?\d+", value):
        raise InvalidParameter(f'strconv.Atoi: parsing "{value}": invalid syntax')
    ended = container.state.status == "exited" and container.state.started_at_ns > 0
    return ended and container.state.exit_code == int(value)


def _on_network(container: Container, value: str) -> bool:
    ids = [endpoint.network_id for endpoint in container.record.endpoints.values()]
    return value in container.record.networks or any(network_id.startswith(value) for network_id in ids)


def _published(container: Container) -> list[str]:
    listed: list[dict[str, Any]] = ports.summary_ports(
        container.record.config, list(container.record.endpoints.values())
    )
    return [f"{entry['PublicPort']}/{entry['Type']}" for entry in listed if "PublicPort" in entry]


def _has_port(key: str, value: str, there: list[str]) -> bool:
    span, _, protocol = value.partition("/")
    first, _, last = span.partition("-")
    for number in (first, last or first):
        if not number.isdigit():
            why = f'strconv.ParseUint: parsing "{number}": invalid syntax'
            raise InvalidParameter(f"error while looking up for {key} {value}: {why}")
    wanted = range(int(first), int(last or first) + 1)
    return any(port.split("/")[1] == (protocol or "tcp") and int(port.split("/")[0]) in wanted for port in there)
