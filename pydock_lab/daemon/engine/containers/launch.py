"""From a container's record to the LaunchRequest that the runtime carries out.

Names namespaces, limits, rights and mounts; the OCI document itself is
runtime/oci.py's. Source: moby daemon/oci_linux.go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydock_lab.daemon.config import DaemonConfig
from pydock_lab.daemon.engine.containers import limits, logconfig, mounts, security
from pydock_lab.daemon.engine.containers.initlayer import InitLayers
from pydock_lab.daemon.engine.containers.links import links_of
from pydock_lab.daemon.engine.containers.networking import has_names, network_mode
from pydock_lab.daemon.engine.containers.record import Container, Record
from pydock_lab.daemon.engine.containers.table import ContainerTable
from pydock_lab.daemon.network import etcfiles, resolver
from pydock_lab.daemon.runtime import oci
from pydock_lab.daemon.runtime.request import Attachment, LaunchRequest, OverlayRoot
from pydock_lab.daemon.store.layers import LayerStore
from pydock_lab.errors import Conflict, InvalidParameter


class Launcher:
    """Knows where a container's files are, and writes its launch request."""

    def __init__(self, config: DaemonConfig, table: ContainerTable, layers: LayerStore) -> None:
        self._config = config
        self._table = table
        self._layers = layers
        self.init_layers = InitLayers(config.data_root / "init-layers", rootless=config.rootless)

    def directory(self, container_id: str) -> Path:
        """Return the directory of all that is the container's own: files, log, writable layer."""
        return self._config.data_root / "containers" / container_id

    def log_path(self, container_id: str) -> Path:
        """Return where its output is kept."""
        return self.directory(container_id) / f"{container_id}-json.log"

    def upper(self, container_id: str) -> Path:
        """Return its writable layer."""
        return self.directory(container_id) / "diff"

    def overlay(self, container: Container) -> OverlayRoot:
        """Return how its root is put together."""
        directory, chain_id = self.directory(container.id), container.record.chain_id
        return OverlayRoot(
            lower=[str(path) for path in (self.init_layers.path(chain_id), *self._layers.lower_paths(chain_id))],
            upper=str(directory / "diff"),
            work=str(directory / "work"),
            userxattr=self._config.rootless,
            volatile=container.record.host_config["AutoRemove"],
        )

    def request(self, container: Container, attachments: list[Attachment]) -> LaunchRequest:
        """Return everything the runtime needs to start the container.

        Raises:
            InvalidParameter, Conflict: what was asked can't be, in Docker's words.
        """
        record, host = container.record, container.record.host_config
        size = host["ConsoleSize"]
        return LaunchRequest(
            id=record.id,
            bundle=str(self._config.exec_root / "bundles" / record.id),
            config=self._oci_config(container),
            root=self.overlay(container),
            attachments=attachments,
            resolver=resolver.ADDRESS if has_names(record) else "",
            log=logconfig.log_of(record, self.log_path(container.id)),
            stdin_open=bool(record.config["OpenStdin"]),
            stdin_once=bool(record.config["StdinOnce"]),
            # Where the process is not the first of its namespace there is an init already.
            init="builtin" if host.get("Init") and not host["PidMode"] else "",
            rootless=self._config.rootless,
            single_id=self._config.single_id,
            console_size=(size[0], size[1]) if any(size or ()) else None,
        )

    def share_names(self, container: Container) -> None:
        """Take over the host name of the container whose network this one joins.

        Raises:
            NotFound, Conflict: there is none, or it does not run.
        """
        mode = network_mode(container.record)
        if mode.startswith("container:"):
            self._joined(container, mode, "network", "net")
            other = self._table.get(mode.partition(":")[2]).record.config
            container.record.config.update({key: other[key] for key in ("Hostname", "Domainname")})

    def network_of(self, reference: str) -> tuple[str, str, Path]:
        """Return what shares a container's network: its namespace, its host name, the directory of its /etc files.

        Raises:
            NotFound, Conflict: there is none, or it does not run.
        """
        other = self._table.get(reference)
        path = self._joined(None, f"container:{other.id}", "network", "net")
        kind, _, third = network_mode(other.record).partition(":")
        owner = self._table.get(third).id if kind == "container" else other.id
        return path, str(other.record.config["Hostname"]), self.directory(owner)

    def _oci_config(self, container: Container) -> dict[str, Any]:
        record, config, host = container.record, container.record.config, container.record.host_config
        profile, no_new_privileges = security.parse(host["SecurityOpt"] or [])
        for device in host["DeviceRequests"] or ():
            wanted = " ".join(f"[{' '.join(one)}]" for one in device.get("Capabilities") or ())
            driver = device.get("Driver") or ""
            raise InvalidParameter(f'could not select device driver "{driver}" with capabilities: [{wanted}]')
        return oci.default_config(
            [record.path, *record.args],
            env=[*(config["Env"] or []), *self._link_environment(record)],
            cwd=config["WorkingDir"] or "/",
            user=config["User"],
            groups=host["GroupAdd"] or [],
            hostname=config["Hostname"],
            domainname=config["Domainname"],
            tty=config["Tty"],
            read_only=host["ReadonlyRootfs"],
            mounts=[*self._own_files(container), *mounts.oci_mounts(record.mounts, host.get("Tmpfs"))],
            network=self._network(container),
            pid=self._joined(container, host["PidMode"], "PID", "pid") or "private",
            ipc=self._joined(container, host["IpcMode"], "IPC", "ipc") or "private",
            uts="host" if host["UTSMode"] == "host" else "private",
            cgroupns=host["CgroupnsMode"],
            cgroups_path=cgroup_path(record),
            resources=limits.resources(host),
            cap_add=host["CapAdd"] or [],
            cap_drop=host["CapDrop"] or [],
            privileged=host["Privileged"],
            no_new_privileges=no_new_privileges,
            seccomp=security.profile(profile),
            devices=host["Devices"] or [],
            device_cgroup_rules=host["DeviceCgroupRules"] or [],
            host_devices=not self._config.rootless,
            sysctls=host.get("Sysctls") or {},
            rlimits=[(limit["Name"], limit["Soft"], limit["Hard"]) for limit in host["Ulimits"] or []],
            oom_score_adj=host["OomScoreAdj"],
            shm_bytes=host["ShmSize"],
            masked_paths=host["MaskedPaths"],
            readonly_paths=host["ReadonlyPaths"],
            annotations=host.get("Annotations") or {},
        )

    def _link_environment(self, record: Record) -> list[str]:
        return [v for link in links_of(record, self._table) for v in link.environment(record.name)]

    def _own_files(self, container: Container) -> list[oci.Config]:
        kind, _, other = network_mode(container.record).partition(":")
        # Who shares a network shares its names.
        directory = self.directory(self._table.get(other).id if kind == "container" else container.id)
        taken = {point.destination for point in container.record.mounts}
        read_only = container.record.host_config["ReadonlyRootfs"]
        return [
            oci.bind(str(directory / name), f"/etc/{name}", read_only=read_only)
            for name in etcfiles.NAMES
            if f"/etc/{name}" not in taken
        ]

    def _network(self, container: Container) -> str:
        mode = network_mode(container.record)
        if mode.startswith("container:"):
            return self._joined(container, mode, "network", "net")
        return mode if mode in ("host", "none") else "bridge"

    def _joined(self, container: Container | None, mode: str, shown: str, namespace: str) -> str:
        """Turn `container:ID` into the path of a namespace; other modes stay as they are."""
        kind, _, reference = mode.partition(":")
        if kind != "container":
            return mode
        other = self._table.get(reference)
        if other is container:
            raise InvalidParameter(f"cannot join own {shown} namespace")
        if not other.state.running:
            raise Conflict(f"cannot join {shown} of a non running container: {other.id}")
        if namespace == "ipc" and other.record.host_config["IpcMode"] not in ("shareable", "host"):
            raise InvalidParameter(
                f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the "
                "donor container)"
            )
        return f"/proc/{other.state.pid}/ns/{namespace}"


def cgroup_path(record: Record) -> str:
    """Return where a container's cgroup is, from the root of the hierarchies."""
    parent: str = record.host_config["CgroupParent"] or "/pydock"
    return f"/{parent.strip('/')}/{record.id}"
