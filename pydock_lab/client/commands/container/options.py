"""The flags of `run` and `create` as the body of the API's ContainerCreate.

Pure but for files the flags name (`--env-file`, `--label-file`, a seccomp
profile). Source: docker/cli cli/command/container/opts.go, Docker Engine API.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.commands import values
from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container import mounts, ports

Body = dict[str, Any]

_HOST_TEXTS = {
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cidfile": "ContainerIDFile",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "pid": "PidMode",
    "runtime": "Runtime",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "volume-driver": "VolumeDriver",
}
_HOST_NUMBERS = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "oom-score-adj": "OomScoreAdj",
    "pids-limit": "PidsLimit",
}
_HOST_SIZES = {
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "kernel-memory": "KernelMemory",
    "shm-size": "ShmSize",
}
_HOST_SWITCHES = {
    "oom-kill-disable": "OomKillDisable",
    "privileged": "Privileged",
    "publish-all": "PublishAllPorts",
    "read-only": "ReadonlyRootfs",
    "rm": "AutoRemove",
    "init": "Init",
}
_HOST_LISTS = {
    "cap-add": "CapAdd",
    "cap-drop": "CapDrop",
    "device-cgroup-rule": "DeviceCgroupRules",
    "dns": "Dns",
    "dns-option": "DnsOptions",
    "dns-search": "DnsSearch",
    "add-host": "ExtraHosts",
    "group-add": "GroupAdd",
    "link": "Links",
    "volumes-from": "VolumesFrom",
}
_HEALTH_DURATIONS = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
}


def create_body(arguments: Arguments, directory: Path, environment: Mapping[str, str]) -> Body:
    """Build the whole request.

    Args:
        arguments: Of `run` or `create`.
        directory: What relative paths in the flags are relative to.
        environment: Where `-e NAME` is looked up.

    Raises:
        ValueError: two flags conflict or a value is wrong, in Docker's words.
    """
    body = _config(arguments, directory, environment)
    host = _host_config(arguments, directory)
    _add_volumes(arguments, directory, body, host)
    bindings = ports.publish(arguments.many("publish"))
    exposed: dict[str, Body] = {port: {} for port in [*bindings, *ports.expose(arguments.many("expose"))]}
    if exposed:
        body["ExposedPorts"] = exposed
    host["PortBindings"] = bindings
    body["HostConfig"] = host
    endpoints = _endpoints(arguments, host)
    if endpoints:
        body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    return body


def read_environment(arguments: Arguments, directory: Path, environment: Mapping[str, str]) -> list[str]:
    """Join `--env-file` and `-e`; a name without a value takes the user's own, or is left out.

    Raises:
        ValueError: a file is missing or malformed, in Docker's words.
    """
    entries: list[str] = []
    for name in arguments.many("env-file"):
        entries += _file_entries(directory / name, name)
    for entry in arguments.many("env"):
        if not entry or entry.startswith("="):
            raise ValueError(f"invalid environment variable: {entry}")
        entries.append(entry)
    return _resolved(entries, environment)


def restart_policy(text: str) -> dict[str, Any]:
    """`on-failure:3` → `{"Name": "on-failure", "MaximumRetryCount": 3}`.

    Raises:
        ValueError: in Docker's words.
    """
    name, colon, count = text.partition(":")
    if colon and not name:
        raise ValueError("invalid restart policy format: no policy provided before colon")
    if colon and not count.isdigit():
        raise ValueError("invalid restart policy format: maximum retry count must be an integer")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _config(arguments: Arguments, directory: Path, environment: Mapping[str, str]) -> Body:
    image, *command = arguments.positional
    detached = arguments.command.flag("detach") is not None and arguments.on("detach")
    attached = {name.lower() for name in arguments.many("attach")}
    if unknown := attached - {"stdin", "stdout", "stderr"}:
        raise ValueError(f"valid streams are STDIN, STDOUT and STDERR: {unknown.pop()}")
    if detached and attached:
        raise ValueError("conflicting options: cannot specify both --attach and --detach")
    interactive = arguments.on("interactive")
    body: Body = {
        "Image": image,
        "Tty": arguments.on("tty"),
        "OpenStdin": interactive,
        "StdinOnce": interactive and not detached and (not attached or "stdin" in attached),
        "AttachStdin": not detached and ("stdin" in attached or (interactive and not attached)),
        "AttachStdout": not detached and (not attached or "stdout" in attached),
        "AttachStderr": not detached and (not attached or "stderr" in attached),
        "Env": read_environment(arguments, directory, environment),
        "Labels": _labels(arguments, directory),
    }
    if command:
        body["Cmd"] = command
    if arguments.has("entrypoint"):
        # An empty one takes the image's away.
        body["Entrypoint"] = [arguments.text("entrypoint")]
    for flag, name in (
        ("hostname", "Hostname"),
        ("domainname", "Domainname"),
        ("user", "User"),
        ("workdir", "WorkingDir"),
        ("stop-signal", "StopSignal"),
        ("mac-address", "MacAddress"),
    ):
        if arguments.text(flag):
            body[name] = arguments.text(flag)
    if arguments.has("stop-timeout"):
        body["StopTimeout"] = arguments.number("stop-timeout")
    if health := _healthcheck(arguments):
        body["Healthcheck"] = health
    return body


def _host_config(arguments: Arguments, directory: Path) -> Body:
    host: Body = {}
    for flag, name in _HOST_TEXTS.items():
        if arguments.text(flag):
            host[name] = arguments.text(flag)
    for flag, name in _HOST_NUMBERS.items():
        if arguments.has(flag):
            host[name] = arguments.number(flag)
    for flag, name in _HOST_SIZES.items():
        if arguments.has(flag):
            host[name] = arguments.size(flag)
    for flag, name in _HOST_SWITCHES.items():
        if arguments.has(flag):
            host[name] = arguments.on(flag)
    for flag, name in _HOST_LISTS.items():
        if arguments.has(flag):
            host[name] = arguments.many(flag)
    if arguments.has("memory-swappiness"):
        host["MemorySwappiness"] = arguments.number("memory-swappiness")
    if arguments.has("cpus"):
        host["NanoCpus"] = values.nano_cpus(arguments.text("cpus"))
    if arguments.has("restart"):
        host["RestartPolicy"] = restart_policy(arguments.text("restart"))
        if arguments.on("rm") and host["RestartPolicy"]["Name"] not in ("", "no"):
            raise ValueError("conflicting options: cannot specify both --restart and --rm")
    for flag, name in (("sysctl", "Sysctls"), ("annotation", "Annotations"), ("storage-opt", "StorageOpt")):
        if arguments.has(flag):
            host[name] = arguments.mapping(flag)
    if arguments.has("log-driver") or arguments.has("log-opt"):
        host["LogConfig"] = {"Type": arguments.text("log-driver"), "Config": arguments.mapping("log-opt")}
    if arguments.has("device"):
        host["Devices"] = [_device(spec) for spec in arguments.many("device")]
    if arguments.has("ulimit"):
        host["Ulimits"] = [read_ulimit(spec) for spec in arguments.many("ulimit")]
    if arguments.has("gpus"):
        host["DeviceRequests"] = [_gpus(spec) for spec in arguments.many("gpus")]
    if arguments.has("security-opt"):
        host["SecurityOpt"] = [_security_option(spec, directory) for spec in arguments.many("security-opt")]
    if arguments.has("blkio-weight-device"):
        weights = [spec.rpartition(":") for spec in arguments.many("blkio-weight-device")]
        host["BlkioWeightDevice"] = [{"Path": path, "Weight": values.integer(weight)} for path, _, weight in weights]
    for suffix in ("read-bps", "read-iops", "write-bps", "write-iops"):
        if arguments.has(f"device-{suffix}"):
            direction, unit = suffix.split("-")
            unit = {"bps": "Bps", "iops": "IOps"}[unit]
            rates = [_rate(spec) for spec in arguments.many(f"device-{suffix}")]
            host[f"BlkioDevice{direction.title()}{unit}"] = rates
    return host


def _add_volumes(arguments: Arguments, directory: Path, body: Body, host: Body) -> None:
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for spec in arguments.many("volume"):
        bind, target = mounts.volume(spec, directory)
        if bind:
            binds.append(bind)
        else:
            anonymous[target] = {}
    if binds:
        host["Binds"] = binds
    if anonymous:
        body["Volumes"] = anonymous
    if arguments.has("mount"):
        host["Mounts"] = [mounts.mount(spec) for spec in arguments.many("mount")]
        for mount in host["Mounts"]:
            if mount["Type"] == "bind" and mount["Source"].startswith("."):
                mount["Source"] = str((directory / mount["Source"]).resolve())
    if arguments.has("tmpfs"):
        host["Tmpfs"] = mounts.tmpfs(arguments.many("tmpfs"))


def _endpoints(arguments: Arguments, host: Body) -> dict[str, Body]:
    """Build EndpointsConfig and set NetworkMode; addresses and aliases go to the first network."""
    names: list[tuple[str, Body]] = []
    for spec in arguments.many("network"):
        fields = values.comma_separated(spec) if "=" in spec else [f"name={spec}"]
        name, endpoint = "", Body()
        for field in fields:
            key, value = values.key_value(field)
            if key == "name":
                name = value
            elif key == "alias":
                endpoint.setdefault("Aliases", []).append(value)
            elif key in ("ip", "ip6"):
                family = {"ip": "IPv4Address", "ip6": "IPv6Address"}[key]
                endpoint.setdefault("IPAMConfig", {})[family] = value
            elif key == "mac-address":
                endpoint["MacAddress"] = value
            elif key == "driver-opt":
                endpoint.setdefault("DriverOpts", {}).update([values.key_value(value)])
            else:
                raise ValueError(f"invalid field {key}")
        if not name:
            raise ValueError("network name must be specified")
        names.append((name, endpoint))
    host["NetworkMode"] = names[0][0] if names else "default"
    first = names[0][1] if names else Body()
    if arguments.has("network-alias"):
        first.setdefault("Aliases", []).extend(arguments.many("network-alias"))
    for flag, family in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if arguments.has(flag):
            first.setdefault("IPAMConfig", {})[family] = arguments.text(flag)
    if arguments.has("link-local-ip"):
        first.setdefault("IPAMConfig", {})["LinkLocalIPs"] = arguments.many("link-local-ip")
    if not names and not first:
        return {}
    return dict(names) if len(names) > 1 or first else {}


def _labels(arguments: Arguments, directory: Path) -> dict[str, str]:
    entries: list[str] = []
    for name in arguments.many("label-file"):
        entries += _file_entries(directory / name, name)
    return dict(values.key_value(entry) for entry in [*entries, *arguments.many("label")])


def _file_entries(path: Path, name: str) -> list[str]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ValueError(f"open {name}: {str(error.strerror).lower()}") from None
    entries: list[str] = []
    for line in lines:
        entry = line.lstrip()
        if not entry or entry.startswith("#"):
            continue
        key = entry.partition("=")[0]
        if not key:
            raise ValueError(f"no variable name on line '{entry}'")
        if any(character.isspace() for character in key):
            raise ValueError(f"variable '{key}' contains whitespaces")
        entries.append(entry)
    return entries


def _resolved(entries: list[str], environment: Mapping[str, str]) -> list[str]:
    found: list[str] = []
    for entry in entries:
        if "=" in entry:
            found.append(entry)
        elif entry in environment:
            found.append(f"{entry}={environment[entry]}")
    return found


def _healthcheck(arguments: Arguments) -> Body:
    if arguments.on("no-healthcheck"):
        if any(arguments.has(flag) for flag in ("health-cmd", "health-retries", *_HEALTH_DURATIONS)):
            raise ValueError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    check: Body = {}
    if arguments.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", arguments.text("health-cmd")]
    for flag, name in _HEALTH_DURATIONS.items():
        if arguments.has(flag):
            check[name] = arguments.duration(flag)
            if check[name] < 0:
                raise ValueError(f"--{flag} cannot be negative")
    if arguments.has("health-retries"):
        check["Retries"] = arguments.number("health-retries")
    return check


def _device(spec: str) -> dict[str, str]:
    source, *rest = spec.split(":")
    target, permissions = source, "rwm"
    if rest and set(rest[-1]) <= set("rwm") and rest[-1]:
        permissions = rest.pop()
    if rest:
        target = rest[0]
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": permissions}


def read_ulimit(spec: str) -> dict[str, Any]:
    """`nofile=1024:2048` → the API's Ulimit.

    Raises:
        ValueError: in Docker's words.
    """
    name, equals, limits = spec.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {spec}")
    soft, _, hard = limits.partition(":")
    return {"Name": name, "Soft": values.integer(soft), "Hard": values.integer(hard or soft)}


def _gpus(spec: str) -> dict[str, Any]:
    count = -1 if spec == "all" else values.integer(spec)
    return {"Driver": "", "Count": count, "Capabilities": [["gpu"]]}


def _rate(spec: str) -> dict[str, Any]:
    path, colon, rate = spec.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise ValueError(f"bad format: {spec}")
    return {"Path": path, "Rate": values.size_bytes(rate)}


def _security_option(spec: str, directory: Path) -> str:
    key, separator, value = spec.partition("=")
    if key != "seccomp" or not separator or value in ("unconfined", "builtin"):
        return spec
    try:
        return "seccomp=" + json.dumps(json.loads((directory / value).read_text("utf-8")), separators=(",", ":"))
    except OSError as error:
        reason = str(error.strerror).lower()
        raise ValueError(f"opening seccomp profile ({value}) failed: open {value}: {reason}") from None
