"""What Compose fills in when all files are merged: names, dependencies, the default network, environments.

Source: compose-go loader/normalize.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.compose import dotenv
from pydock_lab.client.compose.problem import NOT_FOUND, ComposeError

_KINDS = ("networks", "volumes", "configs", "secrets")


def complete(model: dict[str, Any], name: str, directory: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Fill in a merged model.

    Args:
        model: Of long forms.
        name: The project's name.
        directory: Its directory, from which is built what says no other.
        environment: Values of variables that are named without a value.

    Raises:
        ComposeError: an env file is missing, or two settings contradict each other.
    """
    services = {
        key: _service(key, found or {}, directory, environment) for key, found in model.get("services", {}).items()
    }
    networks = dict(model.get("networks") or {})
    if any("default" in (found.get("networks") or {}) for found in services.values()):
        networks.setdefault("default", {})
    found = {**model, "services": services, "networks": networks}
    for kind in _KINDS:
        entries = {key: _with_extensions(entry or {}) for key, entry in (found.get(kind) or {}).items()}
        for key, entry in entries.items():
            _check_resource(kind, key, entry)
        found[kind] = {key: _named(name, key, entry) for key, entry in entries.items()}
    return found


def complete_open(model: dict[str, Any], name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Fill in what can be without the values of variables: names, the default network; env files are left as named."""
    services = {
        key: {"networks": {"default": None}, **found} if "network_mode" not in found else found
        for key, found in ((key, found or {}) for key, found in (model.get("services") or {}).items())
    }
    bare = {key: {"networks": found["networks"]} if "networks" in found else {} for key, found in services.items()}
    rest = complete({**model, "services": bare}, name, Path(), environment)
    kinds = {kind: rest[kind] for kind in _KINDS if rest[kind]}
    return {
        **{key: value for key, value in model.items() if key not in _KINDS},
        **kinds,
        "name": name,
        "services": services,
    }


def _named(project: str, key: str, entry: dict[str, Any]) -> dict[str, Any]:
    name = entry.get("name") or (key if entry.get("external") else f"{project}_{key}")
    return {**entry, "name": name}


def _with_extensions(entry: dict[str, Any]) -> dict[str, Any]:
    """Put what an `x-…` key says in a place of its own: nothing reads it, `config` shows it."""
    found = {key: value for key, value in entry.items() if not key.startswith("x-")}
    extensions = {key: value for key, value in entry.items() if key.startswith("x-")}
    return {**found, "extensions": extensions} if extensions else found


def _check_resource(kind: str, key: str, entry: dict[str, Any]) -> None:
    """Refuse what contradicts itself, in Compose's words."""
    if kind == "volumes" and entry.get("external"):
        for other in entry:
            if other not in ("external", "name", "extensions"):
                raise ComposeError(f'volumes.{key}: conflicting parameters "external" and "{other}" specified')
    sources = {"configs": ("file", "environment", "content"), "secrets": ("file", "environment")}.get(kind, ())
    given = [one for one in sources if one in entry]
    if len(given) > 1:
        raise ComposeError(f"{kind}.{key}: {'|'.join(sources)} attributes are mutually exclusive")
    if sources and not given and not entry.get("driver") and "external" not in entry:
        raise ComposeError(f"{kind}.{key}: one of {'|'.join(sources)} must be set")


def _service(name: str, raw: dict[str, Any], directory: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    found = _with_extensions({key: value for key, value in raw.items() if value is not None or key.startswith("x-")})
    found["environment"] = _environment(found, environment)
    found.pop("env_file", None)
    if "labels" in found or "label_file" in found:
        found["labels"] = _labels(found)
    if (build := found.get("build")) is not None:
        found["build"] = _build(name, build, directory, environment)
        _check_platform(found)
    if not found.get("networks") and not found.get("network_mode"):
        found["networks"] = {"default": None}
    if "extra_hosts" in found:
        found["extra_hosts"] = dict(sorted(found["extra_hosts"].items()))
    for secret in found.get("secrets") or ():
        secret.setdefault("target", f"/run/secrets/{secret['source']}")
    reserved = ((found.get("deploy") or {}).get("resources") or {}).get("reservations") or {}
    for request in (*(reserved.get("devices") or ()), *(found.get("gpus") or ())):
        if request.get("count") == "all":
            request["count"] = -1
    found["depends_on"] = dict(sorted(_dependencies(found).items()))
    _check_deploy(name, found)
    return found


def _environment(found: dict[str, Any], environment: Mapping[str, str]) -> dict[str, str | None]:
    merged: dict[str, str | None] = {}
    for entry in found.get("env_file") or ():
        path = Path(entry["path"])
        if not path.is_file():
            if entry.get("required", True):
                raise ComposeError(
                    f"env file {path} not found: stat {path}: no such file or directory",
                    exit_code=NOT_FOUND,
                    hint=f"make the file, or write `- path: {path.name}` with `required: false` under env_file",
                )
            continue
        known = {**{key: value for key, value in merged.items() if value is not None}, **environment}
        if (form := entry.get("format")) not in (None, "", "raw"):
            raise ComposeError(f'unsupported env_file format "{form}"')
        try:
            if form == "raw":
                merged |= dotenv.parse_raw(path.read_text("utf-8"))
                continue
            merged |= dotenv.parse(path.read_text("utf-8"), known, name=str(path))
        except (ValueError, OSError) as error:
            raise ComposeError(str(error)) from None
    for key, value in (found.get("environment") or {}).items():
        merged[key] = environment.get(key) if value is None else value
    return dict(sorted(merged.items()))


def _labels(found: dict[str, Any]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for path in found.pop("label_file", None) or ():
        try:
            text = Path(path).read_text("utf-8")
        except OSError:
            raise ComposeError(
                f"label file {path} not found: stat {path}: no such file or directory", exit_code=NOT_FOUND
            ) from None
        merged |= {key: value or "" for key, value in dotenv.parse(text, {}, name=path).items()}
    return dict(sorted((merged | (found.get("labels") or {})).items()))


def _build(name: str, build: dict[str, Any], directory: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    found = {"context": str(directory), **build}
    if not found.get("dockerfile_inline"):
        found.setdefault("dockerfile", "Dockerfile")
    elif found.get("dockerfile"):
        raise ComposeError(
            f'service "{name}" declares mutualy exclusive dockerfile and dockerfile_inline: invalid compose project'
        )
    if "args" in found:
        resolved = {key: environment.get(key) if value is None else value for key, value in found["args"].items()}
        found["args"] = {key: value for key, value in resolved.items() if value is not None}
    return found


def _check_platform(found: dict[str, Any]) -> None:
    platform, built = found.get("platform"), found["build"].get("platforms")
    if platform and built and platform not in built:
        raise ComposeError(
            f'service.build.platforms MUST include service.platform "{platform}": invalid compose project'
        )


def _dependencies(found: dict[str, Any]) -> dict[str, Any]:
    """`depends_on`, and the dependencies that other keys imply."""
    needed: dict[str, Any] = dict(found.get("depends_on") or {})

    def implied(name: str, *, restart: bool) -> None:
        needed.setdefault(name, {"condition": "service_started", "restart": restart, "required": True})

    for link in found.get("links") or ():
        implied(link.partition(":")[0], restart=True)
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        if str(found.get(key) or "").startswith("service:"):
            implied(found[key].removeprefix("service:"), restart=True)
    for source in found.get("volumes_from") or ():
        if not source.startswith("container:"):
            implied(source.partition(":")[0], restart=False)
    return needed


def _check_deploy(name: str, found: dict[str, Any]) -> None:
    deploy = found.get("deploy") or {}
    resources = deploy.get("resources") or {}
    # What is missing in a section that is there counts as another value too, as with Compose.
    for key, section, other in (
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("cpus", "limits", "cpus"),
        ("pids_limit", "limits", "pids"),
    ):
        amounts = resources.get(section)
        if found.get(key) and amounts is not None and float(found[key]) != float(amounts.get(other) or 0):
            raise ComposeError(
                f"services.{name}: can't set distinct values on '{key}' and 'deploy.resources.{section}.{other}': "
                "invalid compose project"
            )
    if found.get("scale") is not None and deploy.get("replicas") is not None and found["scale"] != deploy["replicas"]:
        raise ComposeError(
            f"services.{name}: can't set distinct values on 'scale' and 'deploy.replicas': invalid compose project"
        )
    if found.get("container_name") and (found.get("scale") or deploy.get("replicas") or 1) > 1:
        raise ComposeError(
            f"services.scale: can't set container_name and {name} as container name must be unique: "
            "invalid compose project",
            hint=f'{name} wants several containers, and only one can be called "{found["container_name"]}"',
        )
