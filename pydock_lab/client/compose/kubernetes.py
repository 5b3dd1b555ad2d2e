"""A project as Kubernetes manifests: `compose config --format kubernetes`.

A service with named volumes becomes a StatefulSet, one without a Deployment; its
ports a Service of its name, so that the names in the project go on to resolve;
named volumes PersistentVolumeClaims; configs and secrets ConfigMaps and Secrets;
probes readiness probes. What a cluster cannot do is left out, and said in a
comment at the top. Source: Kubernetes API v1 / apps v1, kompose's conversion table.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.compose import units
from pydock_lab.client.compose.body import image_name
from pydock_lab.client.compose.model import FileObject, FileReference, Healthcheck, Service
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.render import to_yaml

_CLAIM = "1Gi"
_NAME = re.compile(r"[^a-z0-9-]+")


def manifests(project: Project) -> str:
    """Return a stream of YAML documents."""
    converter = _Converter(project)
    documents = list(converter.documents())
    head = "".join(f"# {note}\n" for note in dict.fromkeys(converter.notes))
    return head + "\n---\n".join(to_yaml(document) for document in documents)


def name_of(text: str) -> str:
    """A name as Kubernetes takes it: `my_app` → `my-app`."""
    return _NAME.sub("-", text.lower()).strip("-")[:63] or "x"


class _Converter:
    """Turns one project into documents.

    Attributes:
        notes: What was left out.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self.notes: list[str] = []

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the documents, what others refer to first."""
        for key, volume in sorted(self._project.volumes.items()):
            if not self._claimed_by_template(key):
                yield self._claim(name_of(volume.name or key))
        for kind, objects in (("ConfigMap", self._project.configs), ("Secret", self._project.secrets)):
            for key, found in sorted(objects.items()):
                if not found.external:
                    yield self._file(kind, key, found)
        for name in self._project.order():
            service = self._project.services[name]
            if ports := self._ports(service):
                yield self._service(name, ports)
            yield self._workload(name, service)

    def _service(self, name: str, ports: dict[tuple[int, str], int]) -> dict[str, Any]:
        published = {(port.target, port.protocol) for port in self._project.services[name].ports}
        return {
            **self._head("v1", "Service", name_of(name), name),
            "spec": {
                "type": "LoadBalancer" if published else "ClusterIP",
                "selector": self._labels(name),
                "ports": [
                    {"name": f"{number}-{protocol}", "port": port, "targetPort": number, "protocol": protocol.upper()}
                    for (number, protocol), port in ports.items()
                ],
            },
        }

    def _workload(self, name: str, service: Service) -> dict[str, Any]:
        stateful = any(volume.type == "volume" for volume in service.volumes)
        volumes, mounts = self._mounts(name, service)
        pod = self._pod(service, self._container(name, service, mounts), volumes)
        spec: dict[str, Any] = {
            "replicas": service.replicas,
            "selector": {"matchLabels": self._labels(name)},
            "template": {"metadata": {"labels": self._labels(name)}, "spec": pod},
        }
        if stateful:
            spec["serviceName"] = name_of(name)
            spec["volumeClaimTemplates"] = [
                self._claim_body(claim) for claim in dict.fromkeys(self._template_claims(name, service))
            ]
        return {**self._head("apps/v1", "StatefulSet" if stateful else "Deployment", name_of(name), name), "spec": spec}

    def _pod(self, service: Service, container: dict[str, Any], volumes: list[dict[str, Any]]) -> dict[str, Any]:
        pod: dict[str, Any] = {"containers": [container], "restartPolicy": "Always"}
        if volumes:
            pod["volumes"] = volumes
        if service.hostname:
            pod["hostname"] = name_of(service.hostname)
        if service.extra_hosts:
            pod["hostAliases"] = [
                {"ip": address, "hostnames": [host]}
                for host, addresses in service.extra_hosts.items()
                for address in addresses
                if address != "host-gateway"
            ]
        if service.stop_grace_period:
            pod["terminationGracePeriodSeconds"] = units.duration_ns(service.stop_grace_period) // 1_000_000_000
        if service.network_mode == "host":
            pod["hostNetwork"] = True
        return pod

    def _container(self, name: str, service: Service, mounts: list[dict[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {"name": name_of(name), "image": image_name(self._project, name)}
        if service.build is not None:
            found["imagePullPolicy"] = "IfNotPresent"
            self.notes.append(f"{name}: push the image {found['image']} to a registry that the cluster reaches")
        if service.entrypoint is not None:
            found["command"] = service.entrypoint
        if service.command is not None:
            found["args"] = service.command
        if service.working_dir:
            found["workingDir"] = service.working_dir
        if service.environment:
            found["env"] = [{"name": key, "value": value or ""} for key, value in service.environment.items()]
        if ports := self._ports(service):
            found["ports"] = [{"containerPort": number, "protocol": protocol.upper()} for number, protocol in ports]
        if resources := _resources(service):
            found["resources"] = resources
        if service.healthcheck is not None and (probe := _probe(service.healthcheck)):
            found["readinessProbe"] = probe
        if security := _security(service):
            found["securityContext"] = security
        if service.stdin_open:
            found["stdin"] = True
        if service.tty:
            found["tty"] = True
        if mounts:
            found["volumeMounts"] = mounts
        return found

    def _mounts(self, name: str, service: Service) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        volumes: list[dict[str, Any]] = []
        mounts: list[dict[str, Any]] = []

        def add(label: str, target: str, source: Mapping[str, Any] | None, **more: Any) -> None:
            if source is not None:
                volumes.append({"name": label, **source})
            mounts.append({"name": label, "mountPath": target, **more})

        for number, volume in enumerate(service.volumes):
            read_only = {"readOnly": True} if volume.read_only else {}
            if volume.type == "volume" and volume.source:
                claim = name_of(self._project.volumes[volume.source].name or volume.source)
                shared = not self._claimed_by_template(volume.source)
                source = {"persistentVolumeClaim": {"claimName": claim}} if shared else None
                add(claim, volume.target, source, **read_only)
            elif volume.type == "volume":
                add(f"{name_of(name)}-{number}", volume.target, None)
            elif volume.type == "tmpfs":
                add(f"tmpfs-{number}", volume.target, {"emptyDir": {"medium": "Memory"}})
            else:
                self.notes.append(f"{name}: {volume.source} is a path of this machine; a node must have it too")
                add(f"host-{number}", volume.target, {"hostPath": {"path": volume.source}}, **read_only)
        for number, path in enumerate(service.tmpfs):
            add(f"ram-{number}", path.partition(":")[0], {"emptyDir": {"medium": "Memory"}})
        for kind, references in (("configMap", service.configs), ("secret", service.secrets)):
            for reference in references:
                label = name_of(f"{kind}-{reference.source}")
                key = "secretName" if kind == "secret" else "name"
                target = self._target(kind, reference)
                source = {kind: {key: name_of(f"{self._project.name}-{reference.source}")}}
                known = any(volume["name"] == label for volume in volumes)
                add(label, target, None if known else source, subPath=reference.source, readOnly=True)
        return volumes, mounts

    def _target(self, kind: str, reference: FileReference) -> str:
        target = reference.target or reference.source
        if target.startswith("/"):
            return target
        return f"/run/secrets/{target}" if kind == "secret" else f"/{target}"

    def _file(self, kind: str, key: str, found: FileObject) -> dict[str, Any]:
        head = self._head("v1", kind, name_of(f"{self._project.name}-{key}"), None)
        if found.file:
            content = Path(found.file).read_bytes() if Path(found.file).is_file() else b""
            if not content:
                self.notes.append(f"{key}: {found.file} is empty or missing")
        elif found.environment:
            content = self._project.environment.get(found.environment, "").encode()
        else:
            content = found.content.encode()
        if kind == "Secret":
            return {**head, "type": "Opaque", "data": {key: base64.b64encode(content).decode()}}
        try:
            return {**head, "data": {key: content.decode()}}
        except UnicodeDecodeError:
            return {**head, "binaryData": {key: base64.b64encode(content).decode()}}

    def _claim(self, name: str) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **self._claim_body(name)}

    def _claim_body(self, name: str) -> dict[str, Any]:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _CLAIM}}}
        return {"metadata": {"name": name, "labels": self._labels(None)}, "spec": spec}

    def _template_claims(self, name: str, service: Service) -> Iterator[str]:
        for number, volume in enumerate(service.volumes):
            if volume.type != "volume":
                continue
            if not volume.source:
                yield f"{name_of(name)}-{number}"
            elif self._claimed_by_template(volume.source):
                yield name_of(self._project.volumes[volume.source].name or volume.source)

    def _claimed_by_template(self, key: str) -> bool:
        """Whether one service alone uses a volume: then its StatefulSet makes the claim."""
        users = [
            name
            for name, service in self._project.services.items()
            if any(volume.type == "volume" and volume.source == key for volume in service.volumes)
        ]
        return len(users) == 1

    def _ports(self, service: Service) -> dict[tuple[int, str], int]:
        """The port of the Kubernetes Service for each port of the container."""
        found: dict[tuple[int, str], int] = {}
        for port in service.ports:
            published = int(port.published) if port.published.isdigit() else port.target
            found.setdefault((port.target, port.protocol or "tcp"), published)
        for exposed in service.expose:
            number, _, protocol = exposed.partition("/")
            if number.isdigit():
                found.setdefault((int(number), protocol or "tcp"), int(number))
        return found

    def _head(self, version: str, kind: str, name: str, service: str | None) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": self._labels(service)}}

    def _labels(self, service: str | None) -> dict[str, str]:
        labels = {"app.kubernetes.io/part-of": self._project.name}
        return labels if service is None else {"app.kubernetes.io/name": name_of(service), **labels}


def _resources(service: Service) -> dict[str, Any]:
    resources = service.deploy.resources if service.deploy else None
    found: dict[str, Any] = {}
    for key, amounts, memory, cpus in (
        ("limits", resources.limits if resources else None, service.mem_limit, service.cpus),
        ("requests", resources.reservations if resources else None, service.mem_reservation, 0),
    ):
        entry = {}
        if wanted := (amounts.cpus if amounts else 0) or cpus:
            entry["cpu"] = f"{round(wanted * 1000)}m"
        if wanted_memory := (amounts.memory if amounts else "") or memory:
            entry["memory"] = str(wanted_memory)
        if entry:
            found[key] = entry
    return found


def _probe(check: Healthcheck) -> dict[str, Any] | None:
    if check.disable or not check.test or check.test[0] == "NONE":
        return None
    kind, *words = check.test
    found: dict[str, Any] = {"exec": {"command": ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words}}
    for key, value in (
        ("periodSeconds", check.interval),
        ("timeoutSeconds", check.timeout),
        ("initialDelaySeconds", check.start_period),
    ):
        if value is not None:
            found[key] = max(1, units.duration_ns(value) // 1_000_000_000)
    if check.retries:
        found["failureThreshold"] = check.retries
    return found


def _security(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = {}
    user, _, group = service.user.partition(":")
    if user.isdigit():
        found["runAsUser"] = int(user)
    if group.isdigit():
        found["runAsGroup"] = int(group)
    if service.privileged:
        found["privileged"] = True
    if service.read_only:
        found["readOnlyRootFilesystem"] = True
    capabilities = {key: value for key, value in (("add", service.cap_add), ("drop", service.cap_drop)) if value}
    return found | ({"capabilities": capabilities} if capabilities else {})
