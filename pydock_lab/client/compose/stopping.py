"""Stop and remove a project's containers: who depends on others goes first.

Source: docker/compose pkg/compose/{stop,down}.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.state import Observed


def in_reverse(
    project: Project,
    containers: Sequence[Observed],
    action: Callable[[Observed], None],
    cancellation: Cancellation,
) -> None:
    """Do something to each container, after all that depend on it.

    Args:
        project: The project.
        containers: Of any services, also of those that its file no longer has.
        action: What to do to one.
        cancellation: Of the command.
    """
    by_service: dict[str, list[Observed]] = {}
    for container in containers:
        by_service.setdefault(container.service, []).append(container)
    after = {name: project.dependents(name) for name in by_service if name in project.services}
    keys = {f"{name}/{number}": name for name, found in by_service.items() for number in range(len(found))}
    waits = {key: _keys_of(after.get(name, ()), keys) for key, name in keys.items()}

    def work(key: str) -> None:
        name, _, number = key.rpartition("/")
        action(by_service[name][int(number)])

    visit(keys, waits, work, cancellation)


def _keys_of(services: Iterable[str], keys: dict[str, str]) -> list[str]:
    wanted = set(services)
    return [key for key, name in keys.items() if name in wanted]
