"""What Go makes of the engine's documents: structs print their values in order, nil lists as `[]`.

Docker's CLI runs `inspect --format` over Go structs, not over JSON: `{{.State}}` is
`{running true …}`, a field the engine leaves out has its zero value, and a list
that is null prints as an empty one. A shape says so for the documents that
learners look into. Source: moby api/types/container, image, network, volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Shape = Mapping[str, Any]
"""Fields in Go's order, each with its zero value, a nested shape, or `[shape]` for a list of structs."""


class Struct(dict[str, Any]):
    """An object that prints as Go's struct does.

    Args:
        document: Its fields as the engine sent them.
        shape: Its fields in order, with their zero values.
    """

    def __init__(self, document: Mapping[str, Any], shape: Shape) -> None:
        super().__init__({name: shaped(value, shape.get(name)) for name, value in document.items()})
        self._shape = shape

    def field(self, name: str) -> Any:
        """A field, its zero value where the engine left it out.

        Raises:
            KeyError: the struct has none of that name.
        """
        return self[name] if name in self else shaped(None, self._shape[name])

    def values_in_order(self) -> list[Any]:
        """What Go prints between the braces."""
        return [self.field(name) for name in self._shape]


class NilList(list[Any]):
    """A list that is null in JSON and `[]` in print."""


class NilMap(dict[str, Any]):
    """A map that is null in JSON and `map[]` in print."""


_LIST, _MAP = NilList(), NilMap()
_HEALTH: Shape = {"Status": "", "FailingStreak": 0, "Log": _LIST}
_STATE: Shape = {
    "Status": "", "Running": False, "Paused": False, "Restarting": False, "OOMKilled": False, "Dead": False, "Pid": 0,
    "ExitCode": 0, "Error": "", "StartedAt": "", "FinishedAt": "", "Health": None,
}  # fmt: skip
_CONFIG: Shape = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": False, "AttachStderr": False,
    "ExposedPorts": _MAP, "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": _LIST, "Cmd": _LIST,
    "Healthcheck": None, "ArgsEscaped": False, "Image": "", "Volumes": _MAP, "WorkingDir": "", "Entrypoint": _LIST,
    "NetworkDisabled": False, "MacAddress": "", "OnBuild": _LIST, "Labels": _MAP, "StopSignal": "",
    "StopTimeout": None, "Shell": _LIST,
}  # fmt: skip
_BINDING: Shape = {"HostIp": "", "HostPort": ""}
_PORTS: Shape = {"*": [_BINDING]}
_MOUNT: Shape = {
    "Type": "", "Name": "", "Source": "", "Destination": "", "Driver": "", "Mode": "", "RW": False, "Propagation": "",
}  # fmt: skip
_HOST_CONFIG: Shape = {
    **dict.fromkeys(
        ("Binds", "VolumesFrom", "CapAdd", "CapDrop", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts", "GroupAdd",
         "Links", "SecurityOpt", "Devices", "DeviceCgroupRules", "DeviceRequests", "Ulimits", "BlkioWeightDevice",
         "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "Mounts",
         "MaskedPaths", "ReadonlyPaths"),
        _LIST,
    ),
    **dict.fromkeys(("StorageOpt", "Tmpfs", "Sysctls", "Annotations"), _MAP),
    "LogConfig": {"Type": "", "Config": _MAP},
    "PortBindings": _PORTS,
    "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
    "Init": None,
    "PidsLimit": None,
    "OomKillDisable": None,
}  # fmt: skip
_GRAPH: Shape = {"Data": _MAP, "Name": ""}
_ENDPOINT: Shape = {"IPAMConfig": None, "Links": _LIST, "Aliases": _LIST, "DriverOpts": _MAP, "DNSNames": _LIST}
_CONTAINER: Shape = {
    "State": _STATE, "Config": _CONFIG, "HostConfig": _HOST_CONFIG, "Mounts": [_MOUNT], "GraphDriver": _GRAPH,
    "NetworkSettings": {"Ports": _PORTS, "Networks": {"*": _ENDPOINT}}, "Args": _LIST, "ExecIDs": _LIST,
    "SizeRw": None, "SizeRootFs": None,
}  # fmt: skip
_IMAGE: Shape = {
    "RepoTags": _LIST, "RepoDigests": _LIST, "Config": _CONFIG, "GraphDriver": _GRAPH,
    "RootFS": {"Type": "", "Layers": _LIST},
}  # fmt: skip
_POOL: Shape = {"Subnet": "", "IPRange": "", "Gateway": "", "AuxiliaryAddresses": _MAP}
_NETWORK: Shape = {
    "IPAM": {
        "Driver": "",
        "Options": _MAP,
        "Config": [{"Subnet": "", "IPRange": "", "Gateway": "", "AuxiliaryAddresses": _MAP}],
    },
    "Options": _MAP,
    "Labels": _MAP,
    "Containers": {"*": {"Name": "", "EndpointID": "", "MacAddress": "", "IPv4Address": "", "IPv6Address": ""}},
}
_VOLUME: Shape = {"Labels": _MAP, "Options": _MAP}
_PARTIAL = (_CONTAINER, _IMAGE, _NETWORK, _VOLUME, _HOST_CONFIG, _ENDPOINT, _CONTAINER["NetworkSettings"])
"""Shapes that know some fields only: what prints whole prints as a map."""


def of_document(document: Any) -> Any:
    """Give one of the engine's documents its shape; anything else is left as it is."""
    if not isinstance(document, Mapping):
        return document
    for key, shape in (("State", _CONTAINER), ("RootFS", _IMAGE), ("IPAM", _NETWORK), ("Mountpoint", _VOLUME)):
        if key in document:
            return Struct(document, shape)
    return document


def is_whole(struct: Struct) -> bool:
    """Whether the shape knows every field, so that the struct prints as Go's does."""
    return not any(struct._shape is shape for shape in _PARTIAL)


def shaped(value: Any, shape: Any) -> Any:
    """Give a value its shape; null becomes the shape's zero value."""
    if isinstance(shape, list) and not isinstance(shape, NilList):
        return NilList() if value is None else [shaped(entry, shape[0]) for entry in value]
    if isinstance(shape, NilList | NilMap) or not isinstance(shape, Mapping):
        return shape if value is None else value
    if "*" in shape:  # a map whose values have that shape
        if value is None:
            return NilMap()
        return {key: shaped(entry, shape["*"]) for key, entry in value.items()}
    if isinstance(value, Mapping) or value is None:
        return Struct(value or {}, shape)
    return value


def as_json(value: Any) -> Any:
    """Undo shapes: what the engine sent."""
    if isinstance(value, NilList | NilMap):
        return None
    if isinstance(value, Mapping):
        return {key: as_json(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [as_json(entry) for entry in value]
    return value
