"""Short forms → long forms, one service at a time, relative paths → absolute ones.

What `5000:5000`, `data:/data:ro` or a list of `A=b` stand for. Defaults that only
hold when all files are merged are not filled in here (`defaults.py`).
Source: compose-spec 05-services.md, build.md, deploy.md; compose-go transform/.
"""

from __future__ import annotations

import os.path
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydock_lab.client.compose import units
from pydock_lab.client.compose.document import Override, Reset
from pydock_lab.client.compose.interpolation import variables_of
from pydock_lab.client.compose.merge import unique
from pydock_lab.client.compose.ports import parse_port
from pydock_lab.client.compose.problem import ComposeError
from pydock_lab.client.compose.volume_spec import parse_volume

Change = Callable[[Any], Any]

_MARKS = (Reset, Override)
_TRUTHS = ("attach", "init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty")
_SPLIT = ("command", "entrypoint")  # at spaces, which may stand in a variable's default


def service(name: str, raw: Mapping[str, Any], directory: Path, *, closed: bool = True) -> dict[str, Any]:
    """Return a service with every value in its long form.

    Args:
        name: Its name, for messages.
        raw: As in the file, variables replaced.
        directory: What its relative paths are relative to.
        closed: Variables are replaced; otherwise what holds one and can't be read yet is left as it is.

    Raises:
        ComposeError: a short form can't be read.
    """
    changes = _service_changes(directory)
    found: dict[str, Any] = {}
    for key, value in raw.items():
        open_ = not closed and any(True for _ in variables_of(value))
        change = changes.get(key) if closed or key not in _SPLIT else None
        try:
            found[key] = _changed(value, change, f"services.{name}.{key}")
        except ComposeError:
            if not open_:
                raise
            found[key] = value
    return found


def resource(kind: str, name: str, raw: Any, directory: Path) -> dict[str, Any]:
    """Return a top-level network, volume, config or secret in its long form."""
    changes: dict[str, Change] = {"labels": labels, "driver_opts": mapping}
    changes |= dict.fromkeys(("attachable", "enable_ipv6", "internal"), units.boolean)
    if kind in ("configs", "secrets"):
        changes["file"] = lambda value: absolute(value, directory)
    if isinstance(raw, _MARKS):
        return raw  # type: ignore[return-value]
    found = {key: _changed(value, changes.get(key), f"{kind}.{name}.{key}") for key, value in (raw or {}).items()}
    external = found.get("external")
    if isinstance(external, dict):  # the form of version 2: `external: {name: …}`
        found["external"] = True
        if external.get("name"):
            found.setdefault("name", external["name"])
    elif external is not None and not isinstance(external, _MARKS):
        found["external"] = units.boolean(external)
    return found


def absolute(value: Any, directory: Path) -> str:
    """Resolve a path of the user's; `~` is their home. One that is absolute stays as it was written."""
    text = str(value)
    if text.startswith("~"):
        text = str(Path(text).expanduser())
    return text if text.startswith("/") else os.path.normpath(directory / text)


def mapping(value: Any) -> Any:
    """`[A=b, C]` or `{A: b, C: null}` → the latter, with text for values."""
    if isinstance(value, list):
        pairs = (units.text(item).partition("=") for item in value)
        return {key: found if equals else None for key, equals, found in pairs}
    return {
        key: found if found is None or isinstance(found, _MARKS) else units.text(found)
        for key, found in (value or {}).items()
    }


def labels(value: Any) -> Any:
    """Labels: as `mapping`, where a label without a value is empty."""
    return {key: "" if found is None else found for key, found in mapping(value).items()}


def words(value: Any) -> Any:
    """A command: text is cut up as a shell does, without running one."""
    if not isinstance(value, str):
        return value if value is None else [units.text(item) for item in value]
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"invalid command line string: {error}") from None


def texts(value: Any) -> Any:
    """One or several → a list of text."""
    return [units.text(item) for item in value] if isinstance(value, list) else [units.text(value)]


def hosts(value: Any) -> Any:
    """`extra_hosts`: `[a:1.2.3.4, b=::1]` or a mapping → addresses by name."""
    found: dict[str, list[str]] = {}
    if isinstance(value, list):
        for item in value:
            name, sign, address = str(item).partition("=") if "=" in str(item) else str(item).partition(":")
            if not sign:
                raise ValueError(f"invalid additional host, missing IP: {item}")
            found.setdefault(name.strip(), []).append(_bare(address.strip()))
        return found
    for name, addresses in value.items():
        found[name] = [_bare(str(one)) for one in (addresses if isinstance(addresses, list) else [addresses])]
    return found


