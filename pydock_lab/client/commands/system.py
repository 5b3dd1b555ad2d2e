"""The engine itself: `version`, `info`, `df`, `events`, `prune`, and `inspect` of anything."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from typing import Any

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.container.look import inspect_each
from pydock_lab.client.commands.failure import CommandError, EngineError
from pydock_lab.client.commands.filters import api_time, confirmed, filters_json
from pydock_lab.client.commands.image.images import pruned_images
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.system_text import info_text, version_text
from pydock_lab.client.commands.text import humanize
from pydock_lab.client.commands.text.tables import Table, inspect_result
from pydock_lab.client.commands.text.templates import Template, TemplateError, go_json
from pydock_lab.client.connection import API_VERSION

_DF = Table(
    {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"},
    ("Type", "TotalCount", "Active", "Size", "Reclaimable"),
    "*formatter.diskUsageContext",
)
_PACKAGE = "pydock-lab"
_INSPECTED = ("container", "image", "network", "volume")


def version(arguments: Arguments, session: Session) -> Result:
    """Show the versions of the client and the engine."""
    server = session.connection.request("GET", "/version").json()
    client = {
        "Version": metadata.version(_PACKAGE),
        "ApiVersion": session.connection.api_version,
        "DefaultAPIVersion": API_VERSION,
        "PythonVersion": platform.python_version(),
        "Os": sys.platform,
        "Arch": _machine(),
        "Context": session.connection.context,
    }
    return _document({"Client": client, "Server": server}, arguments, version_text)


def info(arguments: Arguments, session: Session) -> Result:
    """Show what the engine is and runs on."""
    document = session.connection.request("GET", "/info").json()
    client = {"Version": metadata.version(_PACKAGE), "Context": session.connection.context, "Debug": False}
    document["ClientInfo"] = client
    return _document(document, arguments, info_text)


def inspect(arguments: Arguments, session: Session) -> Result:
    """Show anything that has a name or an id as the API describes it."""
    wanted = arguments.text("type")
    if wanted and wanted not in _INSPECTED:
        known = ", ".join(f'"{kind}"' for kind in _INSPECTED)
        raise CommandError(f'unknown type: "{wanted}": must be one of {known}')
    query = {"size": arguments.on("size") or None}
    paths = {
        "container": "/containers/{}/json",
        "image": "/images/{}/json",
        "network": "/networks/{}",
        "volume": "/volumes/{}",
    }

    def one(name: str) -> Any:
        if wanted:
            return session.connection.request("GET", paths[wanted].format(name), query=query).json()
        for path in paths.values():
            try:
                return session.connection.request("GET", path.format(name), query=query).json()
            except EngineError as error:
                if error.status_code != 404:
                    raise
        raise CommandError(f"Error: No such object: {name}")

    return inspect_each(arguments, session, one)


def df(arguments: Arguments, session: Session) -> Result:
    """Show what images, containers, volumes and the build cache take on disk."""
    usage = session.connection.request("GET", "/system/df").json()
    if arguments.on("verbose"):
        from pydock_lab.client.commands.system_text import df_verbose_text

        return Result(text=df_verbose_text(usage), documents=[usage], layout=partial(df_verbose_text, usage))
    found = _DF.result(df_rows(usage), template=arguments.text("format"))
    found.documents = [usage]
    return found


def df_rows(usage: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a row for each kind of thing on disk."""
    images, containers = usage.get("Images") or [], usage.get("Containers") or []
    volumes, cache = usage.get("Volumes") or [], usage.get("BuildCache") or []
    layers = usage.get("LayersSize") or 0
    used = sum(
        image["Size"] - max(image.get("SharedSize") or 0, 0) for image in images if (image.get("Containers") or 0) > 0
    )
    running = [found for found in containers if found.get("State") in ("running", "paused", "restarting")]
    written = sum(found.get("SizeRw") or 0 for found in containers)
    free_written = sum(found.get("SizeRw") or 0 for found in containers if found not in running)
    in_use = [found for found in volumes if (found.get("UsageData") or {}).get("RefCount", 0) > 0]
    volume_size = sum(max((found.get("UsageData") or {}).get("Size", 0), 0) for found in volumes)
    free_volumes = sum(
        max((found.get("UsageData") or {}).get("Size", 0), 0) for found in volumes if found not in in_use
    )
    cached = sum(entry.get("Size") or 0 for entry in cache if not entry.get("Shared"))
    free_cache = sum(entry.get("Size") or 0 for entry in cache if not entry.get("InUse") and not entry.get("Shared"))
    active_images = sum((image.get("Containers") or 0) > 0 for image in images)
    active_cache = sum(bool(entry.get("InUse")) for entry in cache)
    return [
        _df_row("Images", len(images), active_images, layers, max(layers - used, 0)),
        _df_row("Containers", len(containers), len(running), written, free_written),
        _df_row("Local Volumes", len(volumes), len(in_use), volume_size, free_volumes),
        _df_row("Build Cache", len(cache), active_cache, cached, free_cache, percent=False),
    ]


