"""A service → what the API takes to create one of its containers.

Source: docker/compose pkg/compose/create.go, Docker Engine API ContainerCreate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydock_lab.client.compose import labels, units
from pydock_lab.client.compose.model import Amounts, DeviceRequest, Healthcheck, Service, SingleOrRange
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.render import service_hash

_NO_LIMIT = Amounts()


def container_name(project: Project, name: str, number: int) -> str:
    """`demo-web-1`, or the name the file gives it."""
    return project.services[name].container_name or f"{project.name}-{name}-{number}"


def image_name(project: Project, name: str) -> str:
    """The image of a service: named, or what its build is tagged with."""
    return project.services[name].image or f"{project.name}-{name}"


def create_body(
    project: Project,
    name: str,
    *,
    number: int,
    image_id: str,
    container: str,
    peers: Mapping[str, str],
    inherited: Mapping[str, str] | None = None,
    oneoff: bool = False,
) -> dict[str, Any]:
    """Return the body of `POST /containers/create`.

    Args:
        project: The project.
        name: The service.
        number: Of the container.
        image_id: Of its image.
        container: Its name.
        peers: A container of each service whose namespaces or volumes this one shares.
        inherited: Anonymous volumes of the container it replaces, by their target.
        oneoff: For `run`.
    """
    service = project.services[name]
    network = primary_network(service)
    body: dict[str, Any] = {
        "Hostname": service.hostname,
        "Domainname": service.domainname,
        "User": service.user,
        "Tty": service.tty,
        "OpenStdin": service.stdin_open,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": [key if value is None else f"{key}={value}" for key, value in service.environment.items()],
        "Cmd": service.command,
        "Entrypoint": service.entrypoint,
        "Image": image_name(project, name),
        "WorkingDir": service.working_dir,
        "ExposedPorts": _exposed(service),
        "Labels": _labels(project, name, number, image_id, oneoff=oneoff),
        "HostConfig": host_config(project, name, peers, inherited or {}),
    }
    if service.stop_signal:
        body["StopSignal"] = service.stop_signal
    if service.stop_grace_period is not None:
        body["StopTimeout"] = -(-units.duration_ns(service.stop_grace_period) // 1_000_000_000)
    if service.mac_address:
        body["MacAddress"] = service.mac_address
    if service.healthcheck is not None:
        body["Healthcheck"] = healthcheck(service.healthcheck)
    if network is not None:
        endpoint = endpoint_settings(project, name, network, container, aliases=not oneoff)
        body["NetworkingConfig"] = {"EndpointsConfig": {project.networks[network].name: endpoint}}
    return body


def primary_network(service: Service) -> str | None:
    """The network a container is created in; the others are connected afterwards."""
    if service.network_mode or not service.networks:
        return None
    return networks_by_priority(service)[0]


def networks_by_priority(service: Service) -> list[str]:
    """A service's networks, highest priority first."""

    def key(name: str) -> tuple[int, str]:
        found = service.networks[name]
        return (-(found.priority if found else 0), name)

    return sorted(service.networks, key=key)


def endpoint_settings(project: Project, name: str, network: str, container: str, *, aliases: bool) -> dict[str, Any]:
    """How a container stands in a network."""
    found = project.services[name].networks.get(network)
    names = [container, *([name, *(found.aliases if found else ())] if aliases else ())]
    settings: dict[str, Any] = {"Aliases": list(dict.fromkeys(names)), "Links": _links(project, name) or None}
    if found is None:
        return settings
    addresses = {
        "IPv4Address": found.ipv4_address,
        "IPv6Address": found.ipv6_address,
        "LinkLocalIPs": found.link_local_ips,
    }
    if any(addresses.values()):
        settings["IPAMConfig"] = {key: value for key, value in addresses.items() if value}
    if found.mac_address:
        settings["MacAddress"] = found.mac_address
    if found.driver_opts:
        settings["DriverOpts"] = found.driver_opts
    return settings


