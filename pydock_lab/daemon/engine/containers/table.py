"""All containers of one daemon by id and by name, and their documents on disk."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from pydock_lab.daemon.engine.containers.record import Container, Record
from pydock_lab.daemon.store.database import Documents
from pydock_lab.errors import Conflict, InvalidParameter, NotFound

_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")


class ContainerTable:
    """Containers by id, name and unambiguous prefix; used from the event loop only."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._by_id: dict[str, Container] = {}
        self._names: dict[str, str] = {}

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def load(self) -> list[Container]:
        """Read every document of an earlier daemon; return those that were never completed."""
        incomplete = []
        for container_id, document in self._documents.items():
            record = msgspec.convert(document, Record)
            container = Container(record)
            if not record.complete or record.state.status == "removing":
                incomplete.append(container)
            self._by_id[container_id] = container
            self._names.setdefault(record.name, container_id)
        return incomplete

    def get(self, reference: str) -> Container:
        """Find by full id, by name, or by unambiguous id prefix, in this order.

        Raises:
            NotFound: `No such container: …`.
            InvalidParameter: more than one id begins like this, or there is no reference.
        """
        if not reference:
            raise InvalidParameter('invalid name or ID supplied: ""')
        if container := self._by_id.get(reference):
            return container
        if container_id := self._names.get(reference.removeprefix("/")):
            return self._by_id[container_id]
        matches = [c for key, c in self._by_id.items() if key.startswith(reference)]
        if len(matches) > 1:
            raise InvalidParameter(f"multiple IDs found with provided prefix: {reference}")
        if not matches:
            raise NotFound(f"No such container: {reference}")
        return matches[0]

    def holds(self, container: Container) -> bool:
        """Return whether the container is still there."""
        return container.id in self._by_id

    def name_is_free(self, name: str) -> bool:
        """Return whether no container has the name."""
        return name not in self._names

    def check_name(self, name: str) -> str:
        """Return a name without its slash.

        Raises:
            InvalidParameter: it has characters that Docker does not allow.
            Conflict: another container has it.
        """
        bare = name.removeprefix("/")
        if not _NAME.match(bare):
            raise InvalidParameter(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        if holder := self._names.get(bare):
            raise Conflict(
                f'Conflict. The container name "/{bare}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        return bare

    def add(self, record: Record) -> Container:
        """Take a new container in; its name is reserved from now on."""
        container = Container(record)
        self._by_id[record.id] = container
        self._names[record.name] = record.id
        self.save(container)
        return container

    def save(self, container: Container) -> None:
        """Write the document; what it says has happened when this returns."""
        if container.id in self._by_id:
            self._documents.put(container.id, container.record)

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name that is free."""
        del self._names[container.record.name]
        container.record.name = name
        self._names[name] = container.id
        self.save(container)

    def discard(self, container: Container) -> None:
        """Forget a container."""
        self._documents.delete(container.id)
        self._by_id.pop(container.id, None)
        if self._names.get(container.name) == container.id:
            del self._names[container.name]
