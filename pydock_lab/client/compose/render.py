"""A project as `compose config` prints it, and the config hash over it.

The order of fields, what is left out, and how Go writes JSON are Compose's, so
that the hash is the same. Source: docker/compose pkg/compose/hash.go, compose-go
types/, Go's encoding/json; verified against Compose 2.26.1.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from pydock_lab.client.compose.model import Network, Part, Service
from pydock_lab.client.compose.project import Project

_KINDS = ("networks", "volumes", "secrets", "configs")
_OTHERS = (
    re.compile(r"y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF"),
    re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
    re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9:.]+(Z|[-+][0-9:]+)?)?"),
)
"""Truths, sexagesimal numbers and dates of YAML 1.1, which go-yaml quotes."""
_NOT_HASHED = ("build", "pull_policy", "scale")
_SHOWN_EMPTY = ("bind", "deploy", "healthcheck", "logging", "tmpfs", "volume")


def service_hash(service: Service) -> str:
    """The value of the label `com.docker.compose.config-hash`: SHA-256 over the service's JSON.

    What does not change a container is left out: how the image is built, how many there are.
    """
    document = _service_json(service)
    for key in _NOT_HASHED:
        document.pop(key, None)
    if "deploy" in document:
        document["deploy"].pop("replicas", None)
    return hashlib.sha256(go_json(document).encode()).hexdigest()


def go_json(value: Any) -> str:
    """Compact JSON as Go writes it: maps in order of their keys, `<`, `>` and `&` escaped."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def config_json(project: Project, *, indent: int = 2) -> str:
    """The project as JSON."""
    document: dict[str, Any] = {"name": project.name}
    entries = {
        "configs": _without_extensions(project.configs),
        "networks": {key: _network_json(found) for key, found in sorted(project.networks.items())},
        "secrets": _without_extensions(project.secrets),
        "services": {key: _service_json(found) for key, found in sorted(project.services.items())},
        "volumes": _without_extensions(project.volumes),
    }
    document |= {key: found for key, found in entries.items() if found or key == "services"}
    document |= {key: ordered(found) for key, found in project.extensions.items()}
    document = _escaped(dict(sorted(document.items())))
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def config_yaml(project: Project) -> str:
    """The project as YAML, in Compose's order."""
    document: dict[str, Any] = {"name": project.name}
    document["services"] = {key: _builtins(found) for key, found in sorted(project.services.items())}
    for kind in _KINDS:
        if found := _plain(getattr(project, kind)):
            document[kind] = found
    document |= ordered(project.extensions)
    return to_yaml(_escaped(document))


def to_yaml(document: Any) -> str:
    """Plain values as block-style YAML."""
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))
    Representer.add_representer(
        str,
        lambda self, data: self.represent_scalar(
            "tag:yaml.org,2002:str", data, style="|" if "\n" in data else '"' if _needs_quotes(data) else None
        ),
    )
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 1 << 20
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue().rstrip("\n")


def _needs_quotes(text: str) -> bool:
    """Whether a reader of YAML 1.1 or 1.2 would take it for something else than text."""
    from pydock_lab.client.compose.document import scalar

    return not isinstance(scalar(text), str) or any(one.fullmatch(text) for one in _OTHERS)


def _plain(entries: Mapping[str, Part]) -> dict[str, Any]:
    return {key: _builtins(found) for key, found in sorted(entries.items())}


def _without_extensions(entries: Mapping[str, Part]) -> dict[str, Any]:
    """Go's JSON has the `x-…` keys of the top level only."""
    return {
        key: {name: value for name, value in found.items() if name in entries[key].__struct_fields__}
        for key, found in _plain(entries).items()
    }


def _builtins(part: Part) -> dict[str, Any]:
    """A part without what was not set; mappings in order of their keys, `extra_hosts` as a list."""
    document: dict[str, Any] = msgspec.to_builtins(part)
    ordered: dict[str, Any] = _ordered(part, document)
    return ordered


def _ordered(part: Any, document: Any) -> Any:
    if isinstance(part, Part):
        extensions = ordered(document.pop("extensions", {}))
        fields = {key: _ordered(getattr(part, key), value) for key, value in document.items()}
        if hosts := fields.get("extra_hosts"):
            fields["extra_hosts"] = [f"{name}={one}" for name, found in hosts.items() for one in found]
        # Structures of Go that hold nothing are left out of the YAML.
        return {key: value for key, value in fields.items() if value != {} or key in _SHOWN_EMPTY} | extensions
    if isinstance(part, dict):
        return {key: _ordered(part[key], document[key]) for key in sorted(part)}
    if isinstance(part, list):
        return [_ordered(*pair) for pair in zip(part, document, strict=True)]
    return _number(document)


def _service_json(service: Service) -> dict[str, Any]:
    """A service as Go's JSON has it: fields that are always there, where the YAML leaves them out."""
    found = _builtins(service)
    found.setdefault("command", None)
    found.setdefault("entrypoint", None)
    if "deploy" in found:
        found["deploy"] = _inserted(found["deploy"], service.deploy, resources={}, placement={})
    if blkio := found.get("blkio_config"):
        for key, devices in blkio.items():
            if isinstance(devices, list):
                blkio[key] = [{name.capitalize(): value for name, value in device.items()} for device in devices]
    if limits := found.get("ulimits"):
        found["ulimits"] = {
            name: {key: value for key, value in limit.items() if value} if isinstance(limit, dict) else limit
            for name, limit in limits.items()
        }
    if service.develop is not None:
        rules = found["develop"]["watch"]
        found["develop"]["watch"] = [
            _inserted(rule, trigger, exec={"command": None})
            for rule, trigger in zip(rules, service.develop.watch, strict=True)
        ]
    return {key: found[key] for key in Service.__struct_fields__ if key in found}


def _network_json(network: Network) -> dict[str, Any]:
    return _inserted(_builtins(network), network, ipam={})


def _inserted(found: dict[str, Any], part: Any, **always: Any) -> dict[str, Any]:
    """Add fields that Go always writes, in their place."""
    complete = {**always, **found}
    return {key: complete[key] for key in part.__struct_fields__ if key in complete}


def ordered(value: Any) -> Any:
    """Mappings in the order of their keys, all the way down."""
    if isinstance(value, Mapping):
        return {key: ordered(value[key]) for key in sorted(value)}
    return [ordered(item) for item in value] if isinstance(value, list) else _number(value)


def _number(value: Any) -> Any:
    """A whole number without the `.0` that Go does not print."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _escaped(value: Any) -> Any:
    """Write each `$` so that the output is a Compose file again."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
