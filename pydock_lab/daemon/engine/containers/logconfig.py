"""How a container's output is kept: `--log-driver`, `--log-opt`.

Source: moby daemon/logger (factory.go, jsonfilelog, local).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydock_lab.daemon.runtime.request import Log
from pydock_lab.errors import InvalidParameter

_SIZE_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_ANY_DRIVER = ("mode", "max-buffer-size")
_OPTIONS = {
    "json-file": ("max-file", "max-size", "compress", "labels", "labels-regex", "env", "env-regex", "tag"),
    "local": ("max-file", "max-size", "compress"),
    "none": (),
}
# The local driver's own defaults.
_LOCAL = {"max-size": "20m", "max-file": "5"}


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
    if driver == "none":
        return
    for name in options:
        if name not in (*_ANY_DRIVER, *_OPTIONS[driver]):
            raise InvalidParameter(f"unknown log opt '{name}' for {driver} log driver")


def log_of(record_config: dict[str, Any], settings: dict[str, Any], path: Path) -> Log:
    """Return where and how the keeper keeps a container's output.

    Args:
        record_config: The container's Config: its labels and variables may be logged too.
        settings: HostConfig.LogConfig.
        path: The log file.

    Raises:
        InvalidParameter: a size or number that is none; Docker finds it when the container starts.
    """
    driver, options = settings["Type"], settings["Config"] or {}
    if driver == "none":
        return Log(driver="none")
    if driver == "local":
        options = {**_LOCAL, **options}
    try:
        max_size, max_file = parse_size(options.get("max-size", "0")), _max_file(options.get("max-file", "1"))
    except InvalidParameter as error:
        raise InvalidParameter(f"failed to initialize logging driver: {error.message}") from None
    labels = record_config.get("Labels") or {}
    variables = dict(entry.partition("=")[::2] for entry in record_config["Env"] or [])
    attrs = _chosen(labels, options.get("labels", "")) | _chosen(variables, options.get("env", ""))
    return Log(driver=driver, path=str(path), max_size=max_size, max_file=max_file, attrs=attrs)


def parse_size(text: str) -> int:
    """Return the bytes of `10m`, `1g`, `512k`; -1 and 0 mean no limit. Raises InvalidParameter."""
    number = text.lower().removesuffix("b").rstrip("kmg")
    unit = text.lower().removesuffix("b")[len(number) :]
    try:
        return max(0, int(float(number or "0") * _SIZE_UNITS[unit]))
    except (ValueError, KeyError):
        raise InvalidParameter(f"invalid size: '{text}'") from None


def _max_file(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise InvalidParameter(f'strconv.Atoi: parsing "{text}": invalid syntax') from None
    if number < 1:
        raise InvalidParameter("max-file cannot be less than 1")
    return number


def _chosen(there: dict[str, str], names: str) -> dict[str, str]:
    return {name: there[name] for name in names.split(",") if name in there}
