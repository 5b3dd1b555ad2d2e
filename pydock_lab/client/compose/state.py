"""What of a project is on the engine: its containers, by the labels they carry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose import labels
from pydock_lab.client.compose.model import Dependency, Service
from pydock_lab.client.compose.problem import NOT_FOUND, ComposeError
from pydock_lab.client.compose.project import Project


class Observed(msgspec.Struct, frozen=True):
    """A container of a project.

    Attributes:
        id: Full.
        name: Without the slash.
        service: Its service's name, as labelled.
        number: Its number among the service's containers; 0 for one that `run` made.
        oneoff: Made by `run`.
        state: `running`, `exited`, `created`, …
        image_id: Of the image it was made of.
        labels: All of them.
        document: As the API lists it.
    """

    id: str
    name: str
    service: str
    number: int
    oneoff: bool
    state: str
    image_id: str
    labels: Mapping[str, str] = {}
    document: Mapping[str, Any] = {}

    @property
    def running(self) -> bool:
        """Whether it has a process."""
        return self.state in ("running", "paused", "restarting")

    @property
    def short_name(self) -> str:
        """`web-1`: what stands before its output."""
        return self.name.removeprefix(f"{self.labels.get(labels.PROJECT, '')}-")


def observe(session: Session, project: str, *, oneoff: bool = False, stopped: bool = True) -> list[Observed]:
    """List a project's containers by service and number.

    Args:
        session: The session.
        project: Its name.
        oneoff: With those that `run` made.
        stopped: With those that don't run.
    """
    filters = labels.of_project(project)
    query = {"all": stopped, "filters": filters}
    documents = session.connection.request("GET", "/containers/json", query=query).json()
    found = [observed(document) for document in documents]
    return sorted(
        (one for one in found if one.service and (oneoff or not one.oneoff)),
        key=lambda one: (one.service, one.number, one.name),
    )


def observed(document: Mapping[str, Any]) -> Observed:
    """Read an entry of the API's list."""
    marks: Mapping[str, str] = document.get("Labels") or {}
    number = marks.get(labels.NUMBER, "")
    names = sorted(document.get("Names") or ["/"], key=lambda name: name.count("/"))
    return Observed(
        id=document["Id"],
        name=names[0].removeprefix("/"),
        service=marks.get(labels.SERVICE, ""),
        number=int(number) if number.isdigit() else 0,
        oneoff=marks.get(labels.ONEOFF, "False").lower() == "true",
        state=document.get("State") or "",
        image_id=document.get("ImageID") or "",
        labels=marks,
        document=document,
    )


def project_of_containers(session: Session, name: str) -> Project:
    """Make out a project without its files, from what its containers say.

    Raises:
        ComposeError: it has no containers.
    """
    found = observe(session, name, oneoff=True)
    if not found:
        raise ComposeError(
            f'no configuration file provided: not found and no containers of a project "{name}"', exit_code=NOT_FOUND
        )
    services = {
        one.service: Service(image=str(one.document.get("Image") or ""), depends_on=_dependencies(one.labels))
        for one in found
    }
    directory = next((one.labels[labels.WORKING_DIR] for one in found if labels.WORKING_DIR in one.labels), ".")
    return Project(name=name, directory=Path(directory), services=services)


def _dependencies(marks: Mapping[str, str]) -> dict[str, Dependency]:
    """`db:service_started:false,…` → what a container's service depends on."""
    entries = [entry.split(":") for entry in marks.get(labels.DEPENDS_ON, "").split(",") if entry]
    return {
        entry[0]: Dependency(
            condition=entry[1] if len(entry) > 1 else "service_started", restart=entry[-1] == "true", required=False
        )
        for entry in entries
    }
