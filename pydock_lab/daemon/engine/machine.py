"""What `docker info` and `docker version` say of this machine and this daemon.

Source: Docker Engine API 1.47, SystemInfo and SystemVersion.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydock_lab import __version__
from pydock_lab.daemon.linux import cgroups
from pydock_lab.spec import timestamps

if TYPE_CHECKING:
    from pydock_lab.daemon.engine.engine import Engine

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version(api_version: str, min_api_version: str) -> dict[str, Any]:
    """Return the document of `GET /version`."""
    kernel, arch = os.uname().release, architecture()
    built = timestamps.render(int(Path(__file__).stat().st_mtime) * 10**9)
    details = {
        "ApiVersion": api_version,
        "Arch": arch,
        "BuildTime": built,
        "Experimental": "false",
        "GitCommit": "",
        "GoVersion": f"python{platform.python_version()}",
        "KernelVersion": kernel,
        "MinAPIVersion": min_api_version,
        "Os": "linux",
    }
    return {
        "Platform": {"Name": "pydock_lab"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        "ApiVersion": api_version,
        "MinAPIVersion": min_api_version,
        "GitCommit": "",
        "GoVersion": details["GoVersion"],
        "Os": "linux",
        "Arch": arch,
        "KernelVersion": kernel,
        "BuildTime": built,
    }


def info(engine: Engine) -> dict[str, Any]:
    """Return the document of `GET /info`."""
    config, containers = engine.config, list(engine.containers.table)
    layout = cgroups.detect()
    states = [container.state.status for container in containers]
    return {
        "ID": _daemon_id(config.data_root),
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len(engine.images.list(everything=True)),
        "Driver": "overlay2",
        "DriverStatus": [
            ["Backing Filesystem", _file_system(config.data_root)],
            ["Supports d_type", "true"],
            ["Using metacopy", "false"],
            ["Native Overlay Diff", "true"],
            ["userxattr", "true" if config.rootless else "false"],
        ],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": None,
            "Log": ["json-file", "local"],
        },
        **_limits(layout),
        "BridgeNfIptables": Path("/proc/sys/net/bridge/bridge-nf-call-iptables").exists(),
        "BridgeNfIp6tables": Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables").exists(),
        "Debug": config.debug,
        "NFd": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "NGoroutines": 1,
        "SystemTime": timestamps.render(time.time_ns()),
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs" if layout.version else "none",
        "CgroupVersion": str(layout.version or 1),
        "NEventsListener": engine.events.listeners,
        "KernelVersion": os.uname().release,
        "OperatingSystem": _os_release().get("PRETTY_NAME", "Linux"),
        "OSVersion": _os_release().get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": os.uname().machine,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": _registries(engine),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "GenericResources": None,
        "DockerRootDir": str(config.data_root),
        "HttpProxy": os.environ.get("HTTP_PROXY", ""),
        "HttpsProxy": os.environ.get("HTTPS_PROXY", ""),
        "NoProxy": os.environ.get("NO_PROXY", ""),
        "Name": os.uname().nodename,
        "Labels": [f"{key}={value}" for key, value in config.labels.items()],
        "ExperimentalBuild": False,
        "ServerVersion": __version__,
        "Runtimes": {"runc": {"path": "pydock-runtime"}},
        "DefaultRuntime": "runc",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": config.live_restore,
        "Isolation": "",
        "InitBinary": "builtin",
        "ContainerdCommit": {"ID": "", "Expected": ""},
        "RuncCommit": {"ID": "", "Expected": ""},
        "InitCommit": {"ID": "", "Expected": ""},
        "SecurityOptions": ["name=seccomp,profile=builtin", *(["name=rootless"] if config.rootless else [])],
        "CDISpecDirs": [],
        "Warnings": engine.networks.warnings or None,
    }


def architecture() -> str:
    """Return the machine's architecture as images name it."""
    machine = os.uname().machine
    return _ARCHITECTURES.get(machine, machine)


def _limits(layout: cgroups.Layout) -> dict[str, bool]:
    v2 = layout.version == 2
    controllers = set(layout.v1)
    if v2:
        controllers = set(Path(layout.unified, "cgroup.controllers").read_text().split())
    memory, cpu = "memory" in controllers, "cpu" in controllers
    return {
        "MemoryLimit": memory,
        "SwapLimit": memory,
        "CpuCfsPeriod": cpu,
        "CpuCfsQuota": cpu,
        "CPUShares": cpu,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
        "OomKillDisable": memory and not v2,
        "IPv4Forwarding": _enabled("/proc/sys/net/ipv4/ip_forward"),
    }


def _registries(engine: Engine) -> dict[str, Any]:
    mirrors = list(engine.config.registry_mirrors)
    indexes: dict[str, Any] = {"docker.io": {"Name": "docker.io", "Mirrors": mirrors, "Secure": True, "Official": True}}
    for name in engine.config.insecure_registries:
        indexes[name] = {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
    return {
        "AllowNondistributableArtifactsCIDRs": None,
        "AllowNondistributableArtifactsHostnames": None,
        "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
        "IndexConfigs": indexes,
        "Mirrors": mirrors,
    }


def _daemon_id(data_root: Path) -> str:
    digest = hashlib.sha256(f"{data_root}{os.uname().nodename}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def _file_system(path: Path) -> str:
    """Return the type of the file system a path is on, from the mount table."""
    best, kind = "", "unknown"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        mount_point = before.split()[4]
        inside = str(path) == mount_point or str(path).startswith(mount_point.rstrip("/") + "/")
        if inside and len(mount_point) >= len(best):
            best, kind = mount_point, after.split()[0]
    return "extfs" if kind.startswith("ext") else kind


def _enabled(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False
