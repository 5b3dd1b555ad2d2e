"""A project on a swarm: make and replace what its file says, and take it away.

Order and words are those of `docker stack`. Source: docker/cli
cli/command/stack/swarm/{deploy,deploy_composefile,remove,common}.go.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.filters import filters_of
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose.file_content import inline_content
from pydock_lab.client.compose.model import FileObject, Network
from pydock_lab.client.compose.project import Project
from pydock_lab.client.credentials import registry_auth
from pydock_lab.client.swarm.spec import IMAGE, NAMESPACE, service_spec
from pydock_lab.spec.reference import Reference, parse

_NO_DIGEST = """image {} could not be accessed on a registry to record
its digest. Each node will access {} independently,
possibly leading to different nodes running different
versions of the image.
"""


@dataclass(frozen=True)
class Stack:
    """A stack on a swarm.

    Attributes:
        session: Of the front end.
        name: Its name.
    """

    session: Session
    name: str

    def of(self, kind: str) -> list[dict[str, Any]]:
        """List what belongs to it: `services`, `secrets`, `configs`, `networks` or `tasks`."""
        query = {"filters": filters_of({"label": [f"{NAMESPACE}={self.name}"]})}
        if kind == "services":
            query["status"] = "true"
        found: list[dict[str, Any]] = self.session.connection.request("GET", f"/{kind}", query=query).json() or []
        return found

    def remove(self) -> bool:
        """Remove everything of it.

        Returns:
            Whether there was anything.

        Raises:
            CommandError: some of it could not be removed.
        """
        found = {kind: self.of(kind) for kind in ("services", "secrets", "configs", "networks")}
        for kind, documents in found.items():
            for document in sorted(documents, key=_name):
                self.session.say(f"Removing {kind.removesuffix('s')} {_name(document)}")
                identifier = document.get("ID") or document["Id"]
                try:
                    self.session.connection.request("DELETE", f"/{kind}/{identifier}")
                except EngineError as error:
                    if "not found" not in error.explanation:  # an earlier `rm` may be at it still
                        raise
        return any(found.values())

    def remove_services(self, keep: Iterable[str]) -> None:
        """Remove services that the file no longer has."""
        kept = set(keep)
        for document in sorted(self.of("services"), key=_name):
            if _name(document) not in kept:
                self.session.say(f"Removing service {_name(document)}")
                self.session.connection.request("DELETE", f"/services/{document['ID']}")


class Deployment:
    """Brings a stack to what a project says.

    Args:
        stack: The stack.
        project: Has the stack's name.
        resolve: `always`, `changed` or `never`: when a registry is asked for an image's digest.
        send_auth: Give the swarm's nodes the user's login.
    """

    def __init__(self, stack: Stack, project: Project, *, resolve: str, send_auth: bool) -> None:
        self._stack = stack
        self._session = stack.session
        self._request = stack.session.connection.request
        self._project = project
        self._resolve = resolve
        self._send_auth = send_auth
        self._ids: dict[tuple[str, str], str] = {}

    def run(self) -> list[str]:
        """Make networks, secrets, configs and services; return the ids of the services.

        Raises:
            CommandError: a service has no image (nothing is made then), or the swarm refused something.
        """
        for name, service in sorted(self._project.services.items()):
            if not service.image:
                raise CommandError(
                    f"invalid image reference for service {name}: no image specified",
                    hint="a swarm builds nothing: build and name it first (`image:` beside `build:`, compose build)",
                )
        self._make_networks()
        for kind, objects in (("secret", self._project.secrets), ("config", self._project.configs)):
            for key, found in objects.items():
                self._keep(kind, key, found)
        there = {_name(document): document for document in self._stack.of("services")}
        names = sorted(self._project.services)
        return [self._deploy(name, there.get(f"{self._project.name}_{name}")) for name in names]

    def _make_networks(self) -> None:
        there = {document["Name"] for document in self._stack.of("networks")}
        used = {key for service in self._project.services.values() for key in service.networks or ("default",)}
        for key in sorted(used):
            network = self._project.networks.get(key) or Network(name=f"{self._project.name}_{key}")
            if network.external:
                self._check_external(network.name)
            elif network.name not in there:
                self._make_network(network)

    def _check_external(self, name: str) -> None:
        if name in ("host", "bridge", "none"):
            return
        try:
            scope = self._session.inspect("networks", name)["Scope"]
        except EngineError as error:
            if error.status_code != 404:
                raise
            raise CommandError(
                f'network "{name}" is declared as external, but could not be found. You need to create a '
                "swarm-scoped network before the stack is deployed",
                hint=f"docker network create -d overlay {name}",
            ) from None
        if scope != "swarm":
            raise CommandError(
                f'network "{name}" is declared as external, but it is not in the right scope: "{scope}" instead '
                'of "swarm"'
            )

    def _make_network(self, network: Network) -> None:
        self._session.say(f"Creating network {network.name}")
        pools = [{"Subnet": pool.subnet} for pool in network.ipam.config if pool.subnet]
        body: dict[str, Any] = {
            "Name": network.name,
            "CheckDuplicate": True,
            "Driver": network.driver or "overlay",
            "Options": network.driver_opts,
            "Internal": network.internal,
            "Attachable": network.attachable,
            "Labels": {**network.labels, NAMESPACE: self._project.name},
        }
        if pools or network.ipam.driver:
            body["IPAM"] = {"Driver": network.ipam.driver, "Config": pools}
        self._request("POST", "/networks/create", body)

    def _keep(self, kind: str, key: str, found: FileObject) -> None:
        """Make a secret or config, or update its labels; remember its id."""
        query = {"filters": filters_of({"name": [found.name]})}
        documents = self._request("GET", f"/{kind}s", query=query).json() or ()
        there = next((one for one in documents if _name(one) == found.name), None)
        if found.external:
            if there is None:
                raise CommandError(f"{kind} not found: {found.name}", hint=f"docker {kind} create {found.name} FILE")
            self._ids[kind, found.name] = there["ID"]
            return
        spec: dict[str, Any] = {
            "Name": found.name,
            "Labels": {**found.labels, NAMESPACE: self._project.name},
            "Data": base64.b64encode(self._content(kind, key, found)).decode(),
        }
        if found.template_driver:
            spec["Templating"] = {"Name": found.template_driver}
        if there is None:
            self._session.say(f"Creating {kind} {found.name}")
            self._ids[kind, found.name] = self._request("POST", f"/{kind}s/create", spec).json()["ID"]
            return
        self._ids[kind, found.name] = there["ID"]
        try:
            self._request("POST", f"/{kind}s/{there['ID']}/update", spec, query={"version": there["Version"]["Index"]})
        except EngineError as error:
            raise CommandError(
                f"failed to update {kind} {found.name}: {error.message}",
                hint=f"a swarm's {kind}s don't change: give it another `name:` in the file, and the services get that",
            ) from None

    def _content(self, kind: str, key: str, found: FileObject) -> bytes:
        content = inline_content(self._project, kind, key, found)
        if content is not None:
            return content
        try:
            return Path(found.file).read_bytes()
        except OSError as error:
            raise CommandError(f"open {found.file}: {(error.strerror or '').lower()}") from None

    def _deploy(self, name: str, there: dict[str, Any] | None) -> str:
        full = f"{self._project.name}_{name}"
        named = self._project.services[name].image
        reference = parse(named)
        same = there is not None and (there["Spec"].get("Labels") or {}).get(IMAGE) == named
        image = reference.familiar
        warning, platforms = "", list[dict[str, str]]()
        if self._resolve == "always" or (self._resolve == "changed" and not same):
            image, platforms, warning = self._resolved(reference)
        elif same and there is not None:
            image = there["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
        spec = service_spec(self._project, name, ids=self._ids, image=image, platforms=platforms)
        headers = {}
        if self._send_auth:
            headers["X-Registry-Auth"] = registry_auth(self._session.connection.config, reference.domain)
        if there is None:
            self._session.say(f"Creating service {full}")
            path, query = "/services/create", None
        else:
            self._session.say(f"Updating service {full} (id: {there['ID']})")
            spec["TaskTemplate"]["ForceUpdate"] = there["Spec"]["TaskTemplate"].get("ForceUpdate", 0)
            path = f"/services/{there['ID']}/update"
            query = {"version": there["Version"]["Index"], "registryAuthFrom": "spec" if self._send_auth else ""}
        try:
            answer = self._request("POST", path, spec, headers=headers, query=query).json()
        except EngineError as error:
            done = "create" if there is None else "update"
            raise CommandError(f"failed to {done} service {full}: {error.message}", hint=error.hint) from None
        for text in (*(answer.get("Warnings") or ()), *([warning] if warning else ())):
            self._session.say(text, "stderr")
        return str(answer["ID"] if there is None else there["ID"])

    def _resolved(self, reference: Reference) -> tuple[str, list[dict[str, str]], str]:
        """An image's name with its digest, the platforms it is for, and the warning if no registry knows it."""
        auth = registry_auth(self._session.connection.config, reference.domain)
        try:
            found = self._request(
                "GET", f"/distribution/{reference.familiar}/json", headers={"X-Registry-Auth": auth}
            ).json()
        except EngineError:
            return reference.familiar, [], _NO_DIGEST.format(reference.familiar, reference.familiar)
        platforms = [
            {"Architecture": one.get("architecture", ""), "OS": one.get("os", "")} for one in found["Platforms"] or ()
        ]
        return f"{reference.familiar}@{found['Descriptor']['digest']}", platforms, ""


def _name(document: dict[str, Any]) -> str:
    spec = document.get("Spec")
    return str(spec["Name"] if spec else document["Name"])
