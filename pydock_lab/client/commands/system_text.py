"""`version`, `info` and `df -v` as text, in Docker's layout."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Mapping
from typing import Any

from pydock_lab.client.commands.container.list import container_row
from pydock_lab.client.commands.image.images import image_rows
from pydock_lab.client.commands.session import Change
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import align

_DF_IMAGE_FIELDS = ("Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers")
_DF_CONTAINER_FIELDS = ("ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names")


def version_text(document: Mapping[str, Any]) -> str:
    """The text of `docker version`."""
    client, server = document["Client"], document["Server"]
    lines = [
        "Client: pydock_lab",
        f" Version:           {client['Version']}",
        f" API version:       {client['ApiVersion']}",
        f" Python version:    {client['PythonVersion']}",
        f" OS/Arch:           {client['Os']}/{client['Arch']}",
        f" Context:           {client['Context']}",
        "",
        f"Server: {(server.get('Platform') or {}).get('Name') or ''}".rstrip(),
    ]
    for component in server.get("Components") or [
        {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}
    ]:
        lines.append(f" {component['Name']}:")
        details = component.get("Details") or {}
        lines.append(f"  Version:          {component['Version']}")
        for label, key in (
            ("API version", "ApiVersion"),
            ("Go version", "GoVersion"),
            ("Python version", "PythonVersion"),
            ("GitCommit" if component["Name"] != "Engine" else "Git commit", "GitCommit"),
            ("Built", "BuildTime"),
            ("Experimental", "Experimental"),
        ):
            if key not in details:
                continue
            value = details[key]
            if key == "ApiVersion":
                value = f"{value} (minimum version {details.get('MinAPIVersion', '')})"
            lines.append(f"  {label + ':':<17} {value}".rstrip())
        if "Os" in details:
            lines.append(f"  OS/Arch:          {details['Os']}/{details.get('Arch', '')}")
    return "\n".join(lines)


def info_text(document: Mapping[str, Any]) -> str:
    """The text of `docker info`."""
    lines = [
        "Client:",
        f" Version:    {document['ClientInfo']['Version']}",
        f" Context:    {document['ClientInfo']['Context']}",
        " Debug Mode: false",
        "",
        "Server:",
        f" Containers: {document.get('Containers', 0)}",
        f"  Running: {document.get('ContainersRunning', 0)}",
        f"  Paused: {document.get('ContainersPaused', 0)}",
        f"  Stopped: {document.get('ContainersStopped', 0)}",
        f" Images: {document.get('Images', 0)}",
        f" Server Version: {document.get('ServerVersion', '')}",
        f" Storage Driver: {document.get('Driver', '')}",
        *(f"  {key}: {value}" for key, value in document.get("DriverStatus") or ()),
        *_lines(document, ("Logging Driver", "LoggingDriver"), ("Cgroup Driver", "CgroupDriver")),
        *_lines(document, ("Cgroup Version", "CgroupVersion")),
    ]
    plugins = document.get("Plugins") or {}
    if plugins:
        lines.append(" Plugins:")
        for kind in ("Volume", "Network", "Log"):
            if plugins.get(kind):
                lines.append(f"  {kind}: {' '.join(plugins[kind])}")
    if swarm := (document.get("Swarm") or {}).get("LocalNodeState"):
        lines.append(f" Swarm: {swarm}")
    if document.get("Runtimes"):
        lines.append(f" Runtimes: {' '.join(sorted(document['Runtimes']))}")
    lines += _lines(document, ("Default Runtime", "DefaultRuntime"), ("Init Binary", "InitBinary"))
    if options := document.get("SecurityOptions"):
        lines.append(" Security Options:")
        for option in options:
            name, *details = option.split(",")
            lines.append(f"  {name.removeprefix('name=')}")
            lines += [f"   {key.title()}: {value}" for key, _, value in (detail.partition("=") for detail in details)]
    lines += _lines(
        document,
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    )
    lines.append(f" Total Memory: {humanize.binary_size(document.get('MemTotal') or 0)}")
    lines += _lines(document, ("Name", "Name"), ("ID", "ID"), ("Docker Root Dir", "DockerRootDir"))
    lines += _lines(document, ("Debug Mode", "Debug"), ("Experimental", "ExperimentalBuild"))
    if labels := document.get("Labels"):
        lines += [" Labels:", *(f"  {label}" for label in labels)]
    registries = (document.get("RegistryConfig") or {}).get("InsecureRegistryCIDRs") or ()
    if registries:
        lines += [" Insecure Registries:", *(f"  {registry}" for registry in registries)]
    lines += _lines(document, ("Live Restore Enabled", "LiveRestoreEnabled"))
    lines += [f"\n{warning}" for warning in document.get("Warnings") or ()]
    return "\n".join(lines)


def df_verbose_text(usage: Mapping[str, Any], change: Change = lambda rows: rows) -> str:
    """The text of `docker system df -v`; `change` may put other values into its tables."""
    images = [
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"],
        *(
            [str(row[field]) for field in _DF_IMAGE_FIELDS]
            for document in usage.get("Images") or ()
            for row in image_rows(document)[:1]
        ),
    ]
    containers = [
        ["CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"],
        *(
            [str(row[field]) for field in _DF_CONTAINER_FIELDS]
            for document in usage.get("Containers") or ()
            for row in (container_row(document) | {"Size": humanize.size(document.get("SizeRw") or 0)},)
        ),
    ]
    volumes = [["VOLUME NAME", "LINKS", "SIZE"]]
    for document in usage.get("Volumes") or ():
        data = document.get("UsageData") or {}
        size = humanize.size(data["Size"]) if data.get("Size", -1) >= 0 else "N/A"
        volumes.append([document["Name"], str(data.get("RefCount", "N/A")), size])
    cache = [["CACHE ID", "CACHE TYPE", "SIZE", "CREATED", "LAST USED", "USAGE", "SHARED"]]
    for entry in usage.get("BuildCache") or ():
        cells = [entry["ID"][:12], entry.get("Type", ""), humanize.size(entry.get("Size") or 0)]
        cells += [_age(entry.get("CreatedAt")), _age(entry.get("LastUsedAt"))]
        cache.append([*cells, str(entry.get("UsageCount") or 0), "true" if entry.get("Shared") else "false"])
    total = humanize.size(sum(entry.get("Size") or 0 for entry in usage.get("BuildCache") or ()))
    tables = [align(change(table)) for table in (images, containers, volumes, cache)]
    return (
        f"Images space usage:\n\n{tables[0]}\n\nContainers space usage:\n\n{tables[1]}\n\n"
        f"Local Volumes space usage:\n\n{tables[2]}\n\nBuild cache usage: {total}\n\n{tables[3]}"
    )


def _age(moment: Any) -> str:
    """`2026-11-23T21:09:42.9Z` → `3 minutes ago`."""
    try:
        then = datetime.datetime.fromisoformat(re.sub(r"\.\d+|Z$", "", str(moment)) + "+00:00")
    except ValueError:
        return ""
    return humanize.ago(time.time() - then.timestamp())


def _lines(document: Mapping[str, Any], *labels: tuple[str, str]) -> list[str]:
    found = []
    for label, key in labels:
        value = document.get(key)
        if value not in (None, ""):
            found.append(f" {label}: {str(value).lower() if isinstance(value, bool) else value}")
    return found