def _service_changes(directory: Path) -> dict[str, Change]:
    by_bytes = dict.fromkeys(("mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "shm_size"), _bytes)
    return {
        **by_bytes,
        **dict.fromkeys(_TRUTHS, units.boolean),
        "annotations": mapping,
        "blkio_config": _blkio,
        "build": lambda value: _build(value, directory),
        "command": words,
        "configs": lambda value: [_reference(item) for item in value],
        "depends_on": _depends_on,
        "deploy": _deploy,
        "develop": lambda value: _develop(value, directory),
        "devices": lambda value: [_device(item) for item in value],
        "dns": texts,
        "dns_opt": texts,
        "dns_search": texts,
        "entrypoint": words,
        "env_file": lambda value: [_env_file(item, directory) for item in _listed(value)],
        "environment": mapping,
        "expose": texts,
        "extra_hosts": hosts,
        "gpus": _device_requests,
        "group_add": texts,
        "healthcheck": _healthcheck,
        "label_file": lambda value: [absolute(item, directory) for item in _listed(value)],
        "labels": labels,
        "logging": _logging,
        "networks": _networks,
        "post_start": lambda value: [_hook(item) for item in value],
        "pre_stop": lambda value: [_hook(item) for item in value],
        "ports": lambda value: [found for item in value for found in parse_port(item)],
        "pull_policy": lambda value: "missing" if value == "if_not_present" else value,
        "restart": units.text,
        "secrets": lambda value: [_reference(item) for item in value],
        "stop_grace_period": _duration,
        "storage_opt": mapping,
        "sysctls": mapping,
        "tmpfs": texts,
        "ulimits": _ulimits,
        "user": units.text,
        "volumes": lambda value: [_volume(item, directory) for item in value],
    }


def _changed(value: Any, change: Change | None, place: str) -> Any:
    if isinstance(value, Override):
        return Override(_changed(value.value, change, place))
    if isinstance(value, Reset) or value is None or change is None:
        return value
    try:
        return change(value)
    except ComposeError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise ComposeError(f"{place}: {error}") from None


def _bare(address: str) -> str:
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _bytes(value: Any) -> str:
    """Bytes as text; none is what was not set."""
    return str(units.size_bytes(value) or "")


def _duration(value: Any) -> str:
    return units.duration_text(units.duration_ns(value))


def _each(value: Mapping[str, Any], changes: Mapping[str, Change]) -> dict[str, Any]:
    return {key: _changed(item, changes.get(key), key) for key, item in value.items()}


def _build(value: Any, directory: Path) -> dict[str, Any]:
    if isinstance(value, str):
        value = {"context": value}
    return _each(
        value,
        {
            "context": lambda context: _context(context, directory),
            "additional_contexts": lambda found: {k: _context(v, directory) for k, v in mapping(found).items()},
            "args": mapping,
            "labels": labels,
            "extra_hosts": hosts,
            "shm_size": _bytes,
            "ulimits": _ulimits,
            "secrets": lambda found: [_reference(item) for item in found],
            **dict.fromkeys(("no_cache", "privileged", "pull"), units.boolean),
            "ssh": lambda found: [f"{k}={absolute(v, directory)}" if v else k for k, v in mapping(found).items()],
            "tags": lambda found: _once(texts(found)),
        },
    )


def _context(value: str, directory: Path) -> str:
    remote = "://" in value or value.startswith(("git@", "github.com/", "service:", "docker-image:"))
    return value if remote else absolute(value, directory)


def _reference(item: Any) -> dict[str, Any]:
    found = {"source": item} if isinstance(item, str) else dict(item)
    if isinstance(found.get("mode"), str):
        found["mode"] = int(found["mode"], 8)
    return {key: units.text(value) if key in ("uid", "gid") else value for key, value in found.items()}


def _depends_on(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {name: {"condition": "service_started", "required": True} for name in value}
    return {
        name: found if isinstance(found, _MARKS) else {"required": True, **(found or {"condition": "service_started"})}
        for name, found in value.items()
    }


def _deploy(value: Mapping[str, Any]) -> dict[str, Any]:
    amounts: dict[str, Change] = {"memory": _bytes, "cpus": float, "pids": int, "devices": _device_requests}
    return _each(
        value,
        {
            "labels": labels,
            "replicas": int,
            "resources": lambda found: {k: _each(v or {}, amounts) for k, v in found.items()},
            "restart_policy": lambda found: _each(found, {"delay": _duration, "window": _duration}),
            "update_config": lambda found: _each(found, {"delay": _duration, "monitor": _duration}),
            "rollback_config": lambda found: _each(found, {"delay": _duration, "monitor": _duration}),
        },
    )


def _device_requests(value: Any) -> list[dict[str, Any]]:
    """`all`, or a list of requests; where one says neither how many nor which, it is all."""
    requests = [dict(one) for one in ([{}] if value == "all" else value)]
    for one in requests:
        if one.get("count") is not None and one.get("device_ids"):
            raise ValueError('"count" and "device_ids" attributes are exclusive')
        if not (one.get("count") or one.get("device_ids")):
            one["count"] = "all"
        if "options" in one:
            one["options"] = labels(one["options"])
    return requests


def _develop(value: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    def rule(item: Mapping[str, Any]) -> dict[str, Any]:
        return _each(item, {"path": lambda path: absolute(path, directory), "ignore": texts, "include": texts})

    return _each(value, {"watch": lambda rules: [rule(item) for item in rules]})


def _device(item: Any) -> dict[str, str]:
    if not isinstance(item, str):
        return dict(item)
    source, _, rest = item.partition(":")
    target, _, permissions = rest.partition(":")
    if ":" in permissions:
        raise ValueError(f"confusing device mapping, please use long syntax: {item}")
    return {"source": source, "target": target or source, "permissions": permissions or "rwm"}


def _hook(item: Any) -> dict[str, Any]:
    return _each(item, {"command": words, "environment": mapping})


def _env_file(item: Any, directory: Path) -> dict[str, Any]:
    found = {"path": item} if isinstance(item, str) else dict(item)
    return {**found, "path": absolute(found["path"], directory), "required": units.truth(found.get("required", True))}


def _healthcheck(value: Mapping[str, Any]) -> dict[str, Any]:
    durations = dict.fromkeys(("interval", "timeout", "start_period", "start_interval"), _duration)
    return _each(
        value,
        {
            **durations,
            "disable": units.boolean,
            "retries": int,
            "test": lambda test: ["CMD-SHELL", test] if isinstance(test, str) else texts(test),
        },
    )


def _logging(value: Mapping[str, Any]) -> dict[str, Any]:
    return _each(value, {"options": labels})


def _networks(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return dict.fromkeys(value)
    changes: dict[str, Change] = {"driver_opts": mapping, **dict.fromkeys(("aliases", "link_local_ips"), _once)}
    return {
        name: found if found is None or isinstance(found, _MARKS) else _each(found, changes)
        for name, found in value.items()
    }


def _once(value: list[Any]) -> list[Any]:
    return unique(value, "")


def _ulimits(value: Mapping[str, Any]) -> dict[str, Any]:
    def limit(found: Any) -> Any:
        if isinstance(found, dict):
            return {key: int(item) for key, item in found.items()}
        return int(found) or {"soft": 0, "hard": 0}  # Go tells none from zero by the structure

    return {name: found if isinstance(found, _MARKS) else limit(found) for name, found in value.items()}


def _volume(item: Any, directory: Path) -> dict[str, Any]:
    found = parse_volume(item) if isinstance(item, str) else dict(item)
    if not found.get("target"):
        raise ValueError("a service volume is missing a mount target")
    found["target"] = _clean_target(found["target"])
    if found.get("type") == "bind" and "source" in found:
        found["source"] = absolute(found["source"], directory)
    if isinstance(tmpfs := found.get("tmpfs"), dict):
        found["tmpfs"] = _each(tmpfs, {"size": _bytes, "mode": int})
    return found


def _clean_target(target: str) -> str:
    """A path inside a container without a slash at its end, `.`, `..` or doubled slashes. Source: Go's path.Clean."""
    return "/" + os.path.normpath(target).lstrip("/") if target.startswith("/") else target


def _blkio(value: Mapping[str, Any]) -> dict[str, Any]:
    def rates(found: Any) -> list[dict[str, Any]]:
        return [{**one, "rate": _bytes(one["rate"])} for one in found]

    return _each(value, {key: rates for key in value if key.startswith("device_")})