def host_config(project: Project, name: str, peers: Mapping[str, str], inherited: Mapping[str, str]) -> dict[str, Any]:
    """The part of the body that is about the host: limits, mounts, ports, namespaces."""
    service = project.services[name]
    primary = primary_network(service)
    binds, mounts = _mounts(project, service, inherited)
    found: dict[str, Any] = {
        "AutoRemove": False,
        "Binds": binds or None,
        "Mounts": mounts,
        "Tmpfs": {path: options for path, _, options in (one.partition(":") for one in service.tmpfs)} or None,
        "CapAdd": service.cap_add or None,
        "CapDrop": service.cap_drop or None,
        "Dns": service.dns or None,
        "DnsOptions": service.dns_opt or None,
        "DnsSearch": service.dns_search or None,
        "ExtraHosts": [f"{host}:{one}" for host, addresses in service.extra_hosts.items() for one in addresses],
        "GroupAdd": service.group_add or None,
        "Init": service.init,
        "LogConfig": _log_config(service),
        "NetworkMode": project.networks[primary].name if primary else _shared(service.network_mode, peers) or "none",
        "OomScoreAdj": service.oom_score_adj,
        "IpcMode": _shared(service.ipc, peers),
        "PidMode": _shared(service.pid, peers),
        "UTSMode": service.uts,
        "UsernsMode": service.userns_mode,
        "CgroupParent": service.cgroup_parent,
        "PortBindings": _port_bindings(service),
        "Privileged": service.privileged,
        "ReadonlyRootfs": service.read_only,
        "RestartPolicy": _restart_policy(service),
        "Runtime": service.runtime,
        "SecurityOpt": service.security_opt or None,
        "ShmSize": int(service.shm_size or 0),
        "StorageOpt": service.storage_opt or None,
        "Sysctls": service.sysctls or None,
        "VolumesFrom": [_volumes_from(one, peers) for one in service.volumes_from] or None,
        "Annotations": service.annotations or None,
    }
    if service.cgroup:
        found["CgroupnsMode"] = service.cgroup
    return found | _resources(service)


def _labels(project: Project, name: str, number: int, image_id: str, *, oneoff: bool) -> dict[str, str]:
    service = project.services[name]
    depends_on = ",".join(
        f"{key}:{found.condition}:{str(found.restart).lower()}" for key, found in service.depends_on.items()
    )
    return {
        **service.labels,
        labels.PROJECT: project.name,
        labels.SERVICE: name,
        labels.VERSION: labels.COMPOSE_VERSION,
        labels.WORKING_DIR: str(project.directory),
        labels.CONFIG_FILES: ",".join(str(path) for path in project.files),
        labels.ONEOFF: str(oneoff),
        labels.NUMBER: str(number),
        labels.HASH: service_hash(service),
        labels.IMAGE: image_id,
        labels.DEPENDS_ON: depends_on,
    }


def _exposed(service: Service) -> dict[str, dict[str, str]]:
    names = [one if "/" in one else f"{one}/tcp" for one in service.expose]
    return {name: {} for name in [*names, *(f"{port.target}/{port.protocol or 'tcp'}" for port in service.ports)]}


def _port_bindings(service: Service) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in service.ports:
        key = f"{port.target}/{port.protocol or 'tcp'}"
        bindings.setdefault(key, []).append({"HostIp": port.host_ip, "HostPort": port.published})
    return bindings


def healthcheck(check: Healthcheck) -> dict[str, Any]:
    """A probe as the API takes it; durations in nanoseconds."""
    if check.disable:
        return {"Test": ["NONE"]}
    found: dict[str, Any] = {"Test": check.test} if check.test else {}
    for key, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ):
        if value is not None:
            found[key] = units.duration_ns(value)
    return found | ({"Retries": check.retries} if check.retries is not None else {})


def _mounts(project: Project, service: Service, inherited: Mapping[str, str]) -> tuple[list[str], list[dict[str, Any]]]:
    """Binds for what may have to be made on the host, mounts for everything else."""
    binds: list[str] = []
    mounts: list[dict[str, Any]] = []
    for volume in service.volumes:
        common = {"Target": volume.target, "ReadOnly": volume.read_only}
        if volume.type == "bind" and volume.bind is not None and volume.bind.create_host_path:
            options = [
                "ro" if volume.read_only else "rw",
                *(one for one in (volume.bind.selinux, volume.bind.propagation) if one),
            ]
            binds.append(f"{volume.source}:{volume.target}:{','.join(options)}")
        elif volume.type == "bind":
            propagation = {"Propagation": volume.bind.propagation} if volume.bind and volume.bind.propagation else {}
            mounts.append({"Type": "bind", "Source": volume.source, **common, "BindOptions": propagation})
        elif volume.type == "tmpfs":
            tmpfs = volume.tmpfs
            sizes = {"SizeBytes": int(tmpfs.size or 0), "Mode": tmpfs.mode} if tmpfs else {}
            mounts.append({"Type": "tmpfs", **common, "TmpfsOptions": sizes})
        else:
            source = project.volumes[volume.source].name if volume.source else inherited.get(volume.target, "")
            wanted: dict[str, Any] = {}
            if volume.volume and volume.volume.nocopy:
                wanted["NoCopy"] = True
            if volume.volume and volume.volume.subpath:
                wanted["Subpath"] = volume.volume.subpath
            mounts.append({"Type": "volume", "Source": source, **common, "VolumeOptions": wanted})
    mounts += [
        {"Type": "volume", "Source": source, "Target": target, "ReadOnly": False}
        for target, source in inherited.items()
        if target not in {volume.target for volume in service.volumes}
    ]
    for references, objects in ((service.configs, project.configs), (service.secrets, project.secrets)):
        for reference in references:
            if file := objects[reference.source].file:
                target = reference.target or f"/{reference.source}"
                target = target if target.startswith("/") else f"/run/secrets/{target}"
                mounts.append({"Type": "bind", "Source": file, "Target": target, "ReadOnly": True})
    return binds, mounts


