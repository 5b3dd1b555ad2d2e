"""The body of `POST /containers/create`, typed: Docker's Config, HostConfig and NetworkingConfig.

Only the shapes; what the values must be is settings.py's. Unknown keys are
dropped, as Go's decoder drops them. Source: Docker Engine API 1.47,
ContainerConfig and HostConfig.
"""

from __future__ import annotations

from typing import Any, TypedDict

from pydock_lab.daemon.engine import bodies

Strings = list[str] | None
Words = list[str] | str | None


class PortBinding(TypedDict, total=False):
    """One entry of HostConfig.PortBindings."""

    HostIp: str
    HostPort: str


class LogConfig(TypedDict, total=False):
    """HostConfig.LogConfig."""

    Type: str
    Config: dict[str, str] | None


class RestartPolicy(TypedDict, total=False):
    """HostConfig.RestartPolicy."""

    Name: str
    MaximumRetryCount: int


class Mount(TypedDict, total=False):
    """One entry of HostConfig.Mounts."""

    Type: str
    Source: str
    Target: str
    ReadOnly: bool
    Consistency: str
    BindOptions: dict[str, Any] | None
    VolumeOptions: dict[str, Any] | None
    TmpfsOptions: dict[str, Any] | None


class Ulimit(TypedDict, total=False):
    """One entry of HostConfig.Ulimits."""

    Name: str
    Soft: int
    Hard: int


class Resources(TypedDict, total=False):
    """The part of HostConfig that `POST /containers/{id}/update` may change."""

    CpuShares: int
    Memory: int
    NanoCpus: int
    CgroupParent: str
    BlkioWeight: int
    BlkioWeightDevice: list[dict[str, Any]] | None
    BlkioDeviceReadBps: list[dict[str, Any]] | None
    BlkioDeviceWriteBps: list[dict[str, Any]] | None
    BlkioDeviceReadIOps: list[dict[str, Any]] | None
    BlkioDeviceWriteIOps: list[dict[str, Any]] | None
    CpuPeriod: int
    CpuQuota: int
    CpuRealtimePeriod: int
    CpuRealtimeRuntime: int
    CpusetCpus: str
    CpusetMems: str
    Devices: list[dict[str, str]] | None
    DeviceCgroupRules: Strings
    DeviceRequests: list[dict[str, Any]] | None
    MemoryReservation: int
    MemorySwap: int
    MemorySwappiness: int | None
    KernelMemory: int
    OomKillDisable: bool | None
    PidsLimit: int | None
    Ulimits: list[Ulimit] | None
    CpuCount: int
    CpuPercent: int
    IOMaximumIOps: int
    IOMaximumBandwidth: int


class Update(Resources, total=False):
    """The body of `POST /containers/{id}/update`."""

    RestartPolicy: RestartPolicy


class HostConfig(Resources, total=False):
    """What depends on the host: binds, ports, limits, rights."""

    Binds: Strings
    ContainerIDFile: str
    LogConfig: LogConfig
    NetworkMode: str
    PortBindings: dict[str, list[PortBinding] | None] | None
    RestartPolicy: RestartPolicy
    AutoRemove: bool
    VolumeDriver: str
    VolumesFrom: Strings
    Mounts: list[Mount] | None
    ConsoleSize: list[int] | None
    Annotations: dict[str, str] | None
    CapAdd: Words
    CapDrop: Words
    CgroupnsMode: str
    Dns: Strings
    DnsOptions: Strings
    DnsSearch: Strings
    ExtraHosts: Strings
    GroupAdd: Strings
    IpcMode: str
    Cgroup: str
    Links: Strings
    OomScoreAdj: int
    PidMode: str
    Privileged: bool
    PublishAllPorts: bool
    ReadonlyRootfs: bool
    SecurityOpt: Strings
    StorageOpt: dict[str, str] | None
    Tmpfs: dict[str, str] | None
    UTSMode: str
    UsernsMode: str
    ShmSize: int
    Sysctls: dict[str, str] | None
    Runtime: str
    Isolation: str
    MaskedPaths: Strings
    ReadonlyPaths: Strings
    Init: bool | None


class Config(TypedDict, total=False):
    """What is the container's own and could move to another host."""

    Hostname: str
    Domainname: str
    User: str
    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    ExposedPorts: dict[str, Any] | None
    Tty: bool
    OpenStdin: bool
    StdinOnce: bool
    Env: Strings
    Cmd: Words
    Healthcheck: dict[str, Any] | None
    ArgsEscaped: bool
    Image: str
    Volumes: dict[str, Any] | None
    WorkingDir: str
    Entrypoint: Words
    NetworkDisabled: bool
    MacAddress: str
    OnBuild: Strings
    Labels: dict[str, str] | None
    StopSignal: str
    StopTimeout: int | None
    Shell: Words


EMPTY_CONFIG: dict[str, Any] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}
"""A Config for which nothing was asked, with the keys that Go never leaves out."""


class NetworkingConfig(TypedDict, total=False):
    """Which networks, with which settings."""

    EndpointsConfig: dict[str, dict[str, Any] | None] | None


class CreateBody(Config, total=False):
    """The whole body: a Config with two companions."""

    HostConfig: HostConfig
    NetworkingConfig: NetworkingConfig | None


def decode_create(body: bytes) -> CreateBody:
    """Read the body of a create request. Raises InvalidParameter."""
    document = bodies.read(body, CreateBody)
    if "HostConfig" not in document:
        # Before API 1.15 its fields stood beside Config's, and some clients still put them there.
        document["HostConfig"] = bodies.read(body, HostConfig)
    return document


def decode_update(body: bytes) -> Update:
    """Read the body of an update request. Raises InvalidParameter."""
    return bodies.read(body, Update)
