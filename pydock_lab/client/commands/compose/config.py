"""`compose config` and `version`."""

from __future__ import annotations

import json
from importlib import metadata

from pydock_lab.client.commands.arguments import Arguments
from pydock_lab.client.commands.compose.project import project_of, source_of
from pydock_lab.client.commands.failure import CommandError
from pydock_lab.client.commands.session import Result, Session
from pydock_lab.client.commands.text.tables import align
from pydock_lab.client.commands.text.templates import go_json
from pydock_lab.client.compose.body import image_name
from pydock_lab.client.compose.digests import pinned
from pydock_lab.client.compose.interpolation import Variable
from pydock_lab.client.compose.labels import COMPOSE_VERSION
from pydock_lab.client.compose.load import load_open
from pydock_lab.client.compose.project import Project
from pydock_lab.client.compose.render import config_json, config_yaml, ordered, service_hash, to_yaml

_COLUMNS = ("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")
_NAMES = ("services", "volumes", "networks", "models", "profiles", "images", "hash", "environment", "quiet")
"""Flags that ask for something else than the whole."""


def config(arguments: Arguments, session: Session) -> Result:
    """Show the project as all its files together say it is."""
    if arguments.on("variables"):
        return _variables(load_open(source_of(arguments, session))[1])
    if arguments.on("no-interpolate") and not any(map(arguments.has, _NAMES)):
        text = _open_text(arguments, session)
    else:
        project = project_of(arguments, session, arguments.positional)
        if arguments.on("resolve-image-digests") or arguments.on("lock-image-digests"):
            project = pinned(project, session)
        text = _config(arguments, project)
    if arguments.on("quiet"):
        return Result()
    if output := arguments.text("output"):
        session.path(output).write_text(text + "\n", "utf-8")
        return Result()
    return Result(text=text)


def version(arguments: Arguments, session: Session) -> Result:
    """Say which Compose this behaves as, and whose it is."""
    ours = metadata.version("pydock-lab")
    if arguments.on("short"):
        return Result(text=COMPOSE_VERSION)
    if arguments.text("format") == "json":
        return Result(text=go_json({"version": COMPOSE_VERSION}))
    return Result(text=f"Docker Compose version {COMPOSE_VERSION} (pydock_lab {ours})")


def _variables(found: list[Variable]) -> Result:
    table = [(one.name, str(one.required).lower(), one.default, one.alternate) for one in found]
    rows = [dict(zip(_COLUMNS, row, strict=True)) for row in table]
    return Result(text=align([_COLUMNS, *table], min_width=20), columns=_COLUMNS, rows=rows)


def _open_text(arguments: Arguments, session: Session) -> str:
    model, _ = load_open(source_of(arguments, session))
    if arguments.text("format") == "json":
        return json.dumps(ordered(model), indent=2, ensure_ascii=False)
    return to_yaml(ordered(model))


def _config(arguments: Arguments, project: Project) -> str:
    if arguments.positional:
        project = project.only(arguments.positional)
    names = project.order()
    if arguments.on("services"):
        return "\n".join(names)
    if arguments.on("volumes"):
        return "\n".join(sorted(project.volumes))
    if arguments.on("networks"):
        return "\n".join(sorted(project.networks))
    if arguments.on("models"):
        return ""  # language models that Docker Desktop runs; a file that names one is refused
    if arguments.on("environment"):
        return "\n".join(f"{name}={value}" for name, value in sorted(project.environment.items()))
    if arguments.on("lock-image-digests"):
        return to_yaml({"services": {name: {"image": project.services[name].image} for name in names}})
    if arguments.on("profiles"):
        services = (*project.services.values(), *project.disabled.values())
        return "\n".join(sorted({profile for service in services for profile in service.profiles}))
    if arguments.on("images"):
        return "\n".join(image_name(project, name) for name in names)
    if wanted := arguments.text("hash"):
        chosen = sorted(project.services) if wanted == "*" else wanted.split(",")
        return "\n".join(f"{name} {service_hash(project.service(name))}" for name in chosen)
    kind = arguments.text("format")
    if kind == "json":
        return config_json(project)
    if kind == "kubernetes":
        from pydock_lab.client.compose.kubernetes import manifests

        return manifests(project)
    if kind != "yaml":
        raise CommandError(f'unsupported format "{kind}"')
    return config_yaml(project)