def _log_config(service: Service) -> dict[str, Any]:
    if service.logging is None:
        return {"Type": "", "Config": {}}
    return {"Type": service.logging.driver, "Config": service.logging.options}


def _restart_policy(service: Service) -> dict[str, Any]:
    if service.restart:
        name, _, count = service.restart.partition(":")
        return {"Name": "" if name == "no" else name, "MaximumRetryCount": int(count or 0)}
    policy = service.deploy.restart_policy if service.deploy else None
    if policy is None:
        return {"Name": "", "MaximumRetryCount": 0}
    names = {"none": "no", "on-failure": "on-failure", "any": "always", "": "always"}
    count_ = policy.max_attempts or 0
    name = names.get(policy.condition, policy.condition)
    return {"Name": name, "MaximumRetryCount": count_ if name == "on-failure" else 0}


def _resources(service: Service) -> dict[str, Any]:
    resources = service.deploy.resources if service.deploy else None
    limits = (resources.limits if resources else None) or _NO_LIMIT
    reserved = (resources.reservations if resources else None) or _NO_LIMIT
    found: dict[str, Any] = {
        "Memory": int(limits.memory or service.mem_limit or 0),
        "MemoryReservation": int(reserved.memory or service.mem_reservation or 0),
        "MemorySwap": int(service.memswap_limit or 0),
        "NanoCpus": round((limits.cpus or service.cpus) * 1_000_000_000),
        "CpuPeriod": service.cpu_period,
        "CpuQuota": service.cpu_quota,
        "CpuShares": service.cpu_shares,
        "CpusetCpus": service.cpuset,
        "CpuCount": service.cpu_count,
        "CpuRealtimePeriod": service.cpu_rt_period,
        "CpuRealtimeRuntime": service.cpu_rt_runtime,
        "OomKillDisable": service.oom_kill_disable,
        "Devices": [
            {
                "PathOnHost": one.source,
                "PathInContainer": one.target or one.source,
                "CgroupPermissions": one.permissions or "rwm",
            }
            for one in service.devices
        ],
        "DeviceCgroupRules": service.device_cgroup_rules or None,
        "DeviceRequests": [
            *(_device_request(one, one.capabilities) for one in reserved.devices),
            *(_device_request(one, [*one.capabilities, "gpu"]) for one in service.gpus),
        ]
        or None,
        "Ulimits": [
            {"Name": name, "Soft": limit.soft, "Hard": limit.hard}
            if isinstance(limit, SingleOrRange)
            else {"Name": name, "Soft": limit, "Hard": limit}
            for name, limit in service.ulimits.items()
        ],
    }
    if pids := limits.pids or service.pids_limit:
        found["PidsLimit"] = pids
    if service.mem_swappiness:
        found["MemorySwappiness"] = int(service.mem_swappiness)
    if blkio := service.blkio_config:
        found["BlkioWeight"] = blkio.weight
        found["BlkioWeightDevice"] = [{"Path": one.path, "Weight": one.weight} for one in blkio.weight_device]
        for key, rates in (
            ("BlkioDeviceReadBps", blkio.device_read_bps),
            ("BlkioDeviceWriteBps", blkio.device_write_bps),
            ("BlkioDeviceReadIOps", blkio.device_read_iops),
            ("BlkioDeviceWriteIOps", blkio.device_write_iops),
        ):
            found[key] = [{"Path": one.path, "Rate": int(one.rate)} for one in rates]
    return found


def _device_request(request: DeviceRequest, capabilities: list[str]) -> dict[str, Any]:
    return {
        "Driver": request.driver,
        "Count": int(request.count or 0),
        "DeviceIDs": request.device_ids or None,
        "Capabilities": [capabilities],
        "Options": request.options or None,
    }


def _shared(mode: str, peers: Mapping[str, str]) -> str:
    """`service:db` → the container of that service."""
    return f"container:{peers[mode.removeprefix('service:')]}" if mode.startswith("service:") else mode


def _volumes_from(source: str, peers: Mapping[str, str]) -> str:
    if source.startswith("container:"):
        return source.removeprefix("container:")
    name, _, mode = source.partition(":")
    return f"{peers[name]}:{mode}" if mode else peers[name]


def _links(project: Project, name: str) -> list[str]:
    service = project.services[name]
    links = []
    for link in service.links:
        target, _, alias = link.partition(":")
        for number in range(1, project.services[target].replicas + 1):
            container = container_name(project, target, number)
            links += [f"{container}:{name}" for name in (alias or target, f"{target}-{number}", container)]
    return [*links, *service.external_links]
