"""Stop and remove a project's containers: who depends on others goes first.

Source: docker/compose pkg/compose/{stop,down}.go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.report import Report
from pydock_lab.client.compose.state import Observed


class Gone(Exception):
    """It is not there any more."""


class Stopping:
    """Stops and removes containers, one at a time; those that are gone already are no error.

    Args:
        session: The session.
        project: Whose services say what is to be run before.
        report: Is told what is done.
    """

    def __init__(self, session: Session, project: Project, report: Report) -> None:
        self._request = session.connection.request
        self._session = session
        self._project = project
        self._report = report

    def stop(self, container: Observed, *, timeout_s: int | None = None) -> None:
        """Stop a container, after its service's hooks."""
        self._report.did("Container", container.name, "Stopping")
        if container.running and not self._report.dry_run:
            self._run_hooks(container)
        with contextlib.suppress(Gone):
            self.ask("POST", f"/containers/{container.id}/stop", t=timeout_s)
        self._report.did("Container", container.name, "Stopped")

    def _run_hooks(self, container: Observed) -> None:
        service = self._project.services.get(container.service)
        if service is not None and service.pre_stop and not container.oneoff:
            from pydock_lab.client.compose.hooks import run_hook  # few have any

            for hook in service.pre_stop:
                run_hook(self._session, container, hook)

    def remove(self, container: Observed, *, timeout_s: int | None = None, volumes: bool = False) -> None:
        """Stop a container and remove it."""
        self.stop(container, timeout_s=timeout_s)
        self._report.did("Container", container.name, "Removing")
        with contextlib.suppress(Gone):
            self.ask("DELETE", f"/containers/{container.id}", force=True, v=volumes)
        self._report.did("Container", container.name, "Removed")

    def ask(self, method: str, path: str, **query: Any) -> None:
        """Ask for something that may have happened already.

        Raises:
            Gone: what it is about is not there, or is just being removed.
        """
        try:
            self._request(method, path, query=query)
        except EngineError as error:
            if error.status_code == 404 or (error.status_code == 409 and "already in progress" in error.explanation):
                raise Gone from None
            if error.status_code != 304:
                raise


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
