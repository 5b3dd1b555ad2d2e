"""A Compose service → the ServiceSpec a swarm takes.

The same file that `compose up` reads; what a swarm can't keep is in `unsupported`.
Source: docker/cli cli/compose/convert/service.go and volume.go, Docker Engine API
ServiceCreate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydock_lab.client.compose import units
from pydock_lab.client.compose.body import healthcheck
from pydock_lab.client.compose.model import (
    Amounts,
    Deploy,
    FileReference,
    Placement,
    Port,
    Service,
    SingleOrRange,
    UpdateConfig,
    Volume,
)
from pydock_lab.client.compose.project import Project

NAMESPACE = "com.docker.stack.namespace"
IMAGE = "com.docker.stack.image"

_UNSUPPORTED = (
    "build", "cgroup", "cgroup_parent", "devices", "domainname", "external_links", "ipc", "links", "mac_address",
    "network_mode", "pid", "privileged", "restart", "security_opt", "shm_size", "userns_mode",
)  # fmt: skip
_SPELLED = {"cgroup": "cgroupns_mode"}
_CONDITIONS = {"always": "any", "unless-stopped": "any", "on-failure": "on-failure"}


def unsupported(project: Project) -> tuple[str, ...]:
    """Name the keys of the file that a swarm ignores, in alphabetical order."""
    used = {
        _SPELLED.get(key, key)
        for service in project.services.values()
        for key in _UNSUPPORTED
        if getattr(service, key) not in (None, "", False, [], {})
    }
    return tuple(sorted(used))


def service_spec(
    project: Project, name: str, *, ids: Mapping[tuple[str, str], str], image: str, platforms: Sequence[Any] = ()
) -> dict[str, Any]:
    """Return the body of `POST /services/create`.

    Args:
        project: The project; its name is the stack's.
        name: The service.
        ids: Of configs and secrets, by kind and name: `("secret", "demo_token")`.
        image: Its image, with a digest where one is known.
        platforms: That the image is for; empty for any.
    """
    service = project.services[name]
    deploy = service.deploy or Deploy()
    stack = {NAMESPACE: project.name}
    spec: dict[str, Any] = {
        "Name": f"{project.name}_{name}",
        "Labels": {**deploy.labels, **stack, IMAGE: service.image},
        "TaskTemplate": {
            "ContainerSpec": _container(project, name, service, ids) | {"Image": image},
            "Resources": _resources(deploy),
            "RestartPolicy": _restart_policy(service, deploy),
            "Placement": _placement(deploy.placement) | ({"Platforms": list(platforms)} if platforms else {}),
            "Networks": _networks(project, name, service),
            "LogDriver": _given({"Name": service.logging.driver, "Options": service.logging.options})
            if service.logging
            else None,
        },
        "Mode": _mode(service, deploy),
        "UpdateConfig": _update(deploy.update_config),
        "RollbackConfig": _update(deploy.rollback_config),
    }
    spec["TaskTemplate"] = _given(spec["TaskTemplate"])
    ports = [_port(one) for one in sorted(service.ports, key=lambda one: int(one.published or 0))]
    endpoint = _given({"Mode": deploy.endpoint_mode.lower(), "Ports": ports})
    return _given(spec) | {"EndpointSpec": endpoint}  # empty is said too: the swarm then fills in `vip`


def _container(project: Project, name: str, service: Service, ids: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    grace = service.stop_grace_period
    return _given(
        {
            "Labels": {**service.labels, NAMESPACE: project.name},
            "Command": service.entrypoint,
            "Args": service.command,
            "Hostname": service.hostname,
            "Hosts": [f"{address} {host}" for host, found in service.extra_hosts.items() for address in found],
            "DNSConfig": _given({"Nameservers": service.dns, "Search": service.dns_search, "Options": service.dns_opt}),
            "Healthcheck": healthcheck(service.healthcheck) if service.healthcheck else None,
            "Env": sorted(key if value is None else f"{key}={value}" for key, value in service.environment.items()),
            "Dir": service.working_dir,
            "User": service.user,
            "Groups": service.group_add,
            "Mounts": [_mount(project, one) for one in service.volumes] + [_tmpfs(one) for one in service.tmpfs],
            "StopGracePeriod": None if grace is None else units.duration_ns(grace),
            "StopSignal": service.stop_signal,
            "TTY": service.tty,
            "OpenStdin": service.stdin_open,
            "ReadOnly": service.read_only,
            "Privileges": {"NoNewPrivileges": False},
            "Init": service.init,
            "Sysctls": service.sysctls,
            "CapabilityAdd": _capabilities(service.cap_add),
            "CapabilityDrop": _capabilities(service.cap_drop),
            "OomScoreAdj": service.oom_score_adj,
            "Ulimits": [
                {"Name": key, "Soft": limit.soft, "Hard": limit.hard}
                if isinstance(limit, SingleOrRange)
                else {"Name": key, "Soft": limit, "Hard": limit}
                for key, limit in sorted(service.ulimits.items())
            ],
            "Configs": [_reference("config", one, project.configs[one.source].name, ids) for one in service.configs],
            "Secrets": [_reference("secret", one, project.secrets[one.source].name, ids) for one in service.secrets],
        }
    )


def _capabilities(names: Sequence[str]) -> list[str]:
    """`net_admin` → `CAP_NET_ADMIN`; `ALL` stands alone."""
    upper = {name.upper() for name in names}
    if "ALL" in upper:
        return ["ALL"]
    return sorted(name if name.startswith("CAP_") else f"CAP_{name}" for name in upper)


def _reference(kind: str, used: FileReference, name: str, ids: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    title = kind.capitalize()
    target = (used.target or used.source).removeprefix("/run/secrets/" if kind == "secret" else "")
    return {
        "File": {
            "Name": target,
            "UID": used.uid or "0",
            "GID": used.gid or "0",
            "Mode": 0o444 if used.mode is None else used.mode,
        },
        f"{title}ID": ids[kind, name],
        f"{title}Name": name,
    }


def _mount(project: Project, volume: Volume) -> dict[str, Any]:
    mount: dict[str, Any] = {"Type": volume.type, "Target": volume.target, "ReadOnly": volume.read_only}
    if volume.type == "tmpfs":
        tmpfs = volume.tmpfs
        sizes = _given({"SizeBytes": int(tmpfs.size or 0), "Mode": tmpfs.mode}) if tmpfs else {}
        return mount | {"TmpfsOptions": sizes}
    if volume.type != "volume":
        propagation = volume.bind.propagation if volume.bind else ""
        return _given(mount | {"Source": volume.source, "BindOptions": _given({"Propagation": propagation})})
    if not volume.source:
        return mount
    stored = project.volumes[volume.source]
    options: dict[str, Any] = {"NoCopy": bool(volume.volume and volume.volume.nocopy)}
    if not stored.external:
        options["Labels"] = {**stored.labels, NAMESPACE: project.name}
        if stored.driver or stored.driver_opts:
            options["DriverConfig"] = {"Name": stored.driver or "local", "Options": stored.driver_opts}
    return mount | {"Source": stored.name, "VolumeOptions": options}


def _tmpfs(text: str) -> dict[str, Any]:
    return {"Type": "tmpfs", "Target": text.partition(":")[0]}


def _networks(project: Project, name: str, service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, place in (service.networks or {"default": None}).items():
        network = project.networks.get(key)
        target = network.name if network else f"{project.name}_{key}"
        predefined = target in ("bridge", "host", "none", "default")
        aliases = [*(place.aliases if place else ()), *(() if predefined else (name,))]
        options = place.driver_opts if place else None
        found.append(_given({"Target": target, "Aliases": aliases, "DriverOpts": options}))
    return sorted(found, key=lambda one: str(one["Target"]))


def _mode(service: Service, deploy: Deploy) -> dict[str, Any]:
    if deploy.mode == "global":
        return {"Global": {}}
    if deploy.mode == "global-job":
        return {"GlobalJob": {}}
    if deploy.mode == "replicated-job":
        return {"ReplicatedJob": {"MaxConcurrent": service.replicas, "TotalCompletions": service.replicas}}
    return {"Replicated": {"Replicas": service.replicas}}


def _resources(deploy: Deploy) -> dict[str, Any]:
    def amounts(found: Amounts | None) -> dict[str, Any]:
        if found is None:
            return {}
        return _given(
            {
                "NanoCPUs": round(found.cpus * 1_000_000_000),
                "MemoryBytes": int(found.memory or 0),
                "Pids": found.pids,
            }
        )

    return _given({"Limits": amounts(deploy.resources.limits), "Reservations": amounts(deploy.resources.reservations)})


def _restart_policy(service: Service, deploy: Deploy) -> dict[str, Any] | None:
    policy = deploy.restart_policy
    if policy is None:
        name, _, count = service.restart.partition(":")
        if name not in _CONDITIONS:
            return None
        return _given({"Condition": _CONDITIONS[name], "MaxAttempts": int(count or 0)})
    found: dict[str, Any] = {"Condition": policy.condition or None, "MaxAttempts": policy.max_attempts}
    for key, value in (("Delay", policy.delay), ("Window", policy.window)):
        found[key] = None if value is None else units.duration_ns(value)
    return {key: value for key, value in found.items() if value is not None}


def _update(config: UpdateConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    return {
        "Parallelism": 1 if config.parallelism is None else config.parallelism,
        "Delay": units.duration_ns(config.delay),
        "FailureAction": config.failure_action or "pause",
        "Monitor": units.duration_ns(config.monitor),
        "MaxFailureRatio": config.max_failure_ratio,
        "Order": config.order or "stop-first",
    }


def _placement(placement: Placement) -> dict[str, Any]:
    spread = [{"Spread": {"SpreadDescriptor": one["spread"]}} for one in placement.preferences if "spread" in one]
    return _given(
        {
            "Constraints": placement.constraints,
            "Preferences": spread,
            "MaxReplicas": placement.max_replicas_per_node,
        }
    )


def _port(port: Port) -> dict[str, Any]:
    return _given(
        {
            "Protocol": port.protocol or "tcp",
            "TargetPort": port.target,
            "PublishedPort": int(port.published or 0),
            "PublishMode": port.mode or "ingress",
        }
    )


def _given(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what was not set: a swarm has its own defaults for it."""
    return {key: value for key, value in document.items() if value not in (None, "", 0, [], {})}