def events(arguments: Arguments, session: Session) -> Result:
    """Show what happens in the engine, until interrupted or `--until`."""
    query = {
        "since": api_time(arguments.text("since")),
        "until": api_time(arguments.text("until")),
        "filters": filters_json(arguments),
    }
    shown = _event_text(arguments.text("format"))
    response = session.connection.request("GET", "/events", stream=True, query=query)
    with response, session.interruptible():
        for line in response.iter_lines():
            if line.strip():
                session.say(shown(json.loads(line)))
    return Result()


def prune(arguments: Arguments, session: Session) -> Result:
    """Remove stopped containers, unused networks, dangling images and, if asked, volumes."""
    everything, volumes = arguments.on("all"), arguments.on("volumes")
    lines = ["all stopped containers", "all networks not used by at least one container"]
    if volumes:
        lines.append("all anonymous volumes not used by at least one container")
    lines.append(
        "all images without at least one container associated to them" if everything else "all dangling images"
    )
    lines.append("unused build cache")
    if not confirmed(arguments, session, "This will remove:\n" + "\n".join(f"  - {line}" for line in lines) + "\n"):
        return Result()
    freed, said = 0, []
    steps = [("containers", "ContainersDeleted"), ("networks", "NetworksDeleted")]
    steps += [("volumes", "VolumesDeleted")] if volumes else []
    for noun, key in steps:
        query = {"filters": filters_json(arguments)}
        answer = session.connection.request("POST", f"/{noun}/prune", query=query).json()
        freed += answer.get("SpaceReclaimed") or 0
        if gone := answer.get(key):
            said += [f"Deleted {noun.title()}:", *gone, ""]
    filters = filters_json(arguments, dangling=["false" if everything else "true"])
    answer = session.connection.request("POST", "/images/prune", query={"filters": filters}).json()
    freed += answer.get("SpaceReclaimed") or 0
    if answer.get("ImagesDeleted"):
        said += [*pruned_images(answer).splitlines()[:-1]]
    freed += _prune_build_cache(session, {"all": everything or None}, said)
    return Result(text="\n".join([*said, f"Total reclaimed space: {humanize.size(freed, precision=4)}"]))


def builder_prune(arguments: Arguments, session: Session) -> Result:
    """Remove the build cache."""
    which = "all build cache." if arguments.on("all") else "all dangling build cache."
    if not confirmed(arguments, session, f"This will remove {which}"):
        return Result()
    said: list[str] = []
    query = {
        "all": arguments.on("all") or None,
        "filters": filters_json(arguments),
        "keep-storage": arguments.size("keep-storage") or None,
    }
    freed = _prune_build_cache(session, query, said)
    return Result(text="\n".join([*said, f"Total reclaimed space: {humanize.size(freed, precision=4)}"]))


def _prune_build_cache(session: Session, query: dict[str, Any], said: list[str]) -> int:
    answer = session.connection.request("POST", "/build/prune", query=query).json()
    if gone := answer.get("CachesDeleted"):
        said += ["Deleted build cache objects:", *gone, ""]
    return int(answer.get("SpaceReclaimed") or 0)


def _document(document: dict[str, Any], arguments: Arguments, plain: Callable[[dict[str, Any]], str]) -> Result:
    template = arguments.text("format")
    if not template:
        return Result(text=plain(document), documents=[document])
    if template == "json":
        return Result(text=go_json(document), documents=[document])
    return inspect_result([document], template)


def _event_text(template: str) -> Callable[[dict[str, Any]], str]:
    if template == "json":
        return go_json
    if template:
        try:
            return Template(template).render
        except TemplateError as error:
            raise CommandError(f"Error parsing format: {error}", exit_code=64) from None

    def plain(event: dict[str, Any]) -> str:
        seconds, nanoseconds = divmod(event.get("timeNano") or event["time"] * 10**9, 10**9)
        moment = humanize.local_time(seconds)
        stamp = f"{moment[:10]}T{moment[11:19]}.{nanoseconds:09d}{_offset(moment)}"
        actor = event.get("Actor") or {}
        details = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
        tail = f" ({details})" if details else ""
        return f"{stamp} {event['Type']} {event['Action']} {actor.get('ID', '')}{tail}"

    return plain


def _offset(moment: str) -> str:
    zone = moment[20:25]
    return "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"


def _df_row(kind: str, total: int, active: int, size: int, free: int, *, percent: bool = True) -> dict[str, str]:
    share = f" ({free * 100 // size}%)" if percent and size > 0 else ""
    return {
        "Type": kind,
        "TotalCount": str(total),
        "Active": str(active),
        "Size": humanize.size(size, precision=4),
        "Reclaimable": humanize.size(free, precision=4) + share,
    }


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
