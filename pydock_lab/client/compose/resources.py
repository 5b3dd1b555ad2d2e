"""A project's networks and volumes: make those that are missing, take away those that are not wanted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydock_lab.client.commands.failure import EngineError
from pydock_lab.client.commands.session import Session
from pydock_lab.client.compose import labels
from pydock_lab.client.compose.graph import Cancellation, visit
from pydock_lab.client.compose.model import Network, StoredVolume
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.report import Report


class Resources:
    """The networks and volumes of a project on an engine.

    Args:
        session: The session.
        project: The project.
        report: Is told what is done.
        cancellation: Of the command.
    """

    def __init__(self, session: Session, project: Project, report: Report, cancellation: Cancellation) -> None:
        self._request = session.connection.request
        self._project = project
        self._report = report
        self._cancellation = cancellation

    def make(self) -> None:
        """Make the networks and volumes that are not there yet.

        Raises:
            ComposeError: one that others should have made is missing, or another project's is in the way.
        """
        networks = {found["Name"]: found for found in self._request("GET", "/networks").json()}
        volumes = {found["Name"]: found for found in self._request("GET", "/volumes").json()["Volumes"] or ()}
        missing: dict[str, Any] = {}
        for key, network in self._project.networks.items():
            if self._network_missing(key, network, networks.get(network.name)):
                missing[f"network {key}"] = lambda key=key, network=network: self._make_network(key, network)
        for key, volume in self._project.volumes.items():
            if self._volume_missing(volume, volumes.get(volume.name)):
                missing[f"volume {key}"] = lambda key=key, volume=volume: self._make_volume(key, volume)
        visit(missing, {}, lambda name: missing[name](), self._cancellation)

    def remove_networks(self, only: Collection[str] | None = None) -> None:
        """Remove the project's networks, also those that an earlier version of its file asked for.

        Args:
            only: Of these names, and None for all.
        """
        filters = labels.of_project(self._project.name)
        found = self._request("GET", "/networks", query={"filters": filters}).json()
        names = {one["Id"]: one["Name"] for one in found if only is None or one["Name"] in only}
        visit(
            names,
            {},
            lambda identifier: self._remove("Network", "networks", identifier, names[identifier]),
            self._cancellation,
        )

    def remove_volumes(self) -> None:
        """Remove the project's named volumes; those made elsewhere stay."""
        filters = labels.of_project(self._project.name)
        found = self._request("GET", "/volumes", query={"filters": filters}).json()["Volumes"] or ()
        names = [one["Name"] for one in found]
        visit(names, {}, lambda name: self._remove("Volume", "volumes", name, name), self._cancellation)

    def _network_missing(self, key: str, network: Network, found: dict[str, Any] | None) -> bool:
        if network.external:
            if found is None and network.name not in ("host", "none", "bridge"):
                raise ComposeError(
                    f"network {network.name} declared as external, but could not be found",
                    exit_code=1,
                    hint=f"make it first: docker network create {network.name}",
                )
            return False
        if found is None:
            return True
        marks = found.get("Labels") or {}
        if marks.get(labels.PROJECT) != self._project.name:
            self._report.warn(
                f"a network with name {network.name} exists but was not created for project "
                f'"{self._project.name}".\nSet `external: true` to use an existing network'
            )
        elif marks.get(labels.NETWORK) != key:
            raise ComposeError(
                f"network {network.name} was found but has incorrect label {labels.NETWORK} set to "
                f'"{marks.get(labels.NETWORK, "")}" (expected: "{key}")',
                exit_code=1,
            )
        return False

    def _volume_missing(self, volume: StoredVolume, found: dict[str, Any] | None) -> bool:
        if volume.external:
            if found is None:
                raise ComposeError(
                    f'external volume "{volume.name}" not found',
                    exit_code=1,
                    hint=f"make it first: docker volume create {volume.name}",
                )
            return False
        if found is not None and (found.get("Labels") or {}).get(labels.PROJECT) != self._project.name:
            self._report.warn(
                f'volume "{volume.name}" already exists but was not created by Docker Compose. '
                "Use `external: true` to use an existing volume"
            )
        return found is None

    def _make_network(self, key: str, network: Network) -> None:
        self._report.did("Network", network.name, "Creating")
        pools = [
            {
                name: value
                for name, value in (
                    ("Subnet", pool.subnet),
                    ("Gateway", pool.gateway),
                    ("IPRange", pool.ip_range),
                    ("AuxiliaryAddresses", pool.aux_addresses),
                )
                if value
            }
            for pool in network.ipam.config
        ]
        body: dict[str, Any] = {
            "Name": network.name,
            "CheckDuplicate": True,
            "Driver": network.driver or "bridge",
            "Options": network.driver_opts,
            "Internal": network.internal,
            "Attachable": network.attachable,
            "EnableIPv6": bool(network.enable_ipv6),
            "Labels": {**network.labels, **self._labels(labels.NETWORK, key)},
        }
        if pools or network.ipam.driver:
            body["IPAM"] = {"Driver": network.ipam.driver or "default", "Config": pools}
        self._request("POST", "/networks/create", body)
        self._report.did("Network", network.name, "Created")

    def _make_volume(self, key: str, volume: StoredVolume) -> None:
        self._report.did("Volume", f'"{volume.name}"', "Creating")
        body = {
            "Name": volume.name,
            "Driver": volume.driver or "local",
            "DriverOpts": volume.driver_opts,
            "Labels": {**volume.labels, **self._labels(labels.VOLUME, key)},
        }
        self._request("POST", "/volumes/create", body)
        self._report.did("Volume", f'"{volume.name}"', "Created")

    def _labels(self, kind: str, key: str) -> dict[str, str]:
        return {labels.PROJECT: self._project.name, kind: key, labels.VERSION: labels.COMPOSE_VERSION}

    def _remove(self, kind: str, path: str, identifier: str, name: str) -> None:
        self._report.did(kind, name, "Removing")
        try:
            self._request("DELETE", f"/{path}/{identifier}")
        except EngineError as error:
            if error.status_code == 404:
                return
            if error.status_code in (403, 409):  # a container that is not ours is in it
                self._report.did(kind, name, "Resource is still in use")
                return
            raise
        self._report.did(kind, name, "Removed")
