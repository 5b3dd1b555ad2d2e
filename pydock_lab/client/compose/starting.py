"""Start a project's containers, each when what it depends on has come far enough.

Source: docker/compose pkg/compose/convergence.go (waitDependencies), compose-spec
05-services.md ("depends_on").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.hooks import run_hook
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.report import Report
from pydock_lab.client.compose.state import Observed

_FIRST_LOOK_S, _LAST_LOOK_S = 0.02, 0.5


class Starting:
    """Starts containers in the order of the graph.

    Args:
        session: The session.
        project: The project.
        report: Is told what is done.
        cancellation: Of the command.
        containers: Those of each service.
        say_waits: Say what is waited for, as `up` does and `run` does not.
    """

    def __init__(
        self,
        session: Session,
        project: Project,
        report: Report,
        cancellation: Cancellation,
        containers: Mapping[str, Sequence[Observed]],
        *,
        say_waits: bool = True,
    ) -> None:
        self._request = session.connection.request
        self._session = session
        self._project = project
        self._report = report
        self._cancellation = cancellation
        self._containers = containers
        self._say_waits = say_waits

    def start(self, names: Iterable[str], *, dependencies: bool = True, restart: Iterable[str] = ()) -> None:
        """Start what does not run.

        Args:
            names: Services.
            dependencies: Wait for what they depend on.
            restart: Services that were replaced: what asks to be restarted with them is.

        Raises:
            ComposeError: a dependency failed.
        """
        wanted = list(names)
        after = {name: self._project.dependencies(name) if dependencies else {} for name in wanted}
        replaced = set(restart)

        def work(name: str) -> None:
            for needed, dependency in after[name].items():
                if needed in self._containers:
                    self._await(name, needed, dependency.condition, required=bool(dependency.required))
            again = any(needed in replaced and dependency.restart for needed, dependency in after[name].items())
            for container in self._containers.get(name, ()):
                self._start_one(name, container, again=again)

        visit(wanted, after, work, self._cancellation)

    def await_conditions(self, name: str) -> None:
        """Wait until what a service depends on has come far enough for it."""
        for needed, dependency in self._project.dependencies(name).items():
            if needed in self._containers:
                self._await(name, needed, dependency.condition, required=bool(dependency.required))

    def await_all(self, names: Iterable[str], *, timeout_s: float | None = None) -> None:
        """Wait until every container runs, and is healthy where it has a probe.

        Raises:
            ComposeError: one ended or is unhealthy, or it took too long.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for name in names:
            for container in self._containers.get(name, ()):
                self._report.did("Container", container.name, "Waiting")

        def work(name: str) -> None:
            for container in self._containers.get(name, ()):
                document = self._settled(container, deadline)
                status = (document["State"].get("Health") or {}).get("Status")
                if status == "unhealthy":
                    raise ComposeError(f"container {container.name} is unhealthy", exit_code=1)
                code = document["State"]["ExitCode"]
                if not document["State"]["Running"]:
                    raise ComposeError(f"container {container.name} exited ({code})", exit_code=1)
                self._report.did("Container", container.name, "Healthy")

        visit(list(names), {}, work, self._cancellation)

    def _start_one(self, name: str, container: Observed, *, again: bool) -> None:
        self._cancellation.check()
        if container.running and not again:
            return
        self._report.did("Container", container.name, "Restarting" if container.running else "Starting")
        if container.running:
            self._request("POST", f"/containers/{container.id}/restart")
        else:
            self._request("POST", f"/containers/{container.id}/start")
        self._report.did("Container", container.name, "Started")
        for hook in () if self._report.dry_run else self._project.services[name].post_start:
            run_hook(self._session, container, hook)

    def _await(self, name: str, needed: str, condition: str, *, required: bool) -> None:
        if condition in ("", "service_started"):
            return
        for container in self._containers[needed]:
            self._say(container, "Waiting")
            problem = self._unmet(container, needed, condition)
            if problem is None:
                done = "Healthy" if condition == "service_healthy" else "Exited"
                self._say(container, done)
            elif required:
                self._report.did("Container", container.name, "Error")
                raise ComposeError(
                    problem, exit_code=1, hint=f"{name} waits for it; see what it says: compose logs {needed}"
                )
            else:
                self._report.warn(f"optional dependency {needed!r} of {name!r} failed: {problem}")

    def _say(self, container: Observed, what: str) -> None:
        if self._say_waits:
            self._report.did("Container", container.name, what)

    def _unmet(self, container: Observed, service: str, condition: str) -> str | None:
        """Wait for a dependency; return what is wrong with it, or None."""
        if condition == "service_completed_successfully":
            document = self._until(container, lambda state: not state["Running"] and state["Status"] != "created")
            code = int(document["State"]["ExitCode"])
            return None if code == 0 else f'service "{service}" didn\'t complete successfully: exit {code}'
        document = self._until(
            container,
            lambda state: (
                not state["Running"] or (state.get("Health") or {}).get("Status") in (None, "healthy", "unhealthy")
            ),
        )
        state = document["State"]
        if not state["Running"]:
            return f"dependency failed to start: container {container.name} exited ({state['ExitCode']})"
        health = (state.get("Health") or {}).get("Status")
        if health is None:
            return f"dependency failed to start: container {container.name} has no healthcheck configured"
        return f"dependency failed to start: container {container.name} is unhealthy" if health == "unhealthy" else None

    def _settled(self, container: Observed, deadline: float | None) -> dict[str, Any]:
        return self._until(
            container,
            lambda state: not state["Running"] or (state.get("Health") or {}).get("Status") != "starting",
            deadline,
        )

    def _until(
        self, container: Observed, settled: Callable[[dict[str, Any]], bool], deadline: float | None = None
    ) -> dict[str, Any]:
        pause = _FIRST_LOOK_S
        while True:
            self._cancellation.check()
            document = self._session.inspect("containers", container.id)
            if settled(document["State"]):
                return document
            if deadline is not None and time.monotonic() > deadline:
                raise ComposeError("application not healthy after the time given (--wait-timeout)", exit_code=1)
            self._cancellation.pause(pause)
            pause = min(pause * 1.5, _LAST_LOOK_S)
