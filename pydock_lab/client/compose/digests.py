"""Pin a project's images: `redis:7` → `docker.io/library/redis:7@sha256:…`.

The engine asks the registry. Source: compose-go types/project.go (WithImagesResolved).
"""

from __future__ import annotations

import msgspec

from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.project import Project
from pydock_lab.client.credentials import registry_auth
from pydock_lab.spec import reference


def pinned(project: Project, session: Session) -> Project:
    """Return the project with the digest of each image that has none.

    Raises:
        EngineError: no registry knows an image.
    """
    services = {}
    for name, service in project.services.items():
        found = reference.parse(service.image) if service.image else None
        if found is not None and not found.digest:
            headers = {"X-Registry-Auth": registry_auth(session.connection.config, found.domain)}
            answer = session.connection.request("GET", f"/distribution/{found.familiar}/json", headers=headers).json()
            image = f"{found.domain}/{found.path}:{found.tag}@{answer['Descriptor']['digest']}"
            service = msgspec.structs.replace(service, image=image)
        services[name] = service
    return msgspec.structs.replace(project, services=services)
