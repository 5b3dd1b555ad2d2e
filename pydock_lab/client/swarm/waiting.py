"""Wait until a swarm has brought its services to what they should be.

Source: docker/cli cli/command/service/progress.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.filters import filters_of
from pydock_lab.client.commands.session import Session

_LOOK_S = 0.2
_DEFAULT_MONITOR_S = 5.0
_PAUSED = frozenset({"paused", "rollback_paused"})


def await_services(session: Session, identifiers: Iterable[str], *, quiet: bool = False) -> None:
    """Wait for services one after the other, saying how far each is.

    Args:
        session: The session.
        identifiers: Ids or names of services.
        quiet: Say nothing.

    Raises:
        CommandError: a service's update was paused because its tasks failed.
    """
    with session.interruptible():
        for identifier in identifiers:
            _Waiting(session, identifier, quiet=quiet).run()


class _Waiting:
    def __init__(self, session: Session, identifier: str, *, quiet: bool) -> None:
        self._session = session
        self._identifier = identifier
        self._quiet = quiet
        self._said: set[str] = set()

    def run(self) -> None:
        """Return when as many tasks as there should be have run as long as the update watches them."""
        stable_since: float | None = None
        while True:
            document = self._session.connection.request(
                "GET", f"/services/{self._identifier}", query={"insertDefaults": "1"}
            ).json()
            update = document.get("UpdateStatus") or {}
            if update.get("State") in _PAUSED:
                raise CommandError(f"service {update['State'].replace('_', ' ')}: {update.get('Message', '')}")
            running, wanted = self._tasks(document)
            self._say(f"overall progress: {running} out of {wanted} tasks")
            if running < wanted or update.get("State") in ("updating", "rollback_started"):
                stable_since = None
            else:
                stable_since = stable_since or time.monotonic()
                left = _monitor_s(document) - (time.monotonic() - stable_since)
                if left <= 0:
                    self._say(f"verify: Service {document['Spec']['Name']} converged")
                    return
                self._say(f"verify: Waiting {int(left) + 1} seconds to verify that tasks are stable...")
            time.sleep(_LOOK_S)

    def _tasks(self, document: dict[str, Any]) -> tuple[int, int]:
        """How many tasks run or, of a job, are done; and how many should."""
        mode = document["Spec"]["Mode"]
        query = {"filters": filters_of({"service": [document["ID"]]})}
        tasks = self._session.connection.request("GET", "/tasks", query=query).json() or []
        states = [task["Status"]["State"] for task in tasks if task["DesiredState"] in ("running", "complete")]
        done = "complete" if any(key.endswith("Job") for key in mode) else "running"
        if "Replicated" in mode:
            wanted = int(mode["Replicated"].get("Replicas", 1))
        elif "ReplicatedJob" in mode:
            wanted = int(mode["ReplicatedJob"].get("TotalCompletions") or 1)
        else:
            nodes = self._session.connection.request("GET", "/nodes").json()
            wanted = sum(node["Spec"]["Availability"] == "active" for node in nodes)
        return sum(state == done for state in states), wanted

    def _say(self, text: str) -> None:
        if not self._quiet and text not in self._said:
            self._said.add(text)
            self._session.say(text)


def _monitor_s(document: dict[str, Any]) -> float:
    monitor = (document["Spec"].get("UpdateConfig") or {}).get("Monitor") or 0
    return monitor / 1e9 if monitor else _DEFAULT_MONITOR_S
