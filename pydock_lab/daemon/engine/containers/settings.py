"""From a create request and an image's config to the complete Config and HostConfig of a container.

Defaults, merging and every check that needs neither the disk nor the network.
Ports are ports.py's, mounts mounts.py's. Source: moby daemon/create.go,
daemon/container.go (verifyContainerSettings), runconfig merge.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, cast

from pydock_lab.daemon.engine.containers import logconfig, mounts, ports, security, signals
from pydock_lab.daemon.engine.containers.request import EMPTY_CONFIG, Config, CreateBody, HostConfig, RestartPolicy
from pydock_lab.daemon.linux import capabilities
from pydock_lab.daemon.runtime.oci import MASKED_PATHS, READONLY_PATHS
from pydock_lab.errors import InvalidParameter

_DEFAULT_SHM_BYTES = 64 * 1024 * 1024
_ENV_NAME = re.compile(r"^=|^$")

# Keys that Go leaves out of the document when they are empty.
_CONFIG_OPTIONAL = (
    "ExposedPorts", "Healthcheck", "ArgsEscaped", "NetworkDisabled", "MacAddress", "StopSignal", "Shell",
)  # fmt: skip
_MEANT_WHEN_EMPTY = ("MaskedPaths", "ReadonlyPaths", "Init", "PidsLimit", "MemorySwappiness", "OomKillDisable")
_HOST_OPTIONAL = ("Annotations", "Init", "Mounts", "StorageOpt", "Sysctls", "Tmpfs")


def host_config_defaults() -> dict[str, Any]:
    """Return the HostConfig of a container for which nothing was asked."""
    cgroup_v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return {
        "Binds": None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "bridge",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "AutoRemove": False,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [0, 0],
        "CapAdd": None,
        "CapDrop": None,
        "CgroupnsMode": "private" if cgroup_v2 else "host",
        "Dns": None,
        "DnsOptions": None,
        "DnsSearch": None,
        "ExtraHosts": None,
        "GroupAdd": None,
        "IpcMode": "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": 0,
        "PidMode": "",
        "Privileged": False,
        "PublishAllPorts": False,
        "ReadonlyRootfs": False,
        "SecurityOpt": None,
        "UTSMode": "",
        "UsernsMode": "",
        "ShmSize": _DEFAULT_SHM_BYTES,
        "Runtime": "runc",
        "Isolation": "",
        "CpuShares": 0,
        "Memory": 0,
        "NanoCpus": 0,
        "CgroupParent": "",
        "BlkioWeight": 0,
        "BlkioWeightDevice": None,
        "BlkioDeviceReadBps": None,
        "BlkioDeviceWriteBps": None,
        "BlkioDeviceReadIOps": None,
        "BlkioDeviceWriteIOps": None,
        "CpuPeriod": 0,
        "CpuQuota": 0,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": "",
        "CpusetMems": "",
        "Devices": None,
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        "MemoryReservation": 0,
        "MemorySwap": 0,
        "MemorySwappiness": None,
        "OomKillDisable": None if cgroup_v2 else False,
        "PidsLimit": None,
        "Ulimits": None,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": list(MASKED_PATHS),
        "ReadonlyPaths": list(READONLY_PATHS),
    }


def complete_host_config(asked: HostConfig) -> dict[str, Any]:
    """Fill what the client left out and check the rest. Raises InvalidParameter in Docker's words."""
    given = {key: value for key, value in asked.items() if value is not None}
    host: dict[str, Any] = host_config_defaults()
    for key, value in given.items():
        # An empty value is Go's way of not asking, but for these; an empty list is shown as it was asked.
        if value or key in _MEANT_WHEN_EMPTY or (value == [] and host.get(key) is None):
            host[key] = value
    for key in _HOST_OPTIONAL:
        if key in host and host[key] in ({}, []):
            del host[key]
    for key in ("CapAdd", "CapDrop"):
        if host[key] is not None:
            host[key] = _words(host[key])
    host["LogConfig"] = {"Type": host["LogConfig"].get("Type") or "json-file",
                         "Config": host["LogConfig"].get("Config") or {}}  # fmt: skip
    if host["Ulimits"]:
        host["Ulimits"] = [{"Name": "", "Hard": 0, "Soft": 0, **limit} for limit in host["Ulimits"]]
    host["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0, **host["RestartPolicy"]}
    host["RestartPolicy"]["Name"] = host["RestartPolicy"]["Name"] or "no"
    if host["Memory"] > 0 and not host["MemorySwap"]:
        host["MemorySwap"] = 2 * host["Memory"]
    if host["MemorySwappiness"] == -1:
        host["MemorySwappiness"] = None
    if host["PidsLimit"] is not None and host["PidsLimit"] <= 0:
        host["PidsLimit"] = None
    if host["NetworkMode"] == "default":
        host["NetworkMode"] = "bridge"
    if host["Privileged"]:
        host["MaskedPaths"], host["ReadonlyPaths"] = None, None
    host["SecurityOpt"] = security.completed(host)
    security.parse(host["SecurityOpt"] or [])
    capabilities.combine(host["CapAdd"] or (), host["CapDrop"] or ())
    ports.check_bindings(host["PortBindings"])
    check_restart_policy(cast(RestartPolicy, host["RestartPolicy"]), auto_remove=host["AutoRemove"])
    logconfig.check(host["LogConfig"])
    _check_modes(host)
    return host


def check_restart_policy(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Refuse a restart policy that Docker refuses."""
    name, retries = policy.get("Name", ""), policy.get("MaximumRetryCount", 0)
    if name not in ("", "no", "always", "unless-stopped", "on-failure"):
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'"
        )
    if name != "on-failure" and retries:
        raise InvalidParameter("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name not in ("", "no"):
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")


def _check_modes(host: dict[str, Any]) -> None:
    if host["ShmSize"] < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if not -1000 <= host["OomScoreAdj"] <= 1000:
        raise InvalidParameter(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")
    for options in (host.get("Tmpfs") or {}).values():
        mounts.check_tmpfs(options)
    if host["Isolation"] not in ("", "default"):
        raise InvalidParameter(f"invalid isolation: \"{host['Isolation']}\" - linux only supports 'default'")
    if host["Runtime"] not in ("runc", "io.containerd.runc.v2"):
        raise InvalidParameter(f"unknown or invalid runtime name: {host['Runtime']}")
    if host["NetworkMode"] in ("container", "container:"):
        raise InvalidParameter("invalid network mode: invalid container format container:<name|id>")
    for key in ("PidMode", "IpcMode", "UTSMode", "CgroupnsMode"):
        mode = host[key]
        joins = mode.startswith("container:") and key in ("PidMode", "IpcMode")
        allowed = {
            "PidMode": ("", "host"),
            "IpcMode": ("", "none", "private", "shareable", "host"),
            "UTSMode": ("", "host"),
            "CgroupnsMode": ("", "private", "host"),
        }[key]
        if mode not in allowed and not joins:
            shown = {"PidMode": "PID mode", "IpcMode": "IPC mode", "UTSMode": "UTS mode"}
            shown_key = shown.get(key, "cgroup namespace mode")
            raise InvalidParameter(f"invalid {shown_key}: {mode}")
    for name in host.get("Sysctls") or {}:
        if name.startswith("net.") and host["NetworkMode"] == "host":
            raise InvalidParameter(f'sysctl "{name}" not allowed in host network namespace')


def merge_config(body: CreateBody, image: dict[str, Any], container_id: str, host: dict[str, Any]) -> dict[str, Any]:
    """Lay a create request over the image's config and return a complete Config.

    Args:
        body: What the client asked for.
        image: The image's `config` (OCI image config), {} where it has none.
        container_id: Gives the default hostname.
        host: The complete HostConfig.

    Raises:
        InvalidParameter: no command, a relative directory, a bad variable.
    """
    config = {
        **EMPTY_CONFIG,
        "Labels": {},
        **{key: value for key, value in _config_part(body).items() if value is not None},
    }
    config["User"] = config["User"] or image.get("User") or ""
    config["WorkingDir"] = config["WorkingDir"] or image.get("WorkingDir") or ""
    config["Env"] = _merge_env(config["Env"] or [], image.get("Env") or [])
    config["Labels"] = {**(image.get("Labels") or {}), **(config["Labels"] or {})}
    config["Volumes"] = {**(image.get("Volumes") or {}), **(config["Volumes"] or {})} or None
    exposed = {**(image.get("ExposedPorts") or {}), **(config.get("ExposedPorts") or {})}
    config["ExposedPorts"] = {ports.normalize(port): {} for port in [*exposed, *(host["PortBindings"] or {})]}
    config["StopSignal"] = config.get("StopSignal") or image.get("StopSignal") or ""
    config["Shell"] = config.get("Shell") or image.get("Shell")
    config["OnBuild"] = image.get("OnBuild") or None
    _merge_command(config, image)
    _merge_healthcheck(config, image)
    if not config["Hostname"]:
        config["Hostname"] = _host_name() if host["NetworkMode"] == "host" else container_id[:12]
    if config["WorkingDir"]:
        if not config["WorkingDir"].startswith("/"):
            raise InvalidParameter(
                f"the working directory '{config['WorkingDir']}' is invalid, it needs to be an absolute path"
            )
        config["WorkingDir"] = os.path.normpath(config["WorkingDir"])
    if config["StopSignal"]:
        signals.parse(config["StopSignal"])
    for key in _CONFIG_OPTIONAL:
        if not config.get(key):
            config.pop(key, None)
    if config.get("StopTimeout") is None:
        config.pop("StopTimeout", None)
    return config


def _config_part(body: CreateBody) -> Config:
    return cast(Config, {key: value for key, value in body.items() if key not in ("HostConfig", "NetworkingConfig")})


def _merge_command(config: dict[str, Any], image: dict[str, Any]) -> None:
    """Docker's rule: an entrypoint given by the user drops the image's command too; [""] clears it."""
    given = config["Entrypoint"]
    config["Cmd"], config["Entrypoint"] = _words(config["Cmd"]), _words(given)
    if not config["Entrypoint"]:
        if not config["Cmd"]:
            config["Cmd"] = _words(image.get("Cmd"))
        if given is None or given == []:
            config["Entrypoint"] = _words(image.get("Entrypoint"))
    if config["Entrypoint"] == [""]:
        config["Entrypoint"] = None
    config["Cmd"] = config["Cmd"] or None
    if not config["Entrypoint"] and not config["Cmd"]:
        raise InvalidParameter(
            "no command specified", hint="give a command after the image, or set CMD in the Dockerfile"
        )


def _merge_healthcheck(config: dict[str, Any], image: dict[str, Any]) -> None:
    own, inherited = config.get("Healthcheck"), image.get("Healthcheck")
    if not inherited:
        return
    if not own:
        config["Healthcheck"] = dict(inherited)
        return
    for key, value in inherited.items():
        if not own.get(key):
            own[key] = value


def _merge_env(own: list[str], inherited: list[str]) -> list[str]:
    """The user's variables first, then the image's that the user did not set, as Docker orders them."""
    for entry in own:
        if _ENV_NAME.match(entry):
            raise InvalidParameter(f"invalid environment variable: {entry}")
    names = {entry.partition("=")[0] for entry in own}
    return [*own, *(entry for entry in inherited if entry.partition("=")[0] not in names)]


def _words(value: list[str] | str | None) -> list[str] | None:
    return [value] if isinstance(value, str) else value


def _host_name() -> str:
    return os.uname().nodename
