"""How a container's output is kept: `--log-driver`, `--log-opt`.

Source: moby daemon/logger (factory.go, jsonfilelog, local).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydock_lab.daemon.engine.containers.record import Record
from pydock_lab.daemon.engine.containers.security import FALSE, TRUE
from pydock_lab.daemon.runtime.request import Log
from pydock_lab.errors import InvalidParameter

_SIZE = re.compile(r"(\d+(?:\.\d*)?) ?([kmgt]?)i?b?")
_FIELD = re.compile(r"\{\{ *\.(\w+) *\}\}")
_ANY_DRIVER = ("mode", "max-buffer-size")
_OPTIONS = {
    "json-file": ("max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"),
    "local": ("max-file", "max-size", "compress"),
    "none": (),
}


def check(settings: dict[str, Any]) -> None:
    """Refuse a LogConfig that Docker refuses at once. Raises InvalidParameter."""
    driver, options = settings["Type"], settings["Config"] or {}
    if driver not in _OPTIONS:
        raise InvalidParameter(f'error looking up logging plugin {driver}: plugin "{driver}" not found')
    mode = options.get("mode") or "blocking"
    if mode not in ("blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}")
    if "max-buffer-size" in options and mode != "non-blocking":
        raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    try:
        parse_size(options.get("max-buffer-size", "0"))
    except InvalidParameter as error:
        raise InvalidParameter(f"error parsing option max-buffer-size: {error.message}") from None
    if driver == "none":
        return
    for name in options:
        if name not in (*_ANY_DRIVER, *_OPTIONS[driver]):
            raise InvalidParameter(f"unknown log opt '{name}' for {driver} log driver")


def log_of(record: Record, path: Path) -> Log:
    """Return where and how the keeper keeps a container's output.

    Args:
        record: The container's; its labels and variables may be logged too.
        path: The log file.

    Raises:
        InvalidParameter: an option whose value is none; Docker finds it when the container starts.
    """
    settings = record.host_config["LogConfig"]
    driver, options = settings["Type"], settings["Config"] or {}
    if driver == "none":
        return Log(driver="none")
    try:
        max_size, max_file = _local_span(options) if driver == "local" else _json_file_span(options)
        attrs = _attributes(record, options)
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to initialize logging driver: {error.message}") from None
    return Log(driver=driver, path=str(path), max_size=max_size, max_file=max_file, attrs=attrs)


def parse_size(text: str, kilo: int = 1024) -> int:
    """Return the bytes of `10m`, `1g`, `512k`. Raises InvalidParameter.

    Args:
        text: A number with or without a unit.
        kilo: How many make the next unit: 1024, or 1000 as the json-file driver counts.
    """
    found = _SIZE.fullmatch(text.lower())
    if not found:
        raise InvalidParameter(f"invalid size: '{text}'")
    return int(float(found[1]) * kilo ** "bkmgt".index(found[2] or "b"))


def _json_file_span(options: dict[str, str]) -> tuple[int, int]:
    """Return the size at which a file is full, 0 for never, and how many are kept."""
    max_size = parse_size(options["max-size"], 1000) if "max-size" in options else 0
    if "max-size" in options and max_size <= 0:
        raise InvalidParameter("max-size must be a positive number")
    max_file = _integer(options.get("max-file", "1"))
    if max_file < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    if _boolean(options.get("compress", "false")) and (max_file == 1 or not max_size):
        raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
    return max_size, max_file


def _local_span(options: dict[str, str]) -> tuple[int, int]:
    max_size, max_file = parse_size(options.get("max-size", "20m")), _integer(options.get("max-file", "5"))
    if _boolean(options.get("compress", "true")) and max_file <= 1:
        raise InvalidParameter("compression cannot be enabled when max file count is 1")
    if max_file < 1:
        raise InvalidParameter("max file count must be at least 1")
    return max_size, max_file


def _attributes(record: Record, options: dict[str, str]) -> dict[str, str]:
    """Return what `docker logs --details` shows before each line."""
    variables = dict(entry.partition("=")[::2] for entry in record.config["Env"] or [])
    attributes: dict[str, str] = {}
    for kind, there in (("labels", record.config.get("Labels") or {}), ("env", variables)):
        names = options.get(kind, "").split(",")
        try:
            pattern = re.compile(options[f"{kind}-regex"]) if options.get(f"{kind}-regex") else None
        except re.error as error:
            raise InvalidParameter(f"error parsing regexp: {error}") from None
        attributes |= {key: there[key] for key in there if key in names or (pattern and pattern.search(key))}
    tag = _tag(record, options.get("tag", ""))
    return attributes | ({"tag": tag} if tag else {})


def _tag(record: Record, template: str) -> str:
    """Fill the fields of a `--log-opt tag`, `{{.Name}}/{{.ID}}`; Go's other template words are not known here."""
    image_id = record.image_id.removeprefix("sha256:")
    fields = {
        "ID": record.id[:12],
        "FullID": record.id,
        "Name": record.name,
        "Command": " ".join([record.path, *record.args]),
        "ImageID": image_id[:12],
        "ImageFullID": record.image_id,
        "ImageName": str(record.config["Image"]),
        "DaemonName": "docker",
    }

    def filled(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise InvalidParameter(
                f'template: log-tag:1:{match.start(1) - 1}: executing "log-tag" at <.{match[1]}>: '
                f"can't evaluate field {match[1]} in type *logger.Info"
            )
        return fields[match[1]]

    text = _FIELD.sub(filled, template)
    if "{{" in _FIELD.sub("", template):
        raise InvalidParameter("template: log-tag:1: unclosed action")
    return text


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax') from None


def _boolean(text: str) -> bool:
    if text not in (*TRUE, *FALSE):
        raise InvalidParameter(f'strconv.ParseBool: parsing "{text}": invalid syntax')
    return text in TRUE
