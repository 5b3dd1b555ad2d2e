"""Bring a project's containers to what its file says: keep, replace, add, take away.

A container is replaced when its service's config hash or its image is another
than it was made with. The new one is made beside the old one and takes its name
last, so that an interrupt at any moment leaves something a second `up` can go on
from. Source: docker/compose pkg/compose/convergence.go.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose import body, labels
from pydock_lab.client.compose.file_content import inline_content
from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.model import FileObject, FileReference
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.render import service_hash
from pydock_lab.client.compose.report import Report
from pydock_lab.client.compose.state import Observed
from pydock_lab.client.compose.stopping import Gone, Stopping

_TEMPORARY = r"[0-9a-f]{12}_"


class Policy(msgspec.Struct, frozen=True):
    """When containers are replaced.

    Attributes:
        force: Always.
        forced: Services whose containers are replaced always.
        never: Never.
        renew_volumes: Replace anonymous volumes too.
        stop_timeout_s: For the old one to stop; None for its own.
    """

    force: bool = False
    forced: frozenset[str] = frozenset()
    never: bool = False
    renew_volumes: bool = False
    stop_timeout_s: int | None = None


class Convergence:
    """Makes a project's containers what they should be.

    Args:
        session: The session.
        project: The project.
        report: Is told what is done.
        cancellation: Of the command.
        found: The containers there are.

    Attributes:
        containers: By service: those there should be, after `create`.
        replaced: Services that got a new container in the place of an old one.
    """

    def __init__(
        self,
        session: Session,
        project: Project,
        report: Report,
        cancellation: Cancellation,
        found: Iterable[Observed],
    ) -> None:
        self._request = session.connection.request
        self._stopping = Stopping(session, project, report)
        self._session = session
        self._project = project
        self._report = report
        self._cancellation = cancellation
        self._found = list(found)
        self.containers: dict[str, list[Observed]] = {}
        self.replaced: set[str] = set()

    def create(self, names: Iterable[str], images: Mapping[str, str], policy: Policy) -> None:
        """Make and replace containers; none is started.

        Args:
            names: Services.
            images: The image id of each.
            policy: When containers are replaced.
        """
        needed = {name: _peers_of(self._project, name) for name in names}
        for peers in needed.values():
            for peer in peers - needed.keys():
                self.containers[peer] = self._of(peer)
        visit(needed, needed, lambda name: self._converge(name, images[name], policy), self._cancellation)

    def create_one(
        self, name: str, number: int, image_id: str, *, replaces: Observed | None = None, policy: Policy | None = None
    ) -> Observed:
        """Make one container of a service, in the place of an old one or beside the others."""
        final = body.container_name(self._project, name, number)
        temporary = f"{replaces.id[:12]}_{final}" if replaces else final
        what = ("Recreate", "Recreated") if replaces else ("Creating", "Created")
        self._report.did("Container", final, what[0])
        inherited = self._anonymous(replaces) if replaces and not (policy and policy.renew_volumes) else {}
        document = body.create_body(
            self._project,
            name,
            number=number,
            image_id=image_id,
            container=final,
            peers=self.peers(name),
            inherited=inherited,
        )
        if replaces:
            document["Labels"][labels.REPLACE] = replaces.id
        made = self.make(name, temporary, document)
        if replaces:
            with contextlib.suppress(Gone):
                if replaces.running:
                    self._stopping.ask(
                        "POST", f"/containers/{replaces.id}/stop", t=policy.stop_timeout_s if policy else None
                    )
                self._stopping.ask("DELETE", f"/containers/{replaces.id}", force=True)
            self._request("POST", f"/containers/{made}/rename", query={"name": final})
        self._report.did("Container", final, what[1])
        return Observed(made, final, name, number, False, "created", image_id, document["Labels"])

    def make(self, name: str, container: str, document: dict[str, Any], *, aliases: bool = True) -> str:
        """Create a container, connect it to its other networks, put its configs and secrets in; return its id."""
        service = self._project.services[name]
        query = {"name": container, "platform": service.platform or None}
        answer = self._request("POST", "/containers/create", document, query=query).json()
        identifier = str(answer["Id"])
        for warning in answer.get("Warnings") or ():
            self._report.warn(f"{name}: {warning}")
        try:
            for network in body.networks_by_priority(service)[1:] if not service.network_mode else ():
                settings = body.endpoint_settings(self._project, name, network, container, aliases=aliases)
                path = f"/networks/{self._project.networks[network].name}/connect"
                self._request("POST", path, {"Container": identifier, "EndpointConfig": settings})
            if archive := self._injected(name):
                headers = {"Content-Type": "application/x-tar"}
                path = f"/containers/{identifier}/archive"
                self._request("PUT", path, body=archive, headers=headers, query={"path": "/"})
        except BaseException:
            # Nothing half-made: the next `up` would take it for whole.
            with contextlib.suppress(CommandError):
                self._request("DELETE", f"/containers/{identifier}", query={"force": True, "v": True})
            raise
        return identifier

    def peers(self, name: str) -> dict[str, str]:
        """A container of each service whose namespaces or volumes a service shares."""
        found: dict[str, str] = {}
        for peer in _peers_of(self._project, name):
            containers = self.containers.get(peer) or self._of(peer)
            if not containers:
                raise ComposeError(f"no such container of service {peer}, which {name} shares", exit_code=1)
            found[peer] = containers[0].id
        return found

    def _of(self, name: str) -> list[Observed]:
        return [one for one in self._found if one.service == name and not one.oneoff]

    def _converge(self, name: str, image_id: str, policy: Policy) -> None:
        wanted = self._project.services[name].replicas
        there = self._of(name)
        for leftover in [one for one in there if re.match(_TEMPORARY, one.name) and labels.REPLACE in one.labels]:
            self._stopping.ask("DELETE", f"/containers/{leftover.id}", force=True, v=True)
            there.remove(leftover)
        digest = service_hash(self._project.services[name])
        stale = {one.id for one in there if self._differs(name, one, digest, image_id, policy)}
        # What is stale goes first, then the highest numbers.
        there.sort(key=lambda one: (one.id in stale, one.number))
        for surplus in there[wanted:]:
            self._stopping.remove(surplus, timeout_s=policy.stop_timeout_s)
        kept: list[Observed] = []
        for container in there[:wanted]:
            self._cancellation.check()
            if container.id in stale:
                self.replaced.add(name)
                kept.append(self.create_one(name, container.number, image_id, replaces=container, policy=policy))
            else:
                kept.append(container)
                if container.running:
                    self._report.did("Container", container.name, "Running")
                elif container.state == "exited":
                    self._report.did("Container", container.name, "Created")
        numbers = {container.number for container in kept}
        free = (number for number in range(1, wanted + len(numbers) + 1) if number not in numbers)
        for _ in range(wanted - len(kept)):
            self._cancellation.check()
            kept.append(self.create_one(name, next(free), image_id))
        self.containers[name] = sorted(kept, key=lambda one: one.number)

    def _differs(self, name: str, container: Observed, digest: str, image_id: str, policy: Policy) -> bool:
        if policy.never:
            return False
        if policy.force or name in policy.forced or container.labels.get(labels.HASH) != digest:
            return True
        if container.state in ("dead", "removing"):
            return True
        if any(peer in self.replaced for peer in _peers_of(self._project, name)):
            return True  # it shares what no longer exists
        made_of = container.labels.get(labels.IMAGE) or container.image_id
        return bool(image_id) and made_of != image_id

    def _anonymous(self, container: Observed) -> dict[str, str]:
        """The volumes without a name that a container has, by their target."""
        named = {found.name for found in self._project.volumes.values()}
        return {
            mount["Destination"]: mount["Name"]
            for mount in container.document.get("Mounts") or ()
            if mount.get("Type") == "volume"
            and mount.get("Name")
            and mount["Name"] not in named
            and re.fullmatch(r"[0-9a-f]{64}", mount["Name"])
        }

    def _injected(self, name: str) -> bytes:
        """Configs and secrets whose content is in the file or the environment, as a tar archive."""
        service = self._project.services[name]
        entries: list[tuple[FileReference, bytes]] = []
        for kind, references, objects in (
            ("config", service.configs, self._project.configs),
            ("secret", service.secrets, self._project.secrets),
        ):
            for reference in references:
                content = self._content(kind, reference.source, objects[reference.source])
                if content is not None:
                    entries.append((reference, content))
        if not entries:
            return b""
        import tarfile

        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for reference, content in entries:
                entry = tarfile.TarInfo((reference.target or reference.source).lstrip("/"))
                if not reference.target.startswith("/") and reference in service.secrets:
                    entry.name = f"run/secrets/{reference.target}"
                entry.size, entry.mode = len(content), 0o444 if reference.mode is None else reference.mode
                entry.uid, entry.gid = int(reference.uid or 0), int(reference.gid or 0)
                archive.addfile(entry, io.BytesIO(content))
        return packed.getvalue()

    def _content(self, kind: str, source: str, found: FileObject) -> bytes | None:
        if found.external:
            raise ComposeError(
                f"unsupported external {kind} {source}",
                exit_code=1,
                hint="only a swarm keeps these; name a file, an environment variable or the content",
            )
        return inline_content(self._project, kind, source, found)


def _peers_of(project: Project, name: str) -> set[str]:
    """The services whose containers must exist before this one's can be made."""
    service = project.services[name]
    modes = (service.network_mode, service.ipc, service.pid)
    found = {mode.removeprefix("service:") for mode in modes if mode.startswith("service:")}
    found |= {one.partition(":")[0] for one in service.volumes_from if not one.startswith("container:")}
    found |= {one.partition(":")[0] for one in service.links}
    return found & project.services.keys()
